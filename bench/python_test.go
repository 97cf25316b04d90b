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
	type figures struct{ median, ratio, least, most, cpu float64 }
	want := []figures{{200, 1, 100, 300, 8}, {20, 0.1, 20, 20, 30}, {50, 1, 50, 50, 4}}
	var got []figures
	for _, s := range SummarizePython(r.Python) {
		got = append(got, figures{s.OpsPerSecond, s.Ratio, s.Least, s.Most, s.ClientCPU})
	}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
