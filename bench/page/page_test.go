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
		Server:       map[string]string{"cyberdb://h:1": "cyberdb-fast f13193a, 1 event loops", "redis://h:2": "redis 7.0"}[target],
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

// sections returns the results of the question about dicts and of one that is not known.
func sections(t *testing.T) []Section {
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
	return []Section{
		{Name: "other", Results: bench.Results{Runs: runs}, Notes: "noted <here>"},
		{Name: "throughput", Results: bench.Results{Runs: runs}},
	}
}

func report(t *testing.T, sections ...Section) *Report {
	t.Helper()
	r, err := NewReport(sections)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestWriteHTML(t *testing.T) {
	var out bytes.Buffer
	if err := report(t, sections(t)...).WriteHTML(&out); err != nil {
		t.Fatal(err)
	}
	text := out.String()
	for _, want := range []string{
		"fast &amp; small", "cyberdb-bench &lt;x&gt;", "redis 7.0 (redis://h:2)", "noted &lt;here&gt;",
		"Latency by percentile: get -c 50 -P 16", "p99 over time: get -c 1 -P 1",
		"Throughput by connections: get -P 16", "Throughput by pipeline: get -c 50", ">99.9<",
		"<td>100,000<small>990 · -</small></td>", "<td>50,000 (0.50)<small>", "<h2>Dicts</h2>",
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
	if strings.Index(text, "<h2>Dicts</h2>") > strings.Index(text, "<h2>other</h2>") {
		t.Error("the known question is not first")
	}
	if strings.Index(text, "Reads and writes of a dict") > strings.Index(text, "<h2>") {
		t.Error("the headline is not at the top")
	}
}

func TestPicturesAreXML(t *testing.T) {
	names := map[string]bool{}
	for _, p := range report(t, sections(t)...).Pictures() {
		for decoder := xml.NewDecoder(bytes.NewReader(p.SVG)); ; {
			if _, err := decoder.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", p.Name, err)
			}
		}
		if names[p.Name] {
			t.Errorf("two charts %s", p.Name)
		}
		names[p.Name] = true
	}
	for _, want := range []string{"headline", "throughput-pipeline-3", "other-percentiles-4", "other-time-1", "other-connections-1", "other-bars"} {
		if !names[want] {
			t.Errorf("no chart %s in %v", want, names)
		}
	}
}

func TestPicturesOfLittle(t *testing.T) {
	few := run(t, "cyberdb://h:1", 1, 1, 1)
	few.HDR, few.Intervals = "", nil
	section := Section{Name: "x", Results: bench.Results{Runs: []*bench.Report{few}}}
	if pictures := report(t, section).Pictures(); len(pictures) != 0 {
		t.Errorf("%d charts of a run without figures", len(pictures))
	}
	few.HDR = "HIST nonsense"
	if _, err := NewReport([]Section{section}); err == nil {
		t.Error("a histogram that is none is drawn")
	}
}

// TestLinesKeepWorkloadsApart: a line has no points of runs with other sizes.
func TestLinesKeepWorkloadsApart(t *testing.T) {
	large := run(t, "cyberdb://h:1", 50, 4, 9)
	large.ValueBytes = 1000
	runs := []*bench.Report{
		run(t, "cyberdb://h:1", 50, 1, 1), run(t, "cyberdb://h:1", 50, 4, 3), run(t, "cyberdb://h:1", 50, 16, 7), large,
	}
	drawings := throughputs(bench.Summarize(runs))
	if len(drawings) != 2 || drawings[0].name != "pipeline" || drawings[1].name != "value-size" {
		t.Fatalf("%+v", drawings)
	}
	if points := drawings[0].lines[0].points; len(points) != 3 || points[1].Y != 3 {
		t.Errorf("%v", points)
	}
}

func TestFillIn(t *testing.T) {
	const document = "# T\n<!-- bench machine -->\nold\n<!-- bench end -->\nmiddle\n<!-- bench get -->\nold\n<!-- bench end -->\n" +
		"<!-- bench else -->\nstays\n<!-- bench end -->\nlast\n"
	one := run(t, "cyberdb://h:1", 50, 16, 1e6)
	r := report(t, Section{Name: "get", Results: bench.Results{Runs: []*bench.Report{
		one, one, one, one, one, run(t, "redis://h:2", 50, 16, 5e5), run(t, "redis://h:2", 50, 16, 5e5),
	}}})
	once, err := r.FillIn([]byte(document), "results", "results/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"# T\n<!-- bench machine -->\n\n| ", "fast & small, 2 CPUs",
		"![get](results/get-bars.svg)\n\nMedians of 5 runs (†: of 2) with `-c 50 -P 16 --keys 10`: cyberdb-fast f13193a, redis 7.0." +
			" [Commands](results/README.md#get).\n\n| | cyberdb-fast | Redis |\n|---|--:|--:|\n" +
			"| get † | 1,000,000<br>990 · - | 500,000 (0.50)<br>990 · - |\n",
		"stays", "last\n",
	} {
		if !strings.Contains(string(once), want) {
			t.Errorf("%q is missing in\n%s", want, once)
		}
	}
	if strings.Contains(string(once), "old") {
		t.Error("the old text is still there")
	}
	if twice, err := r.FillIn(once, "results", "results/README.md"); err != nil || !bytes.Equal(once, twice) {
		t.Errorf("filling in twice gives another text: %v", err)
	}
	for _, bad := range []string{"<!-- bench get -->\nno end", "no marker"} {
		if _, err := r.FillIn([]byte(bad), "", ""); err == nil {
			t.Errorf("%q is filled in", bad)
		}
	}
}

func TestTables(t *testing.T) {
	python := &bench.PythonRun{
		CallsPerSecond: 9000,
		Client:         "client 1.0",
		Server:         "server",
		Op:             "set",
		Pipeline:       100,
		Caller:         "thread",
		Callers:        8,
		Python:         "CPython 3.11",
		Command:        "make p",
		Machine:        bench.Machine{Processor: "slow", CPUs: 2},
	}
	saving := run(t, "cyberdb://h:1", 50, 1, 1000)
	saving.Halfway = &bench.Halfway{
		Before: bench.Stage{Seconds: 2, OpsPerSecond: 2000, P99: 10}, During: bench.Stage{OpsPerSecond: 1000, P99: 20},
	}
	text := string(report(
		t,
		Section{Name: "saving", Results: bench.Results{Runs: []*bench.Report{saving}}, Notes: "native: 5 s\n"},
		Section{Name: "memory", Results: bench.Results{
			Loads: []*bench.LoadReport{
				{Server: "cyberdb-fast 1, 1 event loops", Target: "cyberdb://h:1", Op: "set", BytesPerEntry: 84.25},
				{Server: "valkey 8", Target: "redis://h:2", Op: "set", BytesPerEntry: 168.5},
			},
			Idles: []*bench.IdleReport{{
				Target: "redis://h:2", Connections: 10, BytesPerConnection: 2000,
				Rest: &bench.Rest{WakeupsPerSecond: 9.5, CorePercent: 0.03, Watched: 10},
			}},
		}},
		Section{Name: "python", Results: bench.Results{Python: []*bench.PythonRun{python}}},
	).Tables())
	for _, want := range []string{
		"\n## saving\n\nA save under load.", "Servers: cyberdb-fast f13193a, 1 event loop (cyberdb://h:1).",
		"| cyberdb-fast | during | 0.00 | 1,000 | 0.50 | 0 | 20 | 2.00 | 0 | 0 |", "native: 5 s", "    cyberdb-bench <x> --target cyberdb://h:1\n",
		"| cyberdb-fast | get | 50 | 1 | 1,000 | 1.00 | 500 | 990 | 999 | 1,000 | - | 0.00 | - | 1 |",
		"| | cyberdb-fast | Valkey |\n", "| dict entry | 84.2 | 168.5 (2.00) |", "| idle connection | - | 2,000 |", "| 10 | 9.5 | 0.030 | 10 |",
		"set, 0 keys of 0 bytes, values of 0 bytes, CPython 3.11:", "| client | 8 threads | 100 | 9,000 | 1.00 | 9,000 | 9,000 | 0.00 | 1 |",
		"    make p\n", "slow, 2 CPUs",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
}

func TestParseServer(t *testing.T) {
	for _, c := range []struct{ description, target, want string }{
		{"cyberdb-fast f13193a, 1 event loops", "cyberdb://h:1", "cyberdb-fast"},
		{"cyberdb-fast without version, 2 event loops", "cyberdbs://h:1", "cyberdb-fast, encrypted, 2 event loops"},
		{"cyberdb-fast f13193a --legacy", "h:1", "cyberdb-fast --legacy"},
		{"cyberdb-fast --legacy, encrypted", "legacy-encrypted://h:1", "cyberdb-fast --legacy, encrypted"},
		{"redis 7.0.15", "redis://h:1", "Redis"},
		{"valkey 8.0", "redis://h:1", "Valkey"},
		{"", "redis://127.0.0.1:17380", "Valkey"},
		{"", "redis://127.0.0.1:17379", "Redis"},
		{"", "memcached://h:1", "memcached"},
		{"", "h:1", "h:1"},
		{"gnet echo, 1 event loops", "gnet-echo:1", "gnet echo"},
	} {
		if got := parseServer(c.description, c.target).label(); got != c.want {
			t.Errorf("%q at %q is %q, want %q", c.description, c.target, got, c.want)
		}
	}
}

func TestNumber(t *testing.T) {
	for _, c := range []struct {
		x        float64
		decimals int
		want     string
	}{{0, 0, "0"}, {999.6, 0, "1,000"}, {-1234567.25, 1, "-1,234,567.2"}, {123, 2, "123.00"}} {
		if got := number(c.x, c.decimals); got != c.want {
			t.Errorf("%v is %q, want %q", c.x, got, c.want)
		}
	}
}
