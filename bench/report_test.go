package bench

import (
	"bytes"
	"testing"
	"time"
)

func goldenReport() *Report {
	o := DefaultOptions()
	t := &tally{ops: 400_000, span: 2 * time.Second, latency: newLatencies(time.Second, nil)}
	for i := range 1000 {
		t.latency.record(time.Duration(i+1) * time.Microsecond)
	}
	start := time.Unix(0, 0)
	before := sample{
		at:          start,
		client:      time.Second,
		server:      usage{cpu: 5 * time.Second, rss: 1 << 20},
		serverKnown: true,
	}
	after := sample{
		at:          start.Add(2 * time.Second),
		client:      1400 * time.Millisecond,
		server:      usage{cpu: 5300 * time.Millisecond, rss: 3 << 20},
		serverKnown: true,
	}
	r := newReport(&o, t, before, after)
	r.Machine = Machine{Processor: "p", CPUs: 2, MemoryGiB: 7.8, Kernel: "Linux 6", Go: "go1", Commit: "c"}
	return r
}

// TestReportJSON keeps the keys that scripts read.
func TestReportJSON(t *testing.T) {
	const want = `{"ops_per_s":200000,"p50_us":500.223,"p99_us":990.207,"p999_us":999.423,"max_us":1000,"ops":400000,"errors":0,"misses":0,` +
		`"op":"get","connections":50,"pipeline":16,"duration_s":2,"key_size":16,"value_size":32,"keys":100000,"seed":1,` +
		`"target":"cyberdb://127.0.0.1:9980","threads":1,"client_cpu_us_per_op":1,"server_cpu_us_per_op":0.75,"server_rss_bytes":3145728,` +
		`"machine":{"processor":"p","cpus":2,"memory_gib":7.8,"kernel":"Linux 6","go":"go1","commit":"c"},"time":"1970-01-01T00:00:00Z",` +
		`"intervals":[{"start_s":0,"ops":1000,"p50_us":500.223,"p99_us":990.207,"max_us":1000.447}]}` + "\n"
	var got bytes.Buffer
	r := goldenReport()
	if h, err := r.Histogram(); err != nil || h.TotalCount() != 1000 || quantile(h, 99) != r.P99 {
		t.Errorf("the histogram of the report: %v", err)
	}
	r.HDR = ""
	if err := r.WriteJSON(&got); err != nil || got.String() != want {
		t.Errorf("%v\n%s\nwant\n%s", err, got.String(), want)
	}
}

func TestReportJSONOfARemoteServer(t *testing.T) {
	r := goldenReport()
	r.ServerCPU, r.ServerRSS = nil, nil
	var got bytes.Buffer
	if err := r.WriteJSON(&got); err != nil || bytes.Contains(got.Bytes(), []byte("server")) {
		t.Errorf("%v: %s", err, got.String())
	}
}

func TestReportTable(t *testing.T) {
	const want = `target         cyberdb://127.0.0.1:9980
workload       get, 100000 keys of 16 bytes, values of 32 bytes, seed 1
load           50 connections, 16 in flight on each, 1 threads, 2.00 s
operations     400000, 0 errors, 0 misses
throughput     200000 op/s
latency        p50 500 us, p99 990 us, p99.9 999 us, max 1000 us
client CPU     1.000 us per operation
server CPU     0.750 us per operation
server memory  3.0 MiB resident
`
	var got bytes.Buffer
	if err := goldenReport().WriteTable(&got); err != nil || got.String() != want {
		t.Errorf("%v\n%s\nwant\n%s", err, got.String(), want)
	}
}

func TestMemoryReports(t *testing.T) {
	load := &LoadReport{
		Entries:       10,
		Before:        100,
		After:         940,
		BytesPerEntry: 84,
		Seconds:       1,
		Op:            "set",
		KeyBytes:      16,
		ValueBytes:    32,
		Seed:          1,
		Target:        "cyberdb://h:1",
	}
	idle := &IdleReport{
		Connections:        10,
		Before:             100,
		After:              20100,
		BytesPerConnection: 2000,
		Seconds:            1,
		Target:             "cyberdb://h:1",
	}
	const want = `{"entries":10,"server_rss_bytes_before":100,"server_rss_bytes":940,"bytes_per_entry":84,"duration_s":1,"op":"set","key_size":16,"value_size":32,"seed":1,"target":"cyberdb://h:1","machine":{"processor":"","cpus":0,"memory_gib":0,"kernel":"","go":""}}
{"connections":10,"server_rss_bytes_before":100,"server_rss_bytes":20100,"bytes_per_connection":2000,"duration_s":1,"target":"cyberdb://h:1","machine":{"processor":"","cpus":0,"memory_gib":0,"kernel":"","go":""}}
target         cyberdb://h:1
loaded         10 entries (set), keys of 16 bytes, values of 32 bytes, in 1.00 s
server memory  100 bytes resident before, 940 after
per entry      84.0 bytes
target          cyberdb://h:1
opened          10 connections in 1.00 s
server memory   100 bytes resident before, 20100 after
per connection  2000 bytes
`
	var got bytes.Buffer
	for _, write := range []func() error{
		func() error { return load.WriteJSON(&got) },
		func() error { return idle.WriteJSON(&got) },
		func() error { return load.WriteTable(&got) },
		func() error { return idle.WriteTable(&got) },
	} {
		if err := write(); err != nil {
			t.Fatal(err)
		}
	}
	if got.String() != want {
		t.Errorf("%s\nwant\n%s", got.String(), want)
	}
}
