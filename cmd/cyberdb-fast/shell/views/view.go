package views

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"cyberdb-fast/client"
)

// View writes views of a server.
type View struct {
	DB      *client.Client
	Out     io.Writer
	JSON    bool          // the sections as they are, instead of text
	Timeout time.Duration // of one request
}

// section asks for a section of INFO.
func (v *View) section(ctx context.Context, name string, parameters map[string]any) (json.RawMessage, error) {
	ctx, cancel := v.within(ctx)
	defer cancel()
	return v.DB.InfoSection(ctx, name, parameters)
}

// within returns the context of one request.
func (v *View) within(ctx context.Context) (context.Context, context.CancelFunc) {
	if v.Timeout == 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, v.Timeout)
}

// read asks for a section and decodes it into what into points to. With JSON it writes the section,
// and done is true.
func (v *View) read(ctx context.Context, name string, parameters map[string]any, into any) (done bool, err error) {
	text, err := v.section(ctx, name, parameters)
	if err != nil {
		return false, err
	}
	if v.JSON {
		_, err = fmt.Fprintf(v.Out, "%s\n", text)
		return true, err
	}
	if err := json.Unmarshal(text, into); err != nil {
		return false, fmt.Errorf("the server's section %q cannot be read: %w", name, err)
	}
	return false, nil
}

// grid writes rows in columns.
type grid struct{ out *tabwriter.Writer }

func (v *View) grid(titles ...string) *grid {
	g := &grid{tabwriter.NewWriter(v.Out, 0, 0, 2, ' ', 0)}
	if len(titles) > 0 {
		g.row(titles...)
	}
	return g
}

func (g *grid) row(cells ...string) {
	fmt.Fprintln(g.out, strings.Join(cells, "\t"))
}

// plain returns a name as it is shown: as it is, or quoted if it has characters that do not print;
// "-" if there is none.
func plain(name string) string {
	if name == "" {
		return "-"
	}
	if strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.QuoteToGraphic(name)
	}
	return name
}

// size returns a number of bytes for people.
func size(bytes int64) string {
	const units = "KMGTPE"
	if bytes < 1024 && bytes > -1024 {
		return fmt.Sprintf("%d B", bytes)
	}
	value, unit := float64(bytes)/1024, 0
	for ; (value >= 1024 || value <= -1024) && unit < len(units)-1; unit++ {
		value /= 1024
	}
	return fmt.Sprintf("%.1f %ciB", value, units[unit])
}

// number returns a count with a comma after each three digits.
func number(n int64) string {
	if n < 0 {
		return "-" + number(-n)
	}
	text := strconv.FormatInt(n, 10)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// micros returns a time in microseconds for people.
func micros(us float64) string {
	switch {
	case us < 1000:
		return fmt.Sprintf("%.0f us", us)
	case us < 1e6:
		return fmt.Sprintf("%.1f ms", us/1000)
	}
	return fmt.Sprintf("%.2f s", us/1e6)
}
