package bench

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// HitReport says how often caches had what they were asked for.
type HitReport struct {
	Entries    int         `json:"entries"` // that each cache held
	Keys       int         `json:"keys"`
	Warmup     int         `json:"warmup_requests"`
	Batch      int         `json:"pipeline"`
	Rate       int         `json:"rate,omitempty"` // requests a second; 0: as fast as possible
	KeyBytes   int         `json:"key_size"`
	ValueBytes int         `json:"value_size"`
	Seed       uint64      `json:"seed"`
	Results    []HitResult `json:"hit_ratios"`
	Command    string      `json:"command,omitempty"`
	Machine    Machine     `json:"machine"`
}

// HitResult is one workload on one cache.
type HitResult struct {
	Workload string  `json:"workload"`
	Target   string  `json:"target"`
	Scheme   string  `json:"protocol"`
	Policy   string  `json:"policy,omitempty"`
	Server   string  `json:"server,omitempty"`
	Requests int     `json:"requests"`
	Hits     int     `json:"hits"`
	Percent  float64 `json:"hit_percent"`
	Full     int     `json:"entries_before"` // entries of the full cache
	End      int     `json:"entries_after"`
	Seconds  float64 `json:"duration_s"`
}

func newHitReport(o *HitOptions) *HitReport {
	return &HitReport{
		Entries: o.Entries, Keys: o.Keys, Warmup: o.Warmup, Batch: o.Batch, Rate: o.Rate, Seed: o.Seed,
		KeyBytes: o.KeySize.mean(), ValueBytes: o.ValueSize.mean(), Machine: ThisMachine(),
	}
}

// cache names the result's cache.
func (r *HitResult) cache() string { return strings.TrimSpace(r.Scheme + " " + r.Policy) }

// WriteJSON writes the report as one JSON object and a line end.
func (r *HitReport) WriteJSON(w io.Writer) error { return writeJSON(w, r) }

// WriteTable writes the report as a table for people: a row for each workload, hits in percent.
func (r *HitReport) WriteTable(w io.Writer) error {
	const gap = 2
	var workloads, caches []string
	percent := map[[2]string]string{}
	for i := range r.Results {
		each := &r.Results[i]
		if !slices.Contains(workloads, each.Workload) {
			workloads = append(workloads, each.Workload)
		}
		if !slices.Contains(caches, each.cache()) {
			caches = append(caches, each.cache())
		}
		percent[[2]string{each.Workload, each.cache()}] = fmt.Sprintf("%.1f", each.Percent)
	}
	pace := "as fast as possible"
	if r.Rate > 0 {
		pace = fmt.Sprintf("%d a second", r.Rate)
	}
	fmt.Fprintf(w, "hits in percent; %d entries, %d keys, %d requests after %d to warm up, %s\n\n",
		r.Entries, r.Keys, r.Results[0].Requests, r.Warmup, pace)
	table := tabwriter.NewWriter(w, 0, 0, gap, ' ', tabwriter.AlignRight)
	fmt.Fprintf(table, "\t%s\t\n", strings.Join(caches, "\t"))
	for _, workload := range workloads {
		fmt.Fprintf(table, "%s\t", workload)
		for _, cache := range caches {
			fmt.Fprintf(table, "%s\t", percent[[2]string{workload, cache}])
		}
		fmt.Fprintln(table)
	}
	return table.Flush()
}
