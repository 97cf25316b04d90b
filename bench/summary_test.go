package bench

import (
	"bytes"
	"strings"
	"testing"
)

func TestSummarize(t *testing.T) {
	cpu := func(x float64) *float64 { return &x }
	run := func(target string, pipeline int, ops, p99 float64, serverCPU *float64) *Report {
		return &Report{
			Target:       target,
			Op:           "get",
			Connections:  50,
			Pipeline:     pipeline,
			Asked:        pipeline,
			OpsPerSecond: ops,
			P99:          p99,
			Max:          2 * p99,
			ServerCPU:    serverCPU,
		}
	}
	runs := []*Report{
		run("a", 16, 100, 5, cpu(1)), run("b", 16, 50, 7, cpu(3)),
		run("a", 16, 300, 9, cpu(2)), run("b", 16, 30, 7, nil),
		run("a", 16, 200, 6, cpu(9)), run("a", 1, 10, 1, nil), run("b", 1, 20, 1, nil),
	}
	runs[4].Errors = 1
	all := Summarize(runs)
	if len(all) != 4 {
		t.Fatalf("%d summaries", len(all))
	}
	a, b, single := all[0], all[1], all[3]
	if a.OpsPerSecond != 200 || a.Least != 100 || a.Most != 300 || a.P99 != 6 || a.Max != 18 || *a.ServerCPU != 2 ||
		a.Ratio != 1 ||
		a.Runs != 3 ||
		a.Failed != 1 {
		t.Errorf("%+v", a)
	}
	if b.OpsPerSecond != 40 || b.Ratio != 0.2 || b.ServerCPU != nil || b.Runs != 2 {
		t.Errorf("%+v", b)
	}
	if single.Ratio != 2 || single.Pipeline != 1 {
		t.Errorf("%+v", single)
	}
	var table bytes.Buffer
	if err := NewSeries(
		runs,
	).WriteTable(&table); err != nil ||
		!strings.Contains(table.String(), "a (1 of 3 runs FAILED)") {
		t.Errorf("%v\n%s", err, table.String())
	}
}
