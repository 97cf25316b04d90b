package page

import (
	"bytes"
	"math"
	"slices"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// line is a named line of a drawing.
type line struct {
	name   string
	points plotter.XYs
}

// drawing is a picture to be.
type drawing struct {
	name, title, x, y string
	lines             []line
	logX, logY        bool // all values are above 0
	ticksX            plot.Ticker
}

// add appends a point to the line of that name; points of one x are the newest.
func (d *drawing) add(name string, point plotter.XY) {
	at := slices.IndexFunc(d.lines, func(l line) bool { return l.name == name })
	if at < 0 {
		d.lines = append(d.lines, line{name, plotter.XYs{point}})
		return
	}
	l := &d.lines[at]
	l.points = slices.DeleteFunc(l.points, func(p plotter.XY) bool { return p.X == point.X })
	l.points = append(l.points, point)
	slices.SortFunc(l.points, func(a, b plotter.XY) int { return int(a.X - b.X) })
}

// draw returns the picture as SVG.
func (d *drawing) draw() ([]byte, error) {
	const width, height, thick = 15 * vg.Centimeter, 10 * vg.Centimeter, 1.5
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = d.title, d.x, d.y
	p.Legend.Top, p.Legend.Left = true, true
	p.X.Tick.Marker, p.Y.Tick.Marker = spelled{plot.DefaultTicks{}}, spelled{plot.DefaultTicks{}}
	if !d.logY {
		p.Y.Min = 0
	}
	p.Add(plotter.NewGrid())
	for i, l := range d.lines {
		drawn, points, err := plotter.NewLinePoints(l.points)
		if err != nil {
			return nil, err
		}
		drawn.Color, drawn.Width = plotutil.Color(i), vg.Points(thick)
		points.Color, points.Shape, points.Radius = drawn.Color, plotutil.Shape(i), vg.Points(thick)
		p.Add(drawn, points)
		p.Legend.Add(l.name, drawn, points)
	}
	if d.logX {
		p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, spelled{plot.LogTicks{Prec: -1}}
	}
	if d.logY {
		p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, spelled{plot.LogTicks{Prec: -1}}
	}
	if d.ticksX != nil {
		p.X.Tick.Marker = d.ticksX
	}
	if p.X.Min == p.X.Max {
		p.X.Max *= 2 // one point alone
	}
	if p.Y.Min == p.Y.Max {
		p.Y.Max *= 2
	}
	d.makeRoom(p)
	useSans(p)
	canvas := vgsvg.New(width, height)
	p.Draw(draw.New(canvas))
	var svg bytes.Buffer
	_, err := canvas.WriteTo(&svg)
	return svg.Bytes(), err
}

// makeRoom lengthens the upright axis, so that the legend does not lie on the lines.
func (d *drawing) makeRoom(p *plot.Plot) {
	const perLine = 0.055
	share := perLine * float64(len(d.lines)+1)
	if d.logY {
		p.Y.Max *= math.Pow(p.Y.Max/p.Y.Min, share/(1-share))
	} else {
		p.Y.Max += (p.Y.Max - p.Y.Min) * share / (1 - share)
	}
}

// useSans sets every text in a face without serifs.
func useSans(p *plot.Plot) {
	const variant = "Sans"
	for _, style := range []*text.Style{
		&p.Title.TextStyle, &p.Legend.TextStyle, &p.X.Label.TextStyle, &p.Y.Label.TextStyle, &p.X.Tick.Label, &p.Y.Tick.Label,
	} {
		style.Font.Variant = variant
	}
}

// spelled writes the numbers of ticks without exponents.
type spelled struct{ ticks plot.Ticker }

// Ticks returns the ticks between least and most.
func (s spelled) Ticks(least, most float64) []plot.Tick {
	ticks := s.ticks.Ticks(least, most)
	for i := range ticks {
		if ticks[i].Label != "" {
			ticks[i].Label = strconv.FormatFloat(ticks[i].Value, 'f', -1, 64)
		}
	}
	return ticks
}

// percentileTicks marks the nines on an axis of 1/(1-q).
var percentileTicks = plot.ConstantTicks{
	{Value: 2, Label: "50"},
	{Value: 10, Label: "90"},
	{Value: 1e2, Label: "99"},
	{Value: 1e3, Label: "99.9"},
	{Value: 1e4, Label: "99.99"},
	{Value: 1e5, Label: "99.999"},
	{Value: 1e6, Label: "99.9999"},
	{Value: 1e7, Label: "99.99999"},
}
