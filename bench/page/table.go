package page

import (
	"math"
	"strconv"
	"strings"
)

// table is what a Markdown or an HTML document shows.
type table struct {
	Title string
	Heads []string
	Lines [][]cell
}

// cell is a figure, and further ones in a second line.
type cell struct{ Text, Below string }

func cells(texts ...string) (line []cell) {
	for _, text := range texts {
		line = append(line, cell{Text: text})
	}
	return line
}

// text returns the table as Markdown; the first column is aligned to the left, the others to the
// right.
func (t *table) text() string {
	var b strings.Builder
	b.WriteString("|")
	for _, head := range t.Heads {
		b.WriteString(strings.TrimRight(" "+head, " ") + " |")
	}
	b.WriteString("\n|---|" + strings.Repeat("--:|", len(t.Heads)-1) + "\n")
	for _, line := range t.Lines {
		b.WriteString("|")
		for _, c := range line {
			b.WriteString(" " + c.Text)
			if c.Below != "" {
				b.WriteString("<br>" + c.Below)
			}
			b.WriteString(" |")
		}
		b.WriteString("\n")
	}
	return b.String()
}

// number spells a number with that many decimals and a comma between thousands.
func number(x float64, decimals int) string {
	text := strconv.FormatFloat(math.Abs(x), 'f', decimals, 64)
	whole, rest, _ := strings.Cut(text, ".")
	var b strings.Builder
	if x < 0 {
		b.WriteByte('-')
	}
	for i, digit := range whole {
		if i > 0 && (len(whole)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(digit)
	}
	if rest != "" {
		b.WriteString("." + rest)
	}
	return b.String()
}

func count(n int) string { return number(float64(n), 0) }

// known spells a figure that may be missing.
func known(figure *float64, unit float64, decimals int) string {
	if figure == nil {
		return "-"
	}
	return number(*figure/unit, decimals)
}

// ratio spells a ratio with at least two significant digits.
func ratio(x float64) string {
	switch {
	case x >= 100:
		return number(x, 0)
	case x >= 0.1:
		return number(x, 2)
	case x >= 0.01:
		return number(x, 3)
	}
	return number(x, 4)
}
