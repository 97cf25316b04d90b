package shell

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"time"

	"cyberdb-fast/client"
	"cyberdb-fast/cmd/cyberdb-fast/shell/eval"
	"cyberdb-fast/cmd/cyberdb-fast/shell/syntax"
	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/codec/value"
)

// Bounds of a completion.
const (
	completionTime    = 500 * time.Millisecond
	completionChoices = 100
	completionKeys    = 2048    // of a dict that are looked at
	completionBytes   = 1 << 20 // of a dict, values included, that are looked at
	completionTables  = 5 * time.Second
)

// What is completed, at the end of a line.
var (
	dotWord    = regexp.MustCompile(`^\s*(\.[a-z]*)$`)
	dotTable   = regexp.MustCompile(`^\s*\.tail\s+(\S*)$`)
	keyPart    = regexp.MustCompile(`([\pL_][\pL\pN_]*)\[("[^"\\]*|'[^'\\]*|)$`)
	methodPart = regexp.MustCompile(`([\pL_][\pL\pN_]*)\.([\pL\pN_]*)$`)
	namePart   = regexp.MustCompile(`(?:^|[^\pL\pN_."'])([\pL_][\pL\pN_]*)$`)
)

// completer completes lines.
type completer struct {
	shell  *Shell
	tables []client.TableInfo
	asked  time.Time // for the tables
}

// complete implements liner.WordCompleter: what may stand at pos, between head and tail.
func (c *completer) complete(line string, pos int) (head string, choices []string, tail string) {
	letters := []rune(line)
	before, tail := string(letters[:pos]), string(letters[pos:])
	ctx, cancel := context.WithTimeout(context.Background(), completionTime)
	defer cancel()
	part, choices := c.choices(ctx, before)
	slices.Sort(choices)
	choices = slices.Compact(choices)
	return strings.TrimSuffix(before, part), choices[:min(len(choices), completionChoices)], tail
}

// choices returns the end of a line that is completed, and what it may become.
func (c *completer) choices(ctx context.Context, before string) (part string, choices []string) {
	add := func(word, after string) {
		if strings.HasPrefix(word, part) {
			choices = append(choices, word+after)
		}
	}
	if m := dotWord.FindStringSubmatch(before); m != nil {
		part = m[1]
		for _, command := range dotCommands {
			add(command.name, "")
		}
		return part, choices
	}
	if m := dotTable.FindStringSubmatch(before); m != nil {
		part = m[1]
		for _, t := range c.allTables(ctx) {
			add(t.Name, "")
		}
		return part, choices
	}
	if m := keyPart.FindStringSubmatch(before); m != nil {
		return m[2], c.keys(ctx, m[1], m[2])
	}
	if m := methodPart.FindStringSubmatch(before); m != nil {
		part = m[2]
		if kind, ok := c.kind(ctx, m[1]); ok {
			for _, name := range eval.Methods(kind) {
				add(name, "(")
			}
		}
		return part, choices
	}
	if m := namePart.FindStringSubmatch(before); m != nil {
		part = m[1]
		for _, t := range c.allTables(ctx) {
			if syntax.IsName(t.Name) {
				add(t.Name, "")
			}
		}
		for _, name := range c.shell.session.Names() {
			add(name, "")
		}
		for _, name := range eval.Functions() {
			add(name, "(")
		}
	}
	return part, choices
}

// allTables returns the tables of the server as of the last seconds.
func (c *completer) allTables(ctx context.Context) []client.TableInfo {
	if time.Since(c.asked) > completionTables {
		if tables, err := c.shell.db.Tables(ctx); err == nil {
			c.tables, c.asked = tables, time.Now()
		}
	}
	return c.tables
}

// kind returns the kind of the table that a name stands for.
func (c *completer) kind(ctx context.Context, name string) (client.Kind, bool) {
	kind, err := c.shell.db.Kind(ctx, c.shell.session.TableNamed(name))
	return kind, err == nil
}

// keys returns the keys of a dict that begin with what follows a quote, if there is one. Only the
// first keys of a large dict are looked at.
func (c *completer) keys(ctx context.Context, name, part string) (choices []string) {
	if kind, ok := c.kind(ctx, name); !ok || kind != client.KindDict {
		return nil
	}
	quote, begin := `"`, ""
	if part != "" {
		quote, begin = part[:1], part[1:]
	}
	items, _ := client.DictOf[govalue.Encoded, govalue.Encoded](c.shell.db, c.shell.session.TableNamed(name)).Scan(ctx)
	seen, bytes := 0, 0
	for key, val := range items {
		if seen++; seen > completionKeys || bytes > completionBytes || len(choices) == completionChoices {
			break
		}
		bytes += len(key) + len(val)
		if value.LeadType(key) != value.TypeStr {
			continue
		}
		text, err := govalue.UnmarshalOf[string](key)
		if err == nil && strings.HasPrefix(text, begin) && isPlainText(text) {
			choices = append(choices, quote+text+quote+"]")
		}
	}
	return choices
}

// isPlainText reports whether a key can be written between quotes as it is.
func isPlainText(text string) bool {
	const longest = 200
	return len(text) <= longest && !strings.ContainsFunc(text, func(r rune) bool {
		return r < ' ' || r == '\\' || r == '"' || r == '\'' || r >= 0x7f && r < 0xa0 || r == '\ufffd'
	})
}
