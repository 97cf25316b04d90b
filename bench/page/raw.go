package page

import (
	"fmt"
	"slices"
	"strings"

	"cyberdb-fast/bench"
)

// rawTables are all figures of a section.
func (s *Section) rawTables() (all []table) {
	all = append(runTables(s.Results.Runs), pythonTables(s.Results.Python)...)
	if lines := stageLines(s.Results.Runs); len(lines) > 0 {
		all = append(all, table{
			Title: "before, during and after the command in the middle of the runs",
			Heads: []string{
				"server",
				"when",
				"s",
				"op/s",
				"of before",
				"p50 us",
				"p99 us",
				"of before",
				"p99.9 us",
				"max us",
			},
			Lines: lines,
		})
	}
	if figures := memoryFigures(&s.Results); len(figures) > 0 {
		t := newPivot(figures).table()
		t.Title = "resident bytes each"
		all = append(all, t)
	}
	if lines := s.restLines(); len(lines) > 0 {
		all = append(all, table{
			Title: "servers whose clients send nothing",
			Heads: []string{"server", "idle connections", "wake-ups/s", "% of a core", "watched for s"},
			Lines: lines,
		})
	}
	return all
}

// tableOf returns the table with that title; it makes one with these heads if there is none.
func tableOf(all []table, title string, heads []string) ([]table, *table) {
	at := slices.IndexFunc(all, func(t table) bool { return t.Title == title })
	if at < 0 {
		at = len(all)
		all = append(all, table{Title: title, Heads: heads})
	}
	return all, &all[at]
}

func runTables(runs []*bench.Report) (all []table) {
	heads := []string{
		"server", "op", "-c", "-P", "op/s", "x first", "p50 us", "p99 us", "p99.9 us", "max us",
		"server us/op", "client us/op", "server MiB", "runs",
	}
	for _, s := range bench.Summarize(runs) {
		r := s.Sample
		title := strings.Replace(s.Workload, fmt.Sprintf(" %d keys", r.Keys), " "+count(r.Keys)+" keys", 1)
		connections, pipeline := count(s.Connections), count(s.Pipeline)
		if s.Connections == 0 {
			connections = "-" // the library does not say
		}
		if s.Client != "" {
			pipeline = count(s.Goroutines) + " goroutines"
		}
		name := columnOf(r)
		if policy := fsyncPolicies[port(r.Target)]; policy != "" {
			name += ", fsync " + policy
		}
		if s.Failed > 0 {
			name += fmt.Sprintf(" (%d of %d runs FAILED)", s.Failed, s.Runs)
		}
		var t *table
		all, t = tableOf(all, title, heads)
		t.Lines = append(t.Lines, cells(
			name, s.Op, connections, pipeline, number(s.OpsPerSecond, 0), ratio(s.Ratio),
			number(s.P50, 0), number(s.P99, 0), number(s.P999, 0), number(s.Max, 0),
			known(s.ServerCPU, 1, 2), number(s.ClientCPU, 2), known(s.ServerRSS, 1<<20, 1), count(s.Runs),
		))
	}
	return all
}

func pythonTables(runs []*bench.PythonRun) (all []table) {
	heads := []string{"client", "callers", "-P", "op/s", "x first", "least", "most", "client us/op", "runs"}
	for _, s := range bench.SummarizePython(runs) {
		r := s.Sample
		title := fmt.Sprintf(
			"%s, %s keys of %d bytes, values of %d bytes, %s",
			r.Op,
			count(r.Keys),
			r.KeyBytes,
			r.ValueBytes,
			r.Python,
		)
		var t *table
		all, t = tableOf(all, title, heads)
		t.Lines = append(t.Lines, cells(
			clientLabel(r.Client, parseServer(r.Server, "")),
			callers(r),
			count(r.Pipeline),
			number(
				s.OpsPerSecond,
				0,
			),
			ratio(s.Ratio),
			number(s.Least, 0),
			number(s.Most, 0),
			number(s.ClientCPU, 2),
			count(len(s.Runs)),
		))
	}
	return all
}

// restLines are what servers do whose clients send nothing.
func (s *Section) restLines() (lines [][]cell) {
	for _, r := range s.Results.Idles {
		if r.Rest != nil {
			lines = append(lines, cells(
				parseServer("", r.Target).label(), count(r.Connections),
				number(r.WakeupsPerSecond, 1), number(r.CorePercent, 3), number(r.Watched, 0),
			))
		}
	}
	return lines
}
