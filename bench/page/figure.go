package page

import (
	"fmt"
	"slices"
	"strings"

	"cyberdb-fast/bench"
)

// figure is one measured value of a workload on a server: a cell of a summary table, a bar of its
// chart.
type figure struct {
	workload []string // parts of the row's name, as flags of cyberdb-bench
	column   string
	value    float64
	decimals int
	details  []string // the cell's second line
	runs     int
}

// runFigures returns the throughput of each workload and server; below it p99 and server CPU.
func runFigures(runs []*bench.Report) (all []figure) {
	for _, s := range bench.Summarize(runs) {
		all = append(all, figure{
			workload: workloadOf(s.Sample), column: columnOf(s.Sample), value: s.OpsPerSecond,
			details: []string{number(s.P99, 0), known(s.ServerCPU, 1, 2)}, runs: s.Runs,
		})
	}
	return all
}

// Parts of the name of a workload, by their position.
const (
	partOp = iota
	partConnections
	partPipeline
	partKeys
	partValueSize
	partRate
	partSetting // of the server
	workloadParts
)

// The usual entries and bytes of a value, which names of workloads do not repeat.
const usualKeys, usualValueBytes = 100_000, 32

// workloadOf names the workload of a run by the flags that it has in common with others.
func workloadOf(r *bench.Report) []string {
	parts := make([]string, workloadParts)
	parts[partOp] = r.Op
	parts[partConnections] = "-c " + count(r.Connections)
	parts[partPipeline] = "-P " + count(max(r.Asked, 1))
	if r.Client != "" {
		parts[partConnections], parts[partPipeline] = "", count(r.Goroutines)+" goroutines"
	}
	if r.Keys != usualKeys {
		parts[partKeys] = "--keys " + count(r.Keys)
	}
	switch {
	case r.ValueSizes != "":
		parts[partValueSize] = "--value-size " + r.ValueSizes
	case r.ValueBytes != usualValueBytes:
		parts[partValueSize] = "--value-size " + count(r.ValueBytes)
	}
	if r.Rate > 0 {
		parts[partRate] = "--rate " + number(r.Rate, 0)
	}
	if policy := fsyncPolicies[port(r.Target)]; policy != "" {
		parts[partSetting] = "fsync " + policy
	}
	if strings.Contains(r.Command, "--encrypted") {
		parts[partSetting] = "encrypted"
	}
	return parts
}

// pythonFigures returns the throughput of each way to call and client; below it the client's CPU.
func pythonFigures(runs []*bench.PythonRun) (all []figure) {
	for _, s := range bench.SummarizePython(runs) {
		r := s.Sample
		all = append(all, figure{
			workload: []string{r.Op, callers(r), "-P " + count(r.Pipeline)},
			column:   clientLabel(r.Client, parseServer(r.Server, "")),
			value:    s.OpsPerSecond,
			details:  []string{number(s.ClientCPU, 2)}, runs: len(s.Runs),
		})
	}
	return all
}

func callers(r *bench.PythonRun) string {
	text := fmt.Sprintf("%d %s", r.Callers, r.Caller)
	if r.Callers > 1 {
		text += "s"
	}
	return text
}

// memoryFigures returns the resident bytes of each entry and each idle connection.
func memoryFigures(results *bench.Results) (all []figure) {
	known := map[string]string{} // what the server at a target reported
	for _, r := range results.Runs {
		known[r.Target] = r.Server
	}
	for _, r := range results.Loads {
		known[r.Target] = r.Server
		what := "dict entry"
		if r.Op == bench.OpAppend.String() {
			what = "list element"
		}
		all = append(all, figure{
			workload: []string{what}, column: parseServer(r.Server, r.Target).label(),
			value: r.BytesPerEntry, decimals: 1, runs: 1,
		})
	}
	for _, r := range results.Idles {
		all = append(all, figure{
			workload: []string{"idle connection"}, column: parseServer(known[r.Target], r.Target).label(),
			value: r.BytesPerConnection, runs: 1,
		})
	}
	return all
}

// pivot is figures in rows and columns, both in order of appearance. A row is named by what its
// workload does not share with all others, and its operation.
type pivot struct {
	rows, columns []string
	figures       map[[2]string]figure // by row and column
	shared        []string             // the rest of the workloads' names
}

func newPivot(all []figure) *pivot {
	p := &pivot{figures: map[[2]string]figure{}}
	varies := map[int]bool{}
	for _, f := range all {
		for i, part := range f.workload {
			varies[i] = varies[i] || i == partOp || part != all[0].workload[i]
		}
	}
	for i, f := range all {
		var row []string
		for j, part := range f.workload {
			switch {
			case part == "":
			case varies[j]:
				row = append(row, part)
			case i == 0:
				p.shared = append(p.shared, part)
			}
		}
		name := strings.Join(row, " ")
		p.rows, p.columns = addNew(p.rows, name), addNew(p.columns, f.column)
		p.figures[[2]string{name, f.column}] = f
	}
	return p
}

// table returns a row for each workload and a column for each server. Figures are compared with
// the first of their row. Rows of fewer runs than others are marked.
func (p *pivot) table() table {
	t := table{Heads: append([]string{""}, p.columns...)}
	_, most := p.runs()
	for _, row := range p.rows {
		line := cells(row)
		first := p.figures[[2]string{row, p.columns[0]}]
		for _, column := range p.columns {
			f, measured := p.figures[[2]string{row, column}]
			if !measured {
				line = append(line, cell{Text: "-"})
				continue
			}
			c := cell{Text: number(f.value, f.decimals), Below: strings.Join(f.details, " · ")}
			if first.value > 0 && column != p.columns[0] {
				c.Text += " (" + ratio(f.value/first.value) + ")"
			}
			line = append(line, c)
			if min(f.runs, most) < most {
				line[0].Text = row + " " + fewerRuns
			}
		}
		t.Lines = append(t.Lines, line)
	}
	return t
}

const fewerRuns = "†"

// runs returns the fewest and the most runs of a figure, both at most enough.
func (p *pivot) runs() (fewest, most int) {
	const enough = 5
	for _, f := range p.figures {
		runs := min(f.runs, enough)
		if fewest == 0 || runs < fewest {
			fewest = runs
		}
		most = max(most, runs)
	}
	return fewest, most
}

// medians says how many runs a figure stands for.
func (p *pivot) medians() string {
	fewest, most := p.runs()
	switch {
	case most == 1:
		return "One run each"
	case fewest < most:
		return fmt.Sprintf("Medians of %d runs (%s: of %d)", most, fewerRuns, fewest)
	}
	return fmt.Sprintf("Medians of %d runs", most)
}

// without returns the figures whose column is not one of these.
func without(all []figure, columns ...string) []figure {
	return slices.DeleteFunc(slices.Clone(all), func(f figure) bool { return slices.Contains(columns, f.column) })
}

// only returns the figures whose workload has one of these parts.
func only(all []figure, parts ...string) []figure {
	return slices.DeleteFunc(slices.Clone(all), func(f figure) bool {
		return !slices.ContainsFunc(parts, func(part string) bool { return slices.Contains(f.workload, part) })
	})
}
