package page

import (
	"bytes"
	"fmt"
	"html/template"
	"math"
	"slices"
	"strings"

	"github.com/HdrHistogram/hdrhistogram-go"
	"gonum.org/v1/plot/plotter"

	"cyberdb-fast/bench"
)

// Picture is a chart, as SVG.
type Picture struct {
	Name string // for a file: letters, digits and hyphens
	SVG  []byte
}

// HTML returns the chart for the inside of an HTML document.
func (p Picture) HTML() template.HTML {
	at := max(bytes.Index(p.SVG, []byte("<svg")), 0)
	return template.HTML(p.SVG[at:]) //nolint:gosec // drawn by this package, which escapes texts
}

// lineCharts draws the charts of these kinds: "percentiles" and "time" are the latency of each
// workload, the others throughput by a parameter that varies. Names begin with prefix. Errors: of
// reports whose histogram cannot be read.
func lineCharts(prefix string, runs []*bench.Report, kinds []string) (all []Picture, err error) {
	var drawings []drawing
	for i, same := range byWorkload(runs) {
		latency, err := latencyCharts(same)
		if err != nil {
			return nil, err
		}
		for _, d := range latency {
			d.name = fmt.Sprintf("%s-%d", d.name, i+1)
			drawings = append(drawings, d)
		}
	}
	for i, d := range throughputs(bench.Summarize(runs)) {
		d.name = fmt.Sprintf("%s-%d", d.name, i+1)
		drawings = append(drawings, d)
	}
	for _, d := range drawings {
		if kind := d.name[:strings.LastIndex(d.name, "-")]; len(d.lines) == 0 || !slices.Contains(kinds, kind) {
			continue
		}
		drawn, err := d.draw()
		if err != nil {
			return nil, fmt.Errorf("chart %q: %w", d.title, err)
		}
		all = append(all, Picture{Name: prefix + "-" + d.name, SVG: drawn})
	}
	return all, nil
}

// latencyCharts returns the charts of runs of one workload.
func latencyCharts(runs []*bench.Report) ([]drawing, error) {
	percentiles, err := percentileLines(runs)
	if err != nil {
		return nil, err
	}
	title := strings.Join(workloadFlags(runs[0]), " ")
	return []drawing{
		{
			name:   "percentiles",
			title:  "Latency by percentile: " + title,
			lines:  percentiles,
			x:      "percentile of the requests",
			y:      "latency in us (logarithmic)",
			logX:   true,
			logY:   true,
			ticksX: percentileTicks,
		},
		{
			name: "time", title: "p99 over time: " + title, lines: timeLines(runs),
			x: "seconds since the start of the run", y: "p99 latency in us",
		},
	}, nil
}

// workloadFlags returns the parts of the workload's name that are not empty.
func workloadFlags(r *bench.Report) []string {
	return slices.DeleteFunc(workloadOf(r), func(part string) bool { return part == "" })
}

// byWorkload puts the runs of one workload together, in order of appearance.
func byWorkload(runs []*bench.Report) (all [][]*bench.Report) {
	for _, r := range runs {
		at := slices.IndexFunc(all, func(group []*bench.Report) bool {
			return slices.Equal(workloadOf(group[0]), workloadOf(r))
		})
		if at < 0 {
			all = append(all, []*bench.Report{r})
		} else {
			all[at] = append(all[at], r)
		}
	}
	return all
}

// percentileLines returns a line for each server: the latencies of all its runs together.
func percentileLines(runs []*bench.Report) (lines []line, err error) {
	var names []string
	histograms := map[string]*hdrhistogram.Histogram{}
	for _, r := range runs {
		if r.HDR == "" {
			continue
		}
		h, err := r.Histogram()
		if err != nil {
			return nil, err
		}
		name := columnOf(r)
		if sum := histograms[name]; sum != nil {
			sum.Merge(h)
			continue
		}
		names, histograms[name] = append(names, name), h
	}
	for _, name := range names {
		lines = append(lines, line{name, percentilePoints(histograms[name])})
	}
	return lines, nil
}

// percentilePoints goes from the median on, closer and closer to the longest: x is 1/(1-q), so that
// each further nine has the same width.
func percentilePoints(h *hdrhistogram.Histogram) (points plotter.XYs) {
	const nanosPerMicro, stepsPerNine = 1e3, 10
	for step := 0; ; step++ {
		x := 2 * math.Pow(10, float64(step)/stepsPerNine)
		if step > 0 && x > float64(h.TotalCount()) {
			return points
		}
		points = append(points, plotter.XY{X: x, Y: max(float64(h.ValueAtQuantile(100*(1-1/x)))/nanosPerMicro, 1)})
	}
}

// timeLines returns a line for each server, of the last of its runs.
func timeLines(runs []*bench.Report) (lines []line) {
	for _, r := range runs {
		var points plotter.XYs
		for _, part := range r.Intervals {
			if part.Ops > 0 {
				points = append(points, plotter.XY{X: part.Start, Y: max(part.P99, 1)})
			}
		}
		if len(points) < 2 {
			continue
		}
		l := line{columnOf(r), points}
		if at := slices.IndexFunc(lines, func(other line) bool { return other.name == l.name }); at >= 0 {
			lines[at] = l
		} else {
			lines = append(lines, l)
		}
	}
	return lines
}

// parameter is a number of the workload that throughput is drawn by.
type parameter struct {
	name, axis string
	part       int // its place in a workload's name
	of         func(*bench.Report) int
}

var parameters = []parameter{
	{"connections", "connections (logarithmic)", partConnections, func(r *bench.Report) int { return r.Connections }},
	{
		"pipeline",
		"requests in flight on each connection, -P (logarithmic)",
		partPipeline,
		func(r *bench.Report) int { return max(r.Asked, 1) },
	},
	{"keys", "entries (logarithmic)", partKeys, func(r *bench.Report) int { return r.Keys }},
	{"value-size", "bytes of a value (logarithmic)", partValueSize, func(r *bench.Report) int { return r.ValueBytes }},
}

// throughputs draws operations a second by each parameter, for workloads that differ in it alone.
func throughputs(all []*bench.Summary) (drawings []drawing) {
	for _, by := range parameters {
		var found []drawing
		for _, s := range all {
			if s.Client != "" {
				continue
			}
			parts := workloadOf(s.Sample)
			parts[by.part] = ""
			rest := strings.Join(slices.DeleteFunc(parts, func(part string) bool { return part == "" }), " ")
			heading := fmt.Sprintf("Throughput by %s: %s", by.name, rest)
			at := slices.IndexFunc(found, func(d drawing) bool { return d.title == heading })
			if at < 0 {
				at = len(found)
				found = append(
					found,
					drawing{name: by.name, title: heading, x: by.axis, y: "operations per second", logX: true},
				)
			}
			found[at].add(columnOf(s.Sample), plotter.XY{X: float64(by.of(s.Sample)), Y: s.OpsPerSecond})
		}
		drawings = append(drawings, found...)
	}
	drawings = slices.DeleteFunc(drawings, func(d drawing) bool {
		return !slices.ContainsFunc(d.lines, func(l line) bool { return len(l.points) > 1 })
	})
	for i := range drawings {
		drawings[i].ticksX = drawings[i].measuredTicks()
	}
	return drawings
}
