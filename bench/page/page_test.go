package page

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"cyberdb-fast/bench"
)

// run returns the report of a run as it could have been.
func run(t *testing.T, target string, connections, pipeline int, ops float64) *bench.Report {
	t.Helper()
	h := hdrhistogram.New(1, int64(time.Minute), 3)
	for i := range 10_000 {
		if err := h.RecordValue(int64(i+1) * 100); err != nil {
			t.Fatal(err)
		}
	}
	hdr, err := h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	if err != nil {
		t.Fatal(err)
	}
	return &bench.Report{
		Op:           "get",
		Target:       target,
		Server:       "server of " + target,
		Connections:  connections,
		Pipeline:     pipeline,
		Asked:        pipeline,
		OpsPerSecond: ops,
		Ops:          10_000,
		P50:          500,
		P99:          990,
		P999:         999,
		Max:          1000,
		Keys:         10,
		KeyBytes:     16,
		ValueBytes:   32,
		Seed:         1,
		HDR:          string(hdr),
		Command:      "cyberdb-bench <x> --target " + target,
		Intervals: []bench.Interval{
			{Start: 0, Ops: 9, P99: 7},
			{Start: 0.1, Ops: 9, P99: 8},
		},
		Machine: bench.Machine{Processor: "fast & small", CPUs: 2},
	}
}

func series(t *testing.T) *bench.Series {
	t.Helper()
	var runs []*bench.Report
	for _, connections := range []int{1, 50} {
		for _, pipeline := range []int{1, 16} {
			runs = append(
				runs,
				run(t, "cyberdb://h:1", connections, pipeline, float64(2000*connections)),
				run(t, "redis://h:2", connections, pipeline, float64(1000*connections)),
			)
		}
	}
	return bench.NewSeries(runs)
}

func TestWriteHTML(t *testing.T) {
	var out bytes.Buffer
	if err := WriteHTML(&out, series(t)); err != nil {
		t.Fatal(err)
	}
	text := out.String()
	for _, want := range []string{
		"fast &amp; small", "cyberdb-bench &lt;x&gt;", "server of redis://h:2", "Latency by percentile: get, -c 50 -P 16", "p99 over time: get, -c 1 -P 1",
		"Throughput by connections: get, -P 16", "Throughput by pipeline: get, -c 50", ">99.9<",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing", want)
		}
	}
	for _, outside := range []string{"<script", "src=", "href=\"http", "@import"} {
		if strings.Contains(text, outside) {
			t.Errorf("the page fetches something: %s", outside)
		}
	}
}

func TestPicturesAreXML(t *testing.T) {
	pictures, err := Pictures(series(t))
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, p := range pictures {
		for decoder := xml.NewDecoder(bytes.NewReader(p.SVG)); ; {
			if _, err := decoder.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", p.Name, err)
			}
		}
		if names[p.Name] {
			t.Errorf("two pictures are named %s", p.Name)
		}
		names[p.Name] = true
	}
	if len(pictures) != 4*2+2+2 {
		t.Errorf("%d pictures", len(pictures))
	}
}

func TestPicturesOfLittle(t *testing.T) {
	few := run(t, "cyberdb://h:1", 1, 1, 1)
	few.HDR, few.Intervals = "", nil
	if pictures, err := Pictures(bench.NewSeries([]*bench.Report{few})); err != nil || len(pictures) != 0 {
		t.Errorf("%d pictures of a run without figures, %v", len(pictures), err)
	}
	few.HDR = "HIST nonsense"
	if _, err := Pictures(bench.NewSeries([]*bench.Report{few})); err == nil {
		t.Error("a histogram that is none is drawn")
	}
}

func TestFillIn(t *testing.T) {
	document := "# T\n<!-- bench machine -->\nold\n<!-- bench end -->\nmiddle\n<!-- bench get -->\nold\n<!-- bench end -->\n<!-- bench other -->\nstays\n<!-- bench end -->\nlast\n"
	section := Section{Name: "get", Results: bench.Results{
		Runs:  []*bench.Report{run(t, "a://h:1", 50, 16, 100), run(t, "b://h:2", 50, 16, 50)},
		Loads: []*bench.LoadReport{{Server: "a 1.0", Entries: 5, Op: "set", BytesPerEntry: 84.25}},
		Idles: []*bench.IdleReport{
			{
				Target:             "a://h:1",
				Connections:        10,
				BytesPerConnection: 2000,
				Rest:               &bench.Rest{WakeupsPerSecond: 9.5, CorePercent: 0.03, Watched: 10},
			},
		},
	}, Pictures: []Picture{{Name: "connections-1"}}}
	once, err := FillIn([]byte(document), []Section{section}, "bench/results")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"# T\n<!-- bench machine -->\n\n| ", "fast & small, 2 CPUs", "| get | 50 | 16 | server of b://h:2 (b://h:2) | 50 | 0.50 |", "| a 1.0 | 5 entries by set", "84.2 |",
		"| a://h:1 | 10 idle connections | 2000 |", "| a://h:1 | 10 | 9.5 | 0.030 | 10 |", "![connections-1](bench/results/get-connections-1.svg)", "    cyberdb-bench <x> --target a://h:1\n", "stays", "last\n",
	} {
		if !strings.Contains(string(once), want) {
			t.Errorf("%q is missing in\n%s", want, once)
		}
	}
	python := &bench.PythonRun{
		CallsPerSecond: 90,
		Client:         "client",
		Server:         "server",
		Op:             "set",
		Pipeline:       100,
		Caller:         "thread",
		Callers:        8,
		Python:         "CPython 3.11",
		Command:        "make p",
		Machine:        bench.Machine{Processor: "slow", CPUs: 2},
	}
	with, err := FillIn(
		[]byte(document),
		[]Section{{Name: "get", Results: bench.Results{Python: []*bench.PythonRun{python}}}},
		"",
	)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"\nset, 0 keys of 0 bytes, values of 0 bytes, CPython 3.11:\n\n| callers |", "\n| 8 threads | 100 | client on server | 90 |", "    make p\n", "slow, 2 CPUs", "| servers | server |"} {
		if !strings.Contains(string(with), want) {
			t.Errorf("%q is missing in\n%s", want, with)
		}
	}
	if strings.Contains(string(once), "old") {
		t.Error("the old text is still there")
	}
	if twice, err := FillIn(once, []Section{section}, "bench/results"); err != nil || !bytes.Equal(once, twice) {
		t.Errorf("filling in twice gives another text: %v", err)
	}
	for _, bad := range []string{"<!-- bench get -->\nno end", "no marker"} {
		if _, err := FillIn([]byte(bad), []Section{section}, ""); err == nil {
			t.Errorf("%q is filled in", bad)
		}
	}
}
