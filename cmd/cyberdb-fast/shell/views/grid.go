package views

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
)

// columnGap is the space between two columns.
const columnGap = 2

// grid writes rows in columns. It leaves out columns for which there is no room.
type grid struct {
	out   io.Writer
	width int // 0: there is room for everything
	rows  [][]string
	// titled says that the first row has the titles.
	titled bool
	// minor are the titles of the columns that a narrow terminal loses first. The rightmost
	// columns are next.
	minor []string
}

func (v *View) grid(titles ...string) *grid {
	g := &grid{out: v.Out, width: v.width()}
	if len(titles) > 0 {
		g.titled = true
		g.row(titles...)
	}
	return g
}

// width returns the columns of the terminal, 0 if the view is not for one.
func (v *View) width() int {
	if file, ok := v.Out.(*os.File); ok && v.Width == 0 {
		if width, _, err := term.GetSize(int(file.Fd())); err == nil {
			return width
		}
	}
	return v.Width
}

func (g *grid) row(cells ...string) { g.rows = append(g.rows, cells) }

// flush writes the rows. Errors: those of the writer.
func (g *grid) flush() error {
	if len(g.rows) == 0 {
		return nil
	}
	widths := make([]int, len(g.rows[0]))
	for _, row := range g.rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	shown, left := g.fitting(widths)
	for _, row := range g.rows {
		if err := g.line(row, widths, shown); err != nil {
			return err
		}
	}
	if len(left) > 0 {
		_, err := fmt.Fprintf(g.out, "(no room for: %s)\n", strings.Join(left, ", "))
		return err
	}
	return nil
}

// fitting returns the columns that fit side by side, and the titles of the others. Rows without
// titles are not cut.
func (g *grid) fitting(widths []int) (shown []int, left []string) {
	total := -columnGap
	for i, width := range widths {
		shown = append(shown, i)
		total += width + columnGap
	}
	for g.titled && g.width > 0 && total > g.width && len(shown) > 1 {
		at := len(shown) - 1
		for i, column := range shown {
			if slices.Contains(g.minor, g.rows[0][column]) {
				at = i
				break
			}
		}
		total -= widths[shown[at]] + columnGap
		left = append(left, g.rows[0][shown[at]])
		shown = slices.Delete(shown, at, at+1)
	}
	return shown, left
}

func (g *grid) line(row []string, widths, shown []int) error {
	var text strings.Builder
	for n, i := range shown {
		if n > 0 {
			text.WriteString(strings.Repeat(" ", columnGap))
		}
		text.WriteString(row[i])
		if n < len(shown)-1 {
			text.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(row[i])))
		}
	}
	text.WriteByte('\n')
	_, err := io.WriteString(g.out, text.String())
	return err
}
