package syntax

import "strings"

// Pending is a text that arrives line by line. It tells when the lines so far may be a whole
// statement, in time proportional to the new line. The zero Pending is empty.
type Pending struct {
	text   strings.Builder
	depth  int    // of brackets
	quote  string // that a string began with; "" outside of strings
	joined bool   // the last line ends in a backslash
}

// Add adds a line, without its end.
func (p *Pending) Add(line string) {
	p.text.WriteString(line)
	p.text.WriteByte('\n')
	p.joined = false
	for i := 0; i < len(line); {
		i += p.step(line[i:])
	}
	if len(p.quote) == 1 && !p.joined {
		p.quote = "" // Parse says that the string is not closed
	}
}

// step looks at the front of the rest of a line, and returns how many bytes it has looked at.
func (p *Pending) step(rest string) int {
	c := rest[0]
	switch {
	case c == '\\':
		p.joined = strings.TrimRight(rest, "\r") == "\\"
		return min(2, len(rest))
	case p.quote != "":
		if strings.HasPrefix(rest, p.quote) {
			n := len(p.quote)
			p.quote = ""
			return n
		}
	case c == '#':
		return len(rest)
	case c == '"' || c == '\'':
		p.quote = rest[:1]
		if triple := strings.Repeat(p.quote, 3); strings.HasPrefix(rest, triple) {
			p.quote = triple
		}
		return len(p.quote)
	case strings.IndexByte("([{", c) >= 0:
		p.depth++
	case strings.IndexByte(")]}", c) >= 0:
		p.depth--
	}
	return 1
}

// Open reports whether more lines belong to the statement.
func (p *Pending) Open() bool { return p.depth > 0 || p.quote != "" || p.joined }

// Len returns the number of bytes.
func (p *Pending) Len() int { return p.text.Len() }

// Take returns the text and makes p empty.
func (p *Pending) Take() string {
	text := strings.TrimSuffix(p.text.String(), "\n")
	*p = Pending{}
	return text
}
