package page

import (
	"slices"
	"strings"

	"cyberdb-fast/bench"
)

// Section is the results of one file, NAME.jsonl.
type Section struct {
	Name    string
	Results bench.Results
	Notes   string // of NAME.txt in the same folder, which the measurement wrote
}

// question is what a part of the report answers: from which sections, by which table and chart.
type question struct {
	name     string // its marker in BENCHMARKS.md
	title    string
	note     string
	sections []string
	keep     func(*bench.Report) bool // which runs belong to it, nil for all
	layout   func(*answer)
	summary  func([]figure) []figure // what is in the table, nil for all
	legend   string                  // of the table's cells
	chart    string                  // the picture in BENCHMARKS.md: one of lines, or bars
	bars     func([]figure) []figure // what is drawn as bars, nil for no bars
	heading  string                  // of the bars, "" for the title
	unit     string                  // of the bars, "" for operations
	lines    []string                // kinds of line charts
}

const (
	throughputLegend = "Each cell: operations a second (relative to the first column); below, p99 in us · server CPU " +
		"in us per operation."
	pythonLegend = "Each cell: operations a second (relative to the first column); below, the client's CPU in us " +
		"per operation."
	latencyLegend = "Latencies are in us, server CPU is in us per operation."
	opsPerSecond  = "operations per second (more is better)"
)

// throughputLines are the charts of throughput against one parameter of the workload.
var throughputLines = []string{"connections", "pipeline", "keys", "value-size"}

// questions is the order of the report.
var questions = []question{
	{
		name:  "throughput",
		title: "Dicts",
		note: "Redis and Valkey keep the entries as keys of their database (GET, SET). gnet echo only returns " +
			"what it receives.",
		sections: []string{"throughput"},
		layout:   layoutThroughput,
		summary:  oneEcho,
		legend:   throughputLegend,
		chart:    headline,
		bars:     peersOnly,
		heading:  "Reads and writes of a dict",
		lines:    throughputLines,
	},
	{
		name: "single", title: "One request in flight",
		note:     "Two system calls per request dominate on every server.",
		sections: []string{"single"}, layout: layoutThroughput, summary: oneEcho, legend: throughputLegend,
		chart: "single-connections-1", lines: throughputLines,
	},
	{
		name:  "lists",
		title: "Hashes and lists",
		note: "One dict of 100,000 keys against HGET and HSET; lists against RPUSH, LINDEX, RPOP and LINSERT. " +
			"Redis walks its linked lists.",
		sections: []string{"lists", "longlist"},
		layout:   layoutThroughput,
		summary:  listsOnly,
		legend:   throughputLegend,
		chart:    "lists-bars",
		bars:     listsOnly,
	},
	{
		name: "openloop", title: "Open loop",
		note:     "Requests arrive on a timetable, at half of the highest rate of Redis.",
		sections: []string{"openloop"}, layout: layoutLatency, legend: latencyLegend,
		chart: "openloop-percentiles-1", lines: []string{"percentiles"},
	},
	{
		name: "growing", title: "While a dict grows",
		note:     "Clients set keys that do not exist until all 1,000,000 do.",
		sections: []string{"growing"}, layout: layoutLatency, legend: latencyLegend,
		chart: "growing-percentiles-1", lines: []string{"percentiles"},
	},
	{
		name:  "cost",
		title: "Growth",
		note:  "Throughput by connections, requests in flight, entries and sizes of values.",
		sections: []string{
			"cost",
		},
		keep:    notByLoops,
		layout:  layoutThroughput,
		summary: extremes,
		legend:  throughputLegend,
		chart:   "cost-pipeline-2",
		lines:   throughputLines,
	},
	{
		name:  "memory",
		title: "Memory",
		note: "Resident memory after minus before, each on a fresh server: 1,000,000 entries, 10,000 idle " +
			"connections.",
		sections: []string{"memory", "idle"},
		layout:   layoutMemory,
		legend:   "Resident bytes each.",
		chart:    "memory-bars",
		bars:     entriesOnly,
		unit:     "resident bytes of each (less is better)",
	},
	{
		name: "fsync", title: "The journal",
		note:     "The same load on servers that differ in when changes are on disk; the first row has no journal.",
		sections: []string{"fsync"}, layout: layoutThroughput, summary: withoutFsyncNo, legend: throughputLegend,
		chart: "fsync-bars", bars: func(f []figure) []figure { return only(f, "-P 16") },
	},
	{
		name: "saving", title: "A save under load",
		note:     "Half reads, half writes; in the middle of each run the server saves all entries.",
		sections: []string{"saving"}, layout: layoutSaving, legend: latencyLegend,
		chart: "saving-time-1", lines: []string{"time"},
	},
	{
		name: "encryption", title: "Encryption",
		note:     "The same server with and without --encrypt.",
		sections: []string{"encryption"}, layout: layoutThroughput, legend: throughputLegend,
		summary: func(f []figure) []figure { return only(f, "-P 16") },
		chart:   "encryption-bars", bars: all,
	},
	{
		name: "clients", title: "Go clients",
		note:     "Goroutines call each library; each waits for its reply before its next call.",
		sections: []string{"clients"}, layout: layoutThroughput, legend: throughputLegend,
		chart: "clients-bars", bars: all,
	},
	{
		name:  "python",
		title: "Python clients",
		note: "Callers in one process; each waits for its reply before its next call. -P 100 is a pipeline of " +
			"100 operations.",
		sections: []string{"python"},
		layout:   layoutPython,
		summary:  pythonGets,
		legend:   pythonLegend,
		chart:    "python-bars",
		bars:     func(f []figure) []figure { return unpipelined(only(f, "get")) },
	},
	{
		name:     "flask",
		title:    "Flask",
		note:     "A page reads one entry; gunicorn -w 4 -k gevent, wrk over 50 connections. Latencies and CPU in us.",
		sections: []string{"flask"}, layout: layoutPages, legend: latencyLegend,
	},
	{
		name:     "adapters",
		title:    "Caches of Python frameworks",
		note:     "Each adapter beside the Redis backend of its framework, called in turn; 100 keys for many.",
		sections: []string{"adapters"}, layout: layoutCaches,
		legend: "Each cell: how many times as many operations a second as the Redis backend.",
	},
	{
		name:  "waiting",
		title: "Locks and queues, Go clients",
		note: "lock: take a lock and release it. take: take an item of a queue and acknowledge it (LMOVE and LREM). " +
			"wake: how long until one that waits has an item that is appended for it.",
		sections: []string{"waiting"}, layout: layoutThroughput, legend: throughputLegend,
		summary: func(f []figure) []figure { return only(f, "50 goroutines") },
		chart:   "waiting-bars", bars: func(f []figure) []figure { return only(f, "lock", "take") },
	},
	{
		name:  "python-waiting",
		title: "Locks and queues, Python clients",
		note: "lock: acquire and release. job: put an item into a queue, take it and acknowledge it (BLMOVE and " +
			"LREM). pop: append, then pop with a wait (BLPOP). wake: two callers wake each other.",
		sections: []string{"python-waiting"},
		layout:   layoutPython,
		legend:   pythonLegend,
		summary: func(f []figure) []figure {
			return without(only(only(f, "1 thread", "50 tasks"), "lock", "job", "wake"), "cyberdb_fast, encrypted")
		},
		chart: "python-waiting-bars",
		bars:  all,
	},
	{
		name: "legacy", title: "The original CyberDB",
		note:     "Its protocol has no pipelining. --legacy is cyberdb-fast with the original's protocol.",
		sections: []string{"legacy"}, layout: layoutThroughput, legend: throughputLegend,
		summary: func(f []figure) []figure { return only(unpipelined(f), "get") },
		chart:   "legacy-bars", bars: unpipelined,
	},
	{
		name: "unmodified", title: "The original's own client",
		note:     "The unmodified client from PyPI on both servers, plain and with encrypt=True.",
		sections: []string{"unmodified", "unmodified-encrypted"}, layout: layoutThroughput, legend: throughputLegend,
		summary: func(f []figure) []figure { return only(f, "get") },
		chart:   "unmodified-bars", bars: all,
	},
}

func all(figures []figure) []figure { return figures }

func oneEcho(figures []figure) []figure { return without(figures, "gnet echo, 2 event loops") }

func peersOnly(figures []figure) []figure { return without(oneEcho(figures), "gnet echo") }

func listsOnly(figures []figure) []figure {
	return append(only(figures, "-P 64"), only(only(figures, "--keys 1,000,000"), "index", "insert")...)
}

func entriesOnly(figures []figure) []figure { return only(figures, "dict entry", "list element") }

func pythonGets(figures []figure) []figure {
	return without(only(figures, "get"), "CyberDB, encrypted")
}

// withoutFsyncNo leaves the policy to the raw tables whose figures are those of everysec.
func withoutFsyncNo(figures []figure) []figure {
	return slices.DeleteFunc(
		slices.Clone(figures),
		func(f figure) bool { return f.workload[partSetting] == "fsync no" },
	)
}

func unpipelined(figures []figure) []figure { return only(figures, "-P 1") }

// extremes are the least and the most of each parameter.
func extremes(figures []figure) []figure {
	return only(
		figures,
		"-c 1",
		"-P 256",
		"--keys 5,000,000",
		"--value-size 1,000,000",
	)
}

// byLoops picks the runs that compare cyberdb-fast with itself, by its number of event loops.
func byLoops(r *bench.Report) bool {
	return !strings.Contains(r.Command, "--keys") && strings.Count(r.Command, "--target") == 1
}

func notByLoops(r *bench.Report) bool { return !byLoops(r) }

// answer is a question with what was measured.
type answer struct {
	*question
	found    []*Section    // with results, in the question's order
	results  bench.Results // of these, as far as the question keeps them
	figures  []figure      // of its bars
	shared   []string      // what its workloads have in common
	medians  string        // how many runs a figure stands for
	table    table
	pictures []Picture // the first is the chart
}

// answers returns the questions that the sections answer. A section that belongs to no question is
// one of its own. Errors: of drawing.
func answers(sections []Section) (all []*answer, err error) {
	known := map[string]bool{}
	for i := range questions {
		q := &questions[i]
		var found []*Section
		for _, name := range q.sections {
			known[name] = true
			for j := range sections {
				if sections[j].Name == name {
					found = append(found, &sections[j])
				}
			}
		}
		if len(found) > 0 {
			all = append(all, &answer{question: q, found: found})
		}
	}
	for i := range sections {
		if s := &sections[i]; !known[s.Name] {
			all = append(all, &answer{question: unknownQuestion(s), found: []*Section{s}})
		}
	}
	for _, a := range all {
		if err := a.complete(); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// unknownQuestion shows everything that is known of a section.
func unknownQuestion(s *Section) *question {
	q := &question{
		name: s.Name, title: s.Name, sections: []string{s.Name}, layout: layoutThroughput, legend: throughputLegend,
		chart: s.Name + "-bars", bars: all, lines: append([]string{"percentiles", "time"}, throughputLines...),
	}
	switch {
	case len(s.Results.Python) > 0:
		q.layout, q.legend = layoutPython, pythonLegend
	case len(s.Results.Runs) == 0:
		q.layout, q.legend, q.unit = layoutMemory, "Resident bytes each.", "resident bytes of each (less is better)"
	}
	return q
}

// complete fills in the table and draws the pictures.
func (a *answer) complete() error {
	for _, s := range a.found {
		for _, r := range s.Results.Runs {
			if a.keep == nil || a.keep(r) {
				a.results.Runs = append(a.results.Runs, r)
			}
		}
		a.results.Loads = append(a.results.Loads, s.Results.Loads...)
		a.results.Idles = append(a.results.Idles, s.Results.Idles...)
		a.results.Python = append(a.results.Python, s.Results.Python...)
	}
	a.layout(a)
	if a.bars != nil {
		if err := a.drawBars(); err != nil {
			return err
		}
	}
	lines, err := lineCharts(a.name, a.results.Runs, a.lines)
	if err != nil {
		return err
	}
	a.pictures = append(a.pictures, lines...)
	slices.SortStableFunc(a.pictures, func(x, y Picture) int { return a.rank(x) - a.rank(y) })
	return nil
}

func (a *answer) rank(p Picture) int {
	if p.Name == a.chart {
		return 0
	}
	return 1
}

// commands returns the commands that made the results.
func (s *Section) commands() (all []string) {
	for _, r := range s.Results.Runs {
		all = addNew(all, r.Command)
	}
	for _, r := range s.Results.Loads {
		all = addNew(all, r.Command)
	}
	for _, r := range s.Results.Idles {
		all = addNew(all, r.Command)
	}
	for _, r := range s.Results.Python {
		all = addNew(all, r.Command)
	}
	return all
}

func addNew(all []string, one string) []string {
	if one == "" || slices.Contains(all, one) {
		return all
	}
	return append(all, one)
}
