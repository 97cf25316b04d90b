package bench

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// Summary has the medians of several runs of one workload on one target, compared with the first
// target.
type Summary struct {
	Target       string   `json:"target"`
	Server       string   `json:"server,omitempty"`
	Client       string   `json:"client,omitempty"`
	Op           string   `json:"op"`
	Workload     string   `json:"workload"`
	Connections  int      `json:"connections"`
	Pipeline     int      `json:"pipeline"`
	Goroutines   int      `json:"goroutines,omitempty"`
	Runs         int      `json:"runs"`
	OpsPerSecond float64  `json:"ops_per_s"`
	Least        float64  `json:"ops_per_s_min"`
	Most         float64  `json:"ops_per_s_max"`
	Ratio        float64  `json:"ratio"` // of OpsPerSecond to that of the first target
	P50          float64  `json:"p50_us"`
	P99          float64  `json:"p99_us"`
	P999         float64  `json:"p999_us"`
	Max          float64  `json:"max_us"` // of all runs
	ClientCPU    float64  `json:"client_cpu_us_per_op"`
	ServerCPU    *float64 `json:"server_cpu_us_per_op,omitempty"`
	ServerRSS    *float64 `json:"server_rss_bytes,omitempty"`
	AllocsPerOp  *float64 `json:"client_allocs_per_op,omitempty"`
	Failed       int      `json:"failed,omitempty"` // runs with wrong or missing replies
	Command      string   `json:"command,omitempty"`
	Machine      Machine  `json:"machine"`

	// Sample is one of the runs: its workload, target, server and client are those of all.
	Sample *Report `json:"-"`
}

// workload is equal for comparable reports. pipeline is the requested one: the original CyberDB has
// none.
type workload struct {
	op, keys, values, ratio                       string
	entries, tables, connections, pipeline, goros int
	zipf, rate                                    float64
}

func (r *Report) workload() workload {
	w := workload{
		op:          r.Op,
		keys:        cmp.Or(r.KeySizes, fmt.Sprint(r.KeyBytes)),
		values:      cmp.Or(r.ValueSizes, fmt.Sprint(r.ValueBytes)),
		ratio:       r.Ratio,
		entries:     r.Keys,
		tables:      r.Tables,
		connections: r.Connections,
		pipeline:    r.Asked,
		goros:       r.Goroutines,
		zipf:        r.Zipf,
		rate:        r.Rate,
	}
	if r.Client != "" {
		w.connections = 0 // each client library chooses their number
	}
	return w
}

// Summarize returns one summary for each workload and target, in the order in which they come
// first.
func Summarize(reports []*Report) (all []*Summary) {
	type group struct {
		workload workload
		target   string
		server   string
		client   string
	}
	var order []group
	members := map[group][]*Report{}
	for _, r := range reports {
		g := group{r.workload(), r.Target, r.Server, r.Client}
		if members[g] == nil {
			order = append(order, g)
		}
		members[g] = append(members[g], r)
	}
	first := map[workload]float64{}
	for _, g := range order {
		s := summarize(members[g])
		if _, known := first[g.workload]; !known {
			first[g.workload] = s.OpsPerSecond
		}
		if base := first[g.workload]; base > 0 {
			s.Ratio = rounded(s.OpsPerSecond/base, 1e5)
		}
		all = append(all, s)
	}
	return all
}

func summarize(runs []*Report) *Summary {
	r := runs[len(runs)-1]
	s := &Summary{
		Target:       r.Target,
		Server:       r.Server,
		Client:       r.Client,
		Op:           r.Op,
		Workload:     r.workloadLine(),
		Connections:  r.Connections,
		Pipeline:     r.Pipeline,
		Goroutines:   r.Goroutines,
		Runs:         len(runs),
		Command:      r.Command,
		Machine:      r.Machine,
		Sample:       r,
		OpsPerSecond: medianOf(runs, func(r *Report) float64 { return r.OpsPerSecond }),
		P50:          medianOf(runs, func(r *Report) float64 { return r.P50 }),
		P99:          medianOf(runs, func(r *Report) float64 { return r.P99 }),
		P999:         medianOf(runs, func(r *Report) float64 { return r.P999 }),
		ClientCPU:    medianOf(runs, func(r *Report) float64 { return r.ClientCPU }),
		ServerCPU:    medianIfAll(runs, func(r *Report) *float64 { return r.ServerCPU }),
		AllocsPerOp:  medianIfAll(runs, func(r *Report) *float64 { return r.AllocsPerOp }),
		ServerRSS: medianIfAll(runs, func(r *Report) *float64 {
			if r.ServerRSS == nil {
				return nil
			}
			bytes := float64(*r.ServerRSS)
			return &bytes
		}),
	}
	s.Least = r.OpsPerSecond
	for _, r := range runs {
		s.Least, s.Most, s.Max = min(s.Least, r.OpsPerSecond), max(s.Most, r.OpsPerSecond), max(s.Max, r.Max)
		if r.Failed() {
			s.Failed++
		}
	}
	return s
}

// medianIfAll returns the median, nil if a run lacks the figure.
func medianIfAll(runs []*Report, figure func(*Report) *float64) *float64 {
	for _, r := range runs {
		if figure(r) == nil {
			return nil
		}
	}
	median := medianOf(runs, func(r *Report) float64 { return *figure(r) })
	return &median
}

func medianOf[R any](runs []R, figure func(R) float64) float64 {
	var figures []float64
	for _, r := range runs {
		figures = append(figures, figure(r))
	}
	slices.Sort(figures)
	half := len(figures) / 2
	if len(figures)%2 == 1 {
		return figures[half]
	}
	return (figures[half-1] + figures[half]) / 2
}

// Series is the runs of a plan and their summary.
type Series struct {
	Runs    []*Report  `json:"runs"`
	Summary []*Summary `json:"summary"`
}

// NewSeries summarizes the runs.
func NewSeries(runs []*Report) *Series { return &Series{Runs: runs, Summary: Summarize(runs)} }

// WriteJSON writes the series as one JSON object and a line end.
func (s *Series) WriteJSON(w io.Writer) error { return writeJSON(w, s) }

// summaryHeads are the heads of the columns of Summary.cells.
func summaryHeads() []string {
	return []string{
		"op",
		"-c",
		"-P",
		"target",
		"op/s",
		"x first",
		"p50 us",
		"p99 us",
		"p99.9 us",
		"max us",
		"server us/op",
		"client us/op",
		"server MiB",
	}
}

// server returns the server's description and address.
func (s *Summary) server() string {
	if s.Server == "" {
		return s.Target
	}
	return fmt.Sprintf("%s (%s)", s.Server, s.Target)
}

// cells returns the summary's figures for a table.
func (s *Summary) cells() []string {
	known := func(format string, figure *float64, unit float64) string {
		if figure == nil {
			return "-"
		}
		return fmt.Sprintf(format, *figure/unit)
	}
	target, pipeline := s.server(), fmt.Sprint(s.Pipeline)
	connections := fmt.Sprint(s.Connections)
	if s.Connections == 0 {
		connections = "-" // unknown
	}
	if s.Client != "" {
		target, pipeline = s.Client+" on "+target, fmt.Sprintf("%d goroutines", s.Goroutines)
	}
	if s.Failed > 0 {
		target += fmt.Sprintf(" (%d of %d runs FAILED)", s.Failed, s.Runs)
	}
	return []string{
		s.Op, connections, pipeline, target, fmt.Sprintf("%.0f", s.OpsPerSecond), spellRatio(s.Ratio),
		fmt.Sprintf("%.0f", s.P50), fmt.Sprintf("%.0f", s.P99), fmt.Sprintf("%.0f", s.P999), fmt.Sprintf("%.0f", s.Max),
		known("%.2f", s.ServerCPU, 1), fmt.Sprintf("%.2f", s.ClientCPU), known("%.1f", s.ServerRSS, 1<<20),
	}
}

// spellRatio keeps at least two significant digits.
func spellRatio(ratio float64) string {
	switch {
	case ratio >= 0.1:
		return fmt.Sprintf("%.2f", ratio)
	case ratio >= 0.01:
		return fmt.Sprintf("%.3f", ratio)
	default:
		return fmt.Sprintf("%.4f", ratio)
	}
}

// WriteTable writes one line for each workload and target.
func (s *Series) WriteTable(w io.Writer) error {
	const gap = 2
	table := tabwriter.NewWriter(w, 0, 0, gap, ' ', tabwriter.AlignRight)
	lines := [][]string{summaryHeads()}
	for _, summary := range s.Summary {
		lines = append(lines, summary.cells())
	}
	for _, cells := range lines {
		if _, err := fmt.Fprintln(table, strings.Join(cells, "\t")+"\t"); err != nil {
			return err
		}
	}
	if err := table.Flush(); err != nil || len(s.Summary) == 0 {
		return err
	}
	first := s.Summary[0]
	_, err := fmt.Fprintf(
		w,
		"\n%s; medians of %d runs, max of all; %s, %d CPUs, %s\n",
		first.Workload,
		first.Runs,
		first.Machine.Processor,
		first.Machine.CPUs,
		first.Machine.Kernel,
	)
	return err
}
