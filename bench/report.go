package bench

import (
	"fmt"
	"io"
	"math"
	"text/tabwriter"
	"time"

	"github.com/bytedance/sonic"
)

// Report is what a run measured. Times are microseconds, sizes bytes. The keys of the JSON form stay as they are.
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
	KeyBytes     int     `json:"key_size"`
	ValueBytes   int     `json:"value_size"`
	Keys         int     `json:"keys"`
	Seed         uint64  `json:"seed"`
	Target       string  `json:"target"`
	Threads      int     `json:"threads"`
	ClientCPU    float64 `json:"client_cpu_us_per_op"`

	// nil unless the server is a process of this machine
	ServerCPU *float64 `json:"server_cpu_us_per_op,omitempty"`
	ServerRSS *int64   `json:"server_rss_bytes,omitempty"`

	// Messages tells the first errors in words.
	Messages []string `json:"-"`
}

func newReport(o *Options, t *tally, before, after sample) *Report {
	elapsed := after.at.Sub(before.at)
	r := &Report{
		OpsPerSecond: rounded(float64(t.ops)/elapsed.Seconds(), 10),
		P50:          microseconds(t.latency.percentile(50)),
		P99:          microseconds(t.latency.percentile(99)),
		P999:         microseconds(t.latency.percentile(99.9)),
		Max:          microseconds(t.latency.max),
		Ops:          t.ops, Errors: t.errors, Misses: t.misses,
		Op: o.Op.String(), Connections: o.Connections, Pipeline: o.Pipeline, Seconds: rounded(elapsed.Seconds(), 1e6),
		KeyBytes: o.KeyBytes, ValueBytes: o.ValueBytes, Keys: o.Keys, Seed: o.Seed, Target: o.Target.String(), Threads: o.Threads,
		ClientCPU: perOp(after.client-before.client, t.ops),
		Messages:  t.messages,
	}
	if before.serverKnown && after.serverKnown {
		cpu := perOp(after.server.cpu-before.server.cpu, t.ops)
		r.ServerCPU, r.ServerRSS = &cpu, &after.server.rss
	}
	return r
}

// Failed says whether any reply was wrong or missing.
func (r *Report) Failed() bool { return r.Errors > 0 || r.Misses > 0 }

func microseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }

func perOp(d time.Duration, ops uint64) float64 {
	return rounded(microseconds(d)/float64(max(ops, 1)), 1e4)
}

// rounded keeps digits behind the point: steps is how many fit into one.
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
		{"target", r.Target},
		{"workload", fmt.Sprintf("%s, %d keys of %d bytes, values of %d bytes, seed %d", r.Op, r.Keys, r.KeyBytes, r.ValueBytes, r.Seed)},
		{"load", fmt.Sprintf("%d connections, %d in flight on each, %d threads, %.2f s", r.Connections, r.Pipeline, r.Threads, r.Seconds)},
		{"operations", fmt.Sprintf("%d, %d errors, %d misses", r.Ops, r.Errors, r.Misses)},
		{"throughput", fmt.Sprintf("%.0f op/s", r.OpsPerSecond)},
		{"latency", fmt.Sprintf("p50 %.0f us, p99 %.0f us, p99.9 %.0f us, max %.0f us", r.P50, r.P99, r.P999, r.Max)},
		{"client CPU", fmt.Sprintf("%.3f us per operation", r.ClientCPU)},
	}
	if r.ServerCPU != nil {
		rows = append(rows,
			[2]string{"server CPU", fmt.Sprintf("%.3f us per operation", *r.ServerCPU)},
			[2]string{"server memory", fmt.Sprintf("%.1f MiB resident", float64(*r.ServerRSS)/(1<<20))})
	}
	return writeRows(w, rows)
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
