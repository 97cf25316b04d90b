package views

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
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
	Width   int           // columns of the terminal; 0: that of Out, if it is one
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

// nameColumns is the most that the name of a table takes of a line.
const nameColumns = 64

// short returns a name as a cell shows it.
func (v *View) short(name string) string {
	const least = 8
	most := nameColumns
	if width := v.width(); width > 0 {
		most = min(most, max(least, width/3))
	}
	if letters := []rune(plain(name)); len(letters) > most {
		return string(letters[:most-3]) + "..."
	}
	return plain(name)
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
