package page

import (
	"cmp"
	"fmt"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// drawBars draws the answer's figures as bars, if there is more than one, and puts the chart before
// the other pictures.
func (a *answer) drawBars() error {
	figures := a.bars(a.figures)
	if len(figures) < 2 {
		return nil
	}
	unit := opsPerSecond
	if a.unit != "" {
		unit = a.unit
	}
	drawn, err := barChart(cmp.Or(a.heading, a.title), unit, figures)
	if err != nil {
		return fmt.Errorf("chart of %s: %w", a.name, err)
	}
	a.pictures = append([]Picture{{Name: a.chart, SVG: drawn}}, a.pictures...)
	return nil
}

// barChart draws a group of bars for each workload, from top to bottom in the order of the figures;
// a bar is as long as its figure, and its name and figure stand at its end.
func barChart(title, unit string, figures []figure) ([]byte, error) {
	const thick, step, gap, surroundings, roomForNames = 18, 22, 16, 90, 1.55
	groups := newPivot(figures)
	if len(groups.shared) > 0 {
		title += " (" + strings.Join(groups.shared, " ") + ")"
	}
	p := newPlot(title, unit, "")
	most, height := 0.0, 0.0
	for _, f := range figures {
		most = max(most, f.value)
	}
	var ticks plot.ConstantTicks
	type bar struct {
		at float64 // of its middle, from the top
		f  figure
	}
	var bars []bar
	for _, row := range groups.rows {
		from := height
		for _, column := range groups.columns {
			if f, measured := groups.figures[[2]string{row, column}]; measured {
				bars = append(bars, bar{height + step/2, f})
				height += step
			}
		}
		ticks = append(ticks, plot.Tick{Value: -(from + height) / 2, Label: row})
		height += gap
	}
	for _, b := range bars {
		chart, err := plotter.NewPolygon(rectangle(b.f.value, -b.at, thick))
		if err != nil {
			return nil, err
		}
		chart.Color, chart.Width = colorOf(b.f.column), 0
		name, err := plotter.NewLabels(plotter.XYLabels{
			XYs:    plotter.XYs{{X: b.f.value, Y: -b.at}},
			Labels: []string{number(b.f.value, b.f.decimals) + "  " + b.f.column},
		})
		if err != nil {
			return nil, err
		}
		name.TextStyle[0] = p.X.Tick.Label
		name.TextStyle[0].XAlign, name.TextStyle[0].YAlign = 0, -0.5
		name.Offset = vg.Point{X: vg.Points(gap / 2)}
		p.Add(chart, name)
	}
	p.X.Min, p.X.Max = 0, most*roomForNames
	p.Y.Min, p.Y.Max = -height, gap/2
	p.X.Tick.Marker, p.Y.Tick.Marker, p.Y.Tick.Length = upTo{most}, ticks, 0
	return svg(p, vg.Points(height+surroundings))
}

// rectangle is a bar that ends at x, with its middle at y.
func rectangle(x, y, thick float64) plotter.XYs {
	return plotter.XYs{{X: 0, Y: y - thick/2}, {X: x, Y: y - thick/2}, {X: x, Y: y + thick/2}, {X: 0, Y: y + thick/2}}
}

// upTo marks an axis only as far as the bars reach.
type upTo struct{ most float64 }

// Ticks returns the ticks between least and u.most.
func (u upTo) Ticks(least, _ float64) []plot.Tick { return linearTicks{2}.Ticks(least, u.most) }
