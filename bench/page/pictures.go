package page

import (
	"bytes"
	"cmp"
	"fmt"
	"html/template"
	"math"
	"slices"

	"github.com/HdrHistogram/hdrhistogram-go"
	"gonum.org/v1/plot/plotter"

	"cyberdb-fast/bench"
)

// Picture is a drawing, as SVG.
type Picture struct {
	Name string // for a file: letters, digits and hyphens
	SVG  []byte
}

// HTML returns the drawing for the inside of an HTML document.
func (p Picture) HTML() template.HTML {
	at := max(bytes.Index(p.SVG, []byte("<svg")), 0)
	return template.HTML(p.SVG[at:]) //nolint:gosec // drawn by this package, which escapes texts
}

// Pictures draws latency by percentile and over time for each workload, and throughput by
// connections and by pipeline where these vary.
func Pictures(series *bench.Series) (all []Picture, err error) {
	for i, runs := range byWorkload(series.Runs) {
		title := title(runs[0])
		percentiles, err := percentileLines(runs)
		if err != nil {
			return nil, err
		}
		for _, d := range []drawing{
			{name: "percentiles", title: "Latency by percentile: " + title, x: "percentile", y: "us", lines: percentiles, logX: true, logY: true, ticksX: percentileTicks},
			{name: "time", title: "p99 over time: " + title, x: "s", y: "us", lines: timeLines(runs), logY: true},
		} {
			if all, err = d.addTo(all, i); err != nil {
				return nil, err
			}
		}
	}
	for i, d := range throughputs(series.Summary) {
		if all, err = d.addTo(all, i); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// addTo draws and appends; drawings without a line are left out.
func (d drawing) addTo(all []Picture, number int) ([]Picture, error) {
	if len(d.lines) == 0 {
		return all, nil
	}
	svg, err := d.draw()
	if err != nil {
		return nil, fmt.Errorf("picture %q: %w", d.title, err)
	}
	return append(all, Picture{Name: fmt.Sprintf("%s-%d", d.name, number+1), SVG: svg}), nil
}

func title(r *bench.Report) string {
	if r.Client != "" {
		return fmt.Sprintf("%s, %d goroutines", r.Op, r.Goroutines)
	}
	text := fmt.Sprintf("%s, -c %d -P %d", r.Op, r.Connections, cmp.Or(r.Asked, r.Pipeline))
	if r.Rate > 0 {
		text += fmt.Sprintf(", %.0f op/s asked for", r.Rate)
	}
	return text
}

// byWorkload puts the runs of one workload together, in order of appearance.
func byWorkload(runs []*bench.Report) (all [][]*bench.Report) {
	for _, r := range runs {
		at := slices.IndexFunc(all, func(group []*bench.Report) bool { return title(group[0]) == title(r) })
		if at < 0 {
			all = append(all, []*bench.Report{r})
		} else {
			all[at] = append(all[at], r)
		}
	}
	return all
}

// name is what the reader knows the measured thing by.
func name(target, client string) string { return cmp.Or(client, target) }

// percentileLines returns a line for each target: the latencies of all its runs together.
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
		who := name(r.Target, r.Client)
		if sum := histograms[who]; sum != nil {
			sum.Merge(h)
			continue
		}
		names, histograms[who] = append(names, who), h
	}
	for _, who := range names {
		lines = append(lines, line{who, percentilePoints(histograms[who])})
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

// timeLines returns a line for each target, of the last of its runs.
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
		l := line{name(r.Target, r.Client), points}
		if at := slices.IndexFunc(lines, func(other line) bool { return other.name == l.name }); at >= 0 {
			lines[at] = l
		} else {
			lines = append(lines, l)
		}
	}
	return lines
}

// throughputs draws operations a second by connections for each pipeline, and by pipeline for each
// number of connections.
func throughputs(all []*bench.Summary) (drawings []drawing) {
	connections := func(s *bench.Summary) int { return s.Connections }
	pipeline := func(s *bench.Summary) int { return s.Pipeline }
	drawings = append(
		drawings,
		throughputBy(
			all,
			"connections",
			connections,
			func(s *bench.Summary) string { return fmt.Sprintf("%s, -P %d", s.Op, s.Pipeline) },
		)...)
	return append(
		drawings,
		throughputBy(
			all,
			"pipeline",
			pipeline,
			func(s *bench.Summary) string { return fmt.Sprintf("%s, -c %d", s.Op, s.Connections) },
		)...)
}

func throughputBy(
	all []*bench.Summary,
	what string,
	x func(*bench.Summary) int,
	rest func(*bench.Summary) string,
) (drawings []drawing) {
	for _, s := range all {
		if s.Client != "" {
			continue
		}
		heading := fmt.Sprintf("Throughput by %s: %s", what, rest(s))
		at := slices.IndexFunc(drawings, func(d drawing) bool { return d.title == heading })
		if at < 0 {
			at = len(drawings)
			drawings = append(drawings, drawing{name: what, title: heading, x: what, y: "op/s", logX: true})
		}
		drawings[at].add(s.Target, plotter.XY{X: float64(x(s)), Y: s.OpsPerSecond})
	}
	return slices.DeleteFunc(drawings, func(d drawing) bool {
		return !slices.ContainsFunc(d.lines, func(l line) bool { return len(l.points) > 1 })
	})
}
