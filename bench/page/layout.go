package page

import (
	"slices"
	"strings"

	"cyberdb-fast/bench"
)

// layoutThroughput has a row for each workload and a column for each server.
func layoutThroughput(a *answer) { a.fill(runFigures(a.results.Runs)) }

func layoutPython(a *answer) { a.fill(pythonFigures(a.results.Python)) }

// layoutPages has a row for each application, which a client and a server stand for.
func layoutPages(a *answer) {
	a.fill(pythonFigures(a.results.Python))
	a.table = table{Heads: []string{"", "pages/s", "of the first", "p99", "worker CPU"}}
	for _, s := range bench.SummarizePython(a.results.Python) {
		a.table.Lines = append(a.table.Lines, cells(
			s.Sample.Client, number(s.OpsPerSecond, 0), ratio(s.Ratio), number(s.P99, 0), number(s.ClientCPU, 0),
		))
	}
}

// layoutCaches has a row for each framework and a column for each operation: how many times as many
// of them the first client does as the second.
func layoutCaches(a *answer) {
	a.fill(pythonFigures(a.results.Python))
	a.table = table{Heads: []string{""}}
	for _, s := range bench.SummarizePython(a.results.Python) {
		if s.Sample.Client == a.results.Python[0].Client {
			continue
		}
		framework, operation, _ := strings.Cut(s.Sample.Op, " ")
		column := slices.Index(a.table.Heads, operation)
		if column < 0 {
			column = len(a.table.Heads)
			a.table.Heads = append(a.table.Heads, operation)
		}
		row := slices.IndexFunc(a.table.Lines, func(line []cell) bool { return line[0].Text == framework })
		if row < 0 {
			row = len(a.table.Lines)
			a.table.Lines = append(a.table.Lines, cells(framework))
		}
		for len(a.table.Lines[row]) <= column {
			a.table.Lines[row] = append(a.table.Lines[row], cell{Text: "-"})
		}
		a.table.Lines[row][column].Text = ratio(1 / s.Ratio)
	}
	for row := range a.table.Lines {
		for len(a.table.Lines[row]) < len(a.table.Heads) {
			a.table.Lines[row] = append(a.table.Lines[row], cell{Text: "-"})
		}
	}
}

func layoutMemory(a *answer) { a.fill(memoryFigures(&a.results)) }

func (a *answer) fill(figures []figure) {
	a.figures = figures
	if a.summary != nil {
		figures = a.summary(figures)
	}
	p := newPivot(figures)
	a.shared, a.medians, a.table = p.shared, p.medians(), p.table()
}

// layoutLatency has a row for each server: the workload is the same.
func layoutLatency(a *answer) {
	a.fill(runFigures(a.results.Runs))
	a.shared = workloadFlags(a.results.Runs[0])
	a.table = table{Heads: []string{"", "op/s", "p50", "p99", "p99.9", "max", "server CPU"}}
	for _, s := range bench.Summarize(a.results.Runs) {
		a.table.Lines = append(a.table.Lines, cells(
			columnOf(s.Sample), number(s.OpsPerSecond, 0), number(s.P50, 0), number(s.P99, 0), number(s.P999, 0),
			number(s.Max, 0), known(s.ServerCPU, 1, 2),
		))
	}
}

// layoutSaving has a row for each server before and during the save.
func layoutSaving(a *answer) {
	a.fill(runFigures(a.results.Runs))
	a.shared = workloadFlags(a.results.Runs[0])
	a.table = table{
		Heads: []string{"", "", "s", "op/s", "of before", "p50", "p99", "of before", "p99.9", "max"},
	}
	for _, line := range stageLines(a.results.Runs) {
		if line[1].Text != bench.StageNames[2] {
			a.table.Lines = append(a.table.Lines, line)
		}
	}
}

// stageLines are the medians before, during and after the commands in the middle of runs.
func stageLines(runs []*bench.Report) (lines [][]cell) {
	for _, s := range bench.SummarizeHalfway(runs) {
		before := s.Stages[0]
		for i, stage := range s.Stages {
			lines = append(lines, cells(
				columnOf(s.Sample), bench.StageNames[i], number(stage.Seconds, 2),
				number(stage.OpsPerSecond, 0), ratio(stage.OpsPerSecond/max(before.OpsPerSecond, 1)),
				number(stage.P50, 0), number(stage.P99, 0), ratio(stage.P99/max(before.P99, 1)),
				number(stage.P999, 0), number(stage.Max, 0),
			))
		}
	}
	return lines
}
