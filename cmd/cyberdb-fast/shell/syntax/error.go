package syntax

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Error is text that cannot be parsed, or a place in it that cannot be executed.
type Error struct {
	Kind string // Python's class: "SyntaxError", "TypeError"
	Msg  string
	Line int // counted from 1
	// Text is the line, and Column the byte in it at which the problem is.
	Text   string
	Column int
	// Incomplete says that more lines could complete the text.
	Incomplete bool
}

// Error returns one line: "SyntaxError: '[' was never closed (line 2, column 5)".
func (e *Error) Error() string {
	column := utf8.RuneCountInString(e.Text[:e.Column]) + 1
	return fmt.Sprintf("%s: %s (line %d, column %d)", e.Kind, e.Msg, e.Line, column)
}

// caretContext is how many characters of a line are shown before the place of an error.
const caretContext = 40

// Pointed returns the line with a caret below the place, cut to a width of so many columns, and the
// message.
func (e *Error) Pointed(width int) string {
	width = max(width, 16)
	before, after := []rune(clean(e.Text[:e.Column])), []rune(clean(e.Text[e.Column:]))
	if most := min(caretContext, (width-2)/2); len(before) > most {
		before = append([]rune("..."), before[len(before)-most+3:]...)
	}
	if room := width - 2 - len(before); len(after) > room {
		after = append(after[:room-3:room-3], []rune("...")...)
	}
	caret := strings.Repeat(" ", columns(before))
	return fmt.Sprintf("  %s%s\n  %s^\n%s: %s", string(before), string(after), caret, e.Kind, e.Msg)
}

// clean replaces what would move the cursor of a terminal.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == utf8.RuneError {
			return '?'
		}
		return r
	}, text)
}

// columns returns the width of text on a terminal, near enough for a caret.
func columns(text []rune) (n int) {
	for _, r := range text {
		n++
		if r >= 0x1100 && r <= 0x115f || r >= 0x2e80 && r <= 0xffdc || r >= 0x1f300 {
			n++
		}
	}
	return n
}
