package page

import (
	"bytes"
	"image/color"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// chartWidth is the width of every chart in points.
const chartWidth vg.Length = 600

// line is a named line of a drawing.
type line struct {
	name   string
	points plotter.XYs
}

// drawing is a line chart that is not drawn yet.
type drawing struct {
	name, title, x, y string
	lines             []line
	logX, logY        bool // all values are above 0
	ticksX            plot.Ticker
}

// add appends a point to the line of that name. It replaces a point with the same x.
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

// measuredTicks marks the values of x that the lines have.
func (d *drawing) measuredTicks() (ticks plot.ConstantTicks) {
	for _, l := range d.lines {
		for _, p := range l.points {
			if !slices.ContainsFunc(ticks, func(t plot.Tick) bool { return t.Value == p.X }) {
				ticks = append(ticks, plot.Tick{Value: p.X, Label: number(p.X, 0)})
			}
		}
	}
	return ticks
}

// draw returns the chart as SVG.
func (d *drawing) draw() ([]byte, error) {
	const height, thick, radius, mostMarked = 330, 2, 2.5, 20
	p := newPlot(d.title, d.x, d.y)
	p.Legend.Top, p.Legend.Left = true, true
	p.X.Tick.Marker, p.Y.Tick.Marker = linearTicks{4}, linearTicks{4}
	if !d.logY {
		p.Y.Min = 0
	}
	for _, l := range d.lines {
		drawn, points, err := plotter.NewLinePoints(l.points)
		if err != nil {
			return nil, err
		}
		drawn.Color, drawn.Width = colorOf(l.name), vg.Points(thick)
		points.Color, points.Shape, points.Radius = drawn.Color, draw.CircleGlyph{}, vg.Points(radius)
		p.Add(drawn)
		if len(l.points) <= mostMarked {
			p.Add(points)
		}
		p.Legend.Add(l.name, drawn)
	}
	if d.logX {
		p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, logTicks{}
	}
	if d.logY {
		p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, logTicks{}
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
	return svg(p, height)
}

// makeRoom lengthens the upright axis, so that the legend does not cover the lines.
func (d *drawing) makeRoom(p *plot.Plot) {
	const perLine = 0.07
	share := perLine * float64(len(d.lines)+1)
	if d.logY {
		p.Y.Max *= math.Pow(p.Y.Max/p.Y.Min, share/(1-share))
	} else {
		p.Y.Max += (p.Y.Max - p.Y.Min) * share / (1 - share)
	}
}

var (
	ink   = color.RGBA{R: 0x1b, G: 0x1f, B: 0x24, A: 0xff}
	faint = color.RGBA{R: 0xd8, G: 0xde, B: 0xe4, A: 0xff}
)

// newPlot returns an empty plot in the style of all charts.
func newPlot(title, x, y string) *plot.Plot {
	const titleSize, textSize, padding = 13, 11, 6
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, x, y
	p.Title.Padding, p.Legend.Padding = vg.Points(padding), vg.Points(padding/2)
	for _, style := range []*text.Style{
		&p.Title.TextStyle, &p.Legend.TextStyle, &p.X.Label.TextStyle, &p.Y.Label.TextStyle,
		&p.X.Tick.Label, &p.Y.Tick.Label,
	} {
		style.Font.Variant, style.Font.Size, style.Color = "Sans", vg.Points(textSize), ink
	}
	p.Title.TextStyle.Font.Size = vg.Points(titleSize)
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		axis.Color, axis.Tick.Color, axis.Padding = faint, faint, 0
		axis.Label.Padding = vg.Points(padding)
	}
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = faint, faint
	p.Add(grid)
	return p
}

// svg draws a plot with a margin.
func svg(p *plot.Plot, height vg.Length) ([]byte, error) {
	const margin = 10
	canvas := vgsvg.New(chartWidth, height)
	p.Draw(draw.Crop(draw.New(canvas), vg.Points(margin), -vg.Points(margin), vg.Points(margin), -vg.Points(margin)))
	var b bytes.Buffer
	_, err := canvas.WriteTo(&b)
	text := strings.ReplaceAll(
		b.String(),
		"font-family:Liberation Sans;",
		"font-family:Liberation Sans,Arial,Helvetica,sans-serif;",
	)
	return []byte(text), err
}

// colors are those of servers and clients, by the front of their names; the longest front counts.
var colors = map[string]color.RGBA{
	"cyberdb":               {R: 0x1f, G: 0x6f, B: 0xeb, A: 0xff},
	"cyberdb-fast --legacy": {R: 0x6e, G: 0xa8, B: 0xfe, A: 0xff},
	"Redis":                 {R: 0xd1, G: 0x3b, B: 0x2e, A: 0xff},
	"redis-py":              {R: 0xd1, G: 0x3b, B: 0x2e, A: 0xff},
	"rueidis":               {R: 0xd1, G: 0x3b, B: 0x2e, A: 0xff},
	"go-redis":              {R: 0xe8, G: 0x8d, B: 0x67, A: 0xff},
	"Valkey":                {R: 0x7b, G: 0x4c, B: 0xc2, A: 0xff},
	"memcached":             {R: 0x2d, G: 0x91, B: 0x4c, A: 0xff},
	"gnet echo":             {R: 0x6b, G: 0x77, B: 0x85, A: 0xff},
	"a bare socket":         {R: 0x6b, G: 0x77, B: 0x85, A: 0xff},
	"the original CyberDB":  {R: 0xc4, G: 0x7a, B: 0x0a, A: 0xff},
	"CyberDB":               {R: 0xc4, G: 0x7a, B: 0x0a, A: 0xff},
}

// colorOf returns the color of a server in all charts. Names with a setting, as in "NAME,
// encrypted", have a lighter one.
func colorOf(name string) color.RGBA {
	found, c := "", color.RGBA{R: 0x44, G: 0x4c, B: 0x56, A: 0xff}
	for front, its := range colors {
		if strings.HasPrefix(name, front) && len(front) > len(found) {
			found, c = front, its
		}
	}
	for range strings.Count(name, ",") {
		c = lighter(c)
	}
	if strings.Contains(name, "3 event loops") {
		c = lighter(c)
	}
	return c
}

func lighter(c color.RGBA) color.RGBA {
	const white, share = 0xff, 2 // half way
	mix := func(x uint8) uint8 { return x + (white-x)/share }
	return color.RGBA{R: mix(c.R), G: mix(c.G), B: mix(c.B), A: c.A}
}

// linearTicks marks a linear axis at round numbers, in fewest to about two and a half times as many
// steps.
type linearTicks struct{ fewest float64 }

// Ticks returns the ticks between least and most.
func (l linearTicks) Ticks(least, most float64) (ticks []plot.Tick) {
	step := math.Pow(10, math.Floor(math.Log10((most-least)/l.fewest)))
	for _, factor := range []float64{5, 2} {
		if (most-least)/(step*factor) >= l.fewest {
			step *= factor
			break
		}
	}
	for at := math.Ceil(least/step) * step; at <= most; at += step {
		ticks = append(ticks, plot.Tick{Value: at, Label: strings.TrimSuffix(number(at, 1), ".0")})
	}
	return ticks
}

// logTicks marks 1, 2 and 5 in each decade.
type logTicks struct{}

// Ticks returns the ticks between least and most.
func (logTicks) Ticks(least, most float64) (ticks []plot.Tick) {
	for decade := math.Pow(10, math.Floor(math.Log10(least))); decade <= most; decade *= 10 {
		for _, step := range []float64{1, 2, 5} {
			if at := step * decade; at >= least && at <= most {
				ticks = append(ticks, plot.Tick{Value: at, Label: number(at, 0)})
			}
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
