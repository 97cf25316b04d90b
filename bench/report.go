package bench

import (
	"fmt"
	"io"
	"math"
	"text/tabwriter"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/bytedance/sonic"
)

// Report is what a run measured. Times are microseconds, sizes bytes. The keys of the JSON form
// stay as they are.
type Report struct {
	OpsPerSecond float64 `json:"ops_per_s"`
	P50          float64 `json:"p50_us"`
	P99          float64 `json:"p99_us"`
	P999         float64 `json:"p999_us"`
	Max          float64 `json:"max_us"`
	Ops          uint64  `json:"ops"`
	Errors       uint64  `json:"errors"` // wrong replies and requests without a reply, warm-up included
	Misses       uint64  `json:"misses"` // keys and indexes that were not there, warm-up included
	Op           string  `json:"op"`
	Connections  int     `json:"connections"`
	Pipeline     int     `json:"pipeline"`
	Seconds      float64 `json:"duration_s"`
	KeyBytes     int     `json:"key_size"`   // mean
	ValueBytes   int     `json:"value_size"` // mean
	Keys         int     `json:"keys"`
	Seed         uint64  `json:"seed"`
	Target       string  `json:"target"`
	Threads      int     `json:"threads"`
	ClientCPU    float64 `json:"client_cpu_us_per_op"`

	// nil unless the server is a process of this machine
	ServerCPU *float64 `json:"server_cpu_us_per_op,omitempty"`
	ServerRSS *int64   `json:"server_rss_bytes,omitempty"`

	Asked int `json:"pipeline_asked,omitempty"` // what was asked for; Pipeline is 1 if the protocol has none

	// of the workload, if it is not the default
	KeySizes   string  `json:"key_sizes,omitempty"` // uniform:MIN-MAX
	ValueSizes string  `json:"value_sizes,omitempty"`
	Tables     int     `json:"tables,omitempty"`
	Zipf       float64 `json:"zipf,omitempty"`
	Ratio      string  `json:"ratio,omitempty"`
	Rate       float64 `json:"rate,omitempty"` // requests a second, as requested
	// of these, how many were never sent; the latencies include them
	Unsent uint64 `json:"unsent,omitempty"`

	// of runs that call a client library
	Client      string   `json:"client,omitempty"`
	Goroutines  int      `json:"goroutines,omitempty"`
	AllocsPerOp *float64 `json:"client_allocs_per_op,omitempty"`

	Halfway *Halfway `json:"halfway,omitempty"` // of runs with a command in their middle

	Server    string     `json:"server,omitempty"` // its own description
	Machine   Machine    `json:"machine"`
	Command   string     `json:"command,omitempty"`
	Time      time.Time  `json:"time"`
	Intervals []Interval `json:"intervals,omitempty"`
	// the histogram of the latencies in nanoseconds, HdrHistogram V2, compressed, base64
	HDR string `json:"hdr,omitempty"`

	// Messages describe the first errors.
	Messages []string `json:"-"`
}

// Interval is what happened in a part of the measured time.
type Interval struct {
	Start float64 `json:"start_s"`
	Ops   int64   `json:"ops"`
	P50   float64 `json:"p50_us"`
	P99   float64 `json:"p99_us"`
	Max   float64 `json:"max_us"`
}

func newReport(o *Options, t *tally, before, after sample) *Report {
	total, longest := t.latency.total(), microseconds(t.latency.max)
	r := &Report{
		OpsPerSecond: rounded(float64(t.ops)/max(t.span, 1).Seconds(), 10),
		P50:          min(quantile(total, 50), longest),
		P99:          min(quantile(total, 99), longest),
		P999:         min(quantile(total, 99.9), longest),
		Max:          longest,
		Ops:          t.ops,
		Errors:       t.errors,
		Misses:       t.misses,
		Op:           o.Op.String(),
		Connections:  o.Connections,
		Pipeline:     o.Pipeline,
		Seconds:      rounded(t.span.Seconds(), 1e6),
		KeyBytes:     o.KeySize.mean(),
		ValueBytes:   o.ValueSize.mean(),
		Keys:         o.Keys,
		Seed:         o.Seed,
		Target:       o.Target.String(),
		Threads:      o.Threads,
		ClientCPU:    perOp(after.client-before.client, t.ops),
		Zipf:         o.Zipf,
		Rate:         o.Rate,
		Unsent:       t.unsent,
		Machine:      ThisMachine(),
		Time:         before.at.UTC().Truncate(time.Second),
		Intervals:    t.latency.intervals(t.span),
		HDR:          encoded(total),
		Messages:     t.messages,
	}
	r.describeWorkload(o)
	if before.serverKnown && after.serverKnown {
		cpu := perOp(after.server.cpu-before.server.cpu, t.ops)
		r.ServerCPU, r.ServerRSS = &cpu, &after.server.rss
	}
	return r
}

// describeWorkload fills in what differs from the default workload.
func (r *Report) describeWorkload(o *Options) {
	if o.KeySize.Min != o.KeySize.Max {
		r.KeySizes = o.KeySize.String()
	}
	if o.ValueSize.Min != o.ValueSize.Max {
		r.ValueSizes = o.ValueSize.String()
	}
	if o.Tables > 1 {
		r.Tables = o.Tables
	}
	if o.Op.anyOf(OpMixed, OpHMixed) {
		r.Ratio = o.Ratio.String()
	}
}

// intervals returns the figures of each part of the measured time, without one that ended early.
func (l *latencies) intervals(span time.Duration) (all []Interval) {
	for i, part := range l.parts {
		start := time.Duration(i) * l.interval
		if i > 0 && start+l.interval > span {
			break
		}
		all = append(all, Interval{
			Start: rounded(start.Seconds(), 1e3), Ops: part.TotalCount(),
			P50: quantile(part, 50), P99: quantile(part, 99), Max: microseconds(time.Duration(part.Max())),
		})
	}
	return all
}

// encoded returns the histogram as other HdrHistogram libraries read it, "" if it is empty.
func encoded(h *hdrhistogram.Histogram) string {
	text, err := h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	if err != nil || h.TotalCount() == 0 {
		return ""
	}
	return string(text)
}

// Histogram returns the latencies in nanoseconds. Errors: a report without a valid histogram.
func (r *Report) Histogram() (*hdrhistogram.Histogram, error) {
	h, err := hdrhistogram.Decode([]byte(r.HDR))
	if err != nil {
		return nil, fmt.Errorf("histogram of %s: %w", r.Target, err)
	}
	return h, nil
}

// Failed reports whether any reply was wrong or missing.
func (r *Report) Failed() bool { return r.Errors > 0 || r.Misses > 0 }

func quantile(h *hdrhistogram.Histogram, percent float64) float64 {
	return microseconds(time.Duration(h.ValueAtQuantile(percent)))
}

func microseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }

func perOp(d time.Duration, ops uint64) float64 {
	return rounded(microseconds(d)/float64(max(ops, 1)), 1e4)
}

// rounded rounds to multiples of 1/steps.
func rounded(x, steps float64) float64 { return math.Round(x*steps) / steps }

// WriteJSON writes the report as one JSON object and a line end.
func (r *Report) WriteJSON(w io.Writer) error { return writeJSON(w, r) }

func writeJSON(w io.Writer, report any) error {
	text, err := sonic.Marshal(report)
	if err != nil {
		return err
	}
	_, err = w.Write(append(text, '\n'))
	return err
}

// WriteTable writes the report as a table for people.
func (r *Report) WriteTable(w io.Writer) error {
	rows := [][2]string{
		{"target", r.targetLine()},
		{"workload", r.workloadLine()},
		{"load", r.loadLine()},
		{"operations", fmt.Sprintf("%d, %d errors, %d misses", r.Ops, r.Errors, r.Misses)},
		{"throughput", r.throughputLine()},
		{"latency", fmt.Sprintf("p50 %.0f us, p99 %.0f us, p99.9 %.0f us, max %.0f us", r.P50, r.P99, r.P999, r.Max)},
		{"client CPU", fmt.Sprintf("%.3f us per operation", r.ClientCPU)},
	}
	if r.AllocsPerOp != nil {
		rows = append(rows, [2]string{"client memory", fmt.Sprintf("%.2f allocations per operation", *r.AllocsPerOp)})
	}
	if r.ServerCPU != nil {
		rows = append(rows,
			[2]string{"server CPU", fmt.Sprintf("%.3f us per operation", *r.ServerCPU)},
			[2]string{"server memory", fmt.Sprintf("%.1f MiB resident", float64(*r.ServerRSS)/(1<<20))})
	}
	if r.Halfway != nil {
		rows = append(rows, r.Halfway.rows()...)
	}
	return writeRows(w, rows)
}

func (r *Report) targetLine() string {
	if r.Server == "" {
		return r.Target
	}
	return r.Target + " (" + r.Server + ")"
}

func (r *Report) workloadLine() string {
	keys, values := fmt.Sprint(r.KeyBytes), fmt.Sprint(r.ValueBytes)
	if r.KeySizes != "" {
		keys = r.KeySizes
	}
	if r.ValueSizes != "" {
		values = r.ValueSizes
	}
	line := fmt.Sprintf("%s, %d keys of %s bytes, values of %s bytes, seed %d", r.Op, r.Keys, keys, values, r.Seed)
	if r.Tables > 1 {
		line += fmt.Sprintf(", %d tables", r.Tables)
	}
	if r.Ratio != "" {
		line += ", reads to writes " + r.Ratio
	}
	if r.Zipf > 0 {
		line += fmt.Sprintf(", Zipf %g", r.Zipf)
	}
	return line
}

func (r *Report) loadLine() string {
	if r.Client != "" {
		return fmt.Sprintf(
			"%s, %d goroutines, %d connections, %.2f s",
			r.Client,
			r.Goroutines,
			r.Connections,
			r.Seconds,
		)
	}
	return fmt.Sprintf(
		"%d connections, %d in flight on each, %d threads, %.2f s",
		r.Connections,
		r.Pipeline,
		r.Threads,
		r.Seconds,
	)
}

func (r *Report) throughputLine() string {
	line := fmt.Sprintf("%.0f op/s", r.OpsPerSecond)
	if r.Rate > 0 {
		line += fmt.Sprintf(" of %.0f requested (open loop), %d never sent", r.Rate, r.Unsent)
	}
	return line
}

func writeRows(w io.Writer, rows [][2]string) error {
	const gap = 2
	table := tabwriter.NewWriter(w, 0, 0, gap, ' ', 0)
	for _, row := range rows {
		if _, err := fmt.Fprintf(table, "%s\t%s\n", row[0], row[1]); err != nil {
			return err
		}
	}
	return table.Flush()
}
