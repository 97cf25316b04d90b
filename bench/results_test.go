package bench

import (
	"bytes"
	"strings"
	"testing"
)

func TestReadResults(t *testing.T) {
	var file bytes.Buffer
	run, load, idle := goldenReport(), &LoadReport{
		Entries:       5,
		BytesPerEntry: 84,
	}, &IdleReport{
		Connections:        9,
		BytesPerConnection: 0,
	}
	for _, write := range []func() error{
		func() error { return run.WriteJSON(&file) },
		func() error { return load.WriteJSON(&file) },
		func() error { return idle.WriteJSON(&file) },
		func() error { return run.WriteJSON(&file) },
	} {
		if err := write(); err != nil {
			t.Fatal(err)
		}
	}
	var r Results
	if err := r.ReadResults(&file); err != nil || len(r.Runs) != 2 || *r.Loads[0] != *load || *r.Idles[0] != *idle {
		t.Fatalf("%v: %+v", err, r)
	}
	if got := r.Runs[1]; got.P99 != run.P99 || *got.ServerCPU != *run.ServerCPU || !got.Time.Equal(run.Time) ||
		got.HDR != run.HDR ||
		len(got.Intervals) != len(run.Intervals) {
		t.Errorf("%+v, want %+v", got, run)
	}
	for _, bad := range []string{"{}", "nonsense", `{"ops_per_s":"many"}`} {
		if err := r.ReadResults(
			strings.NewReader("{\"ops_per_s\":1}\n" + bad),
		); err == nil ||
			!strings.HasPrefix(err.Error(), "line 2: ") {
			t.Errorf("%s: error %v", bad, err)
		}
	}
}
