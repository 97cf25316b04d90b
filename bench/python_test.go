package bench

import (
	"slices"
	"strings"
	"testing"
)

const pythonLines = `{"calls_per_s": 100.0, "client": "ours", "server": "s", "op": "get", "pipeline": 1, "caller": "thread", "callers": 1, "client_cpu_us_per_op": 9, "keys": 10, "key_size": 16, "value_size": 32, "python": "CPython 3.11.7", "machine": {"processor": "p", "cpus": 2}, "command": "make bench-python", "time": "2026-11-25T22:48:30Z"}
{"calls_per_s": 20.0, "client": "theirs", "server": "t", "op": "get", "pipeline": 1, "caller": "thread", "callers": 1, "client_cpu_us_per_op": 30, "keys": 10, "key_size": 16, "value_size": 32, "python": "CPython 3.11.7"}
{"calls_per_s": 300.0, "client": "ours", "server": "s", "op": "get", "pipeline": 1, "caller": "thread", "callers": 1, "client_cpu_us_per_op": 7, "keys": 10, "key_size": 16, "value_size": 32, "python": "CPython 3.11.7"}
{"calls_per_s": 50.0, "client": "ours", "server": "s", "op": "get", "pipeline": 1, "caller": "task", "callers": 50, "client_cpu_us_per_op": 4, "keys": 10, "key_size": 16, "value_size": 32, "python": "CPython 3.11.7"}
`

func TestPythonRuns(t *testing.T) {
	var r Results
	if err := r.ReadResults(strings.NewReader(pythonLines)); err != nil || len(r.Python) != 4 || len(r.Runs) != 0 {
		t.Fatalf("%v: %+v", err, r)
	}
	if first := r.Python[0]; first.Machine.CPUs != 2 || first.Time.Day() != 25 || first.Command != "make bench-python" {
		t.Errorf("%+v", first)
	}
	want := [][]string{
		{"1 thread", "1", "ours on s", "200", "1.00", "100", "300", "8.00"},
		{"1 thread", "1", "theirs on t", "20", "0.10", "20", "20", "30.00"},
		{"50 tasks", "1", "ours on s", "50", "1.00", "50", "50", "4.00"},
	}
	var got [][]string
	for _, s := range SummarizePython(r.Python) {
		if s.Workload != "get, 10 keys of 16 bytes, values of 32 bytes, CPython 3.11.7" {
			t.Errorf("workload %q", s.Workload)
		}
		got = append(got, s.Cells())
	}
	if !slices.EqualFunc(got, want, slices.Equal) {
		t.Errorf("%q, want %q", got, want)
	}
	if len(PythonHeads()) != len(want[0]) {
		t.Errorf("%d heads over %d cells", len(PythonHeads()), len(want[0]))
	}
}
