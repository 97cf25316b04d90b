package main

import (
	"errors"
	"regexp"
	"slices"
	"strings"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/codec/pickle"
)

// The intended differences. A rule sees the request and both replies, never a file's name. A
// difference that a rule permits leaves the table in another state than the original's: its further
// replies are not compared until the table is created again, cleared or filled as a whole.

// exchange is a request with the reply of the original (nil: none, or it closed) and that of this
// server.
type exchange struct {
	python   string
	request  message
	cut      bool // the original read only a part of the request
	original *message
	ours     *message // nil: it closed
}

// rule is an intended difference.
type rule struct {
	name, why string
	applies   func(x *exchange) bool
}

// refuses reports whether this server replied with an exception.
func (x *exchange) refuses() bool { return x.ours != nil && x.ours.code() == 0 }

var rules = []rule{
	{
		"no answer",
		"if the original gave no reply or closed, an error or a close within 2 s is accepted",
		func(x *exchange) bool {
			return x.original == nil && (x.ours == nil || x.refuses())
		},
	},
	{
		"request read whole",
		"the original takes a request that TCP has split for complete; here it is read to its end",
		func(x *exchange) bool {
			return x.original == nil && x.cut
		},
	},
	{
		"sort key understood",
		"the original fails if its client cut the text, and always with Python 3.13; here it sorts",
		func(x *exchange) bool {
			return x.original == nil && x.isSort() && mustWork(x.sortText())
		},
	},
	{"sort key refused", "text of another form than the listed ones is not executed", func(x *exchange) bool {
		return x.isSort() && x.sortText() != "" && !mustWork(x.sortText()) && x.refuses()
	}},
	{
		"class refused",
		"a class that is not among the supported types: nothing is looked up or called",
		func(x *exchange) bool {
			return x.request.namesClass() && (x.ours == nil || x.refuses())
		},
	},
	{"recursive value", "an object that holds itself has no encoding", func(x *exchange) bool {
		_, err := x.request.root.Size()
		return errors.Is(err, pickle.ErrRecursive) && x.refuses()
	}},
	{"table's name", "a name is a str of 1 to 1024 bytes; the original accepts any key", func(x *exchange) bool {
		field := x.request.field("table_name")
		if field.IsZero() || !x.refuses() {
			return false
		}
		return field.Kind() != pickle.Str || len(field.Text()) == 0 || len(field.Text()) > codec.MaxTableNameBytes
	}},
	{"table's content", "a table is a dict or a list; the original accepts any value", func(x *exchange) bool {
		route, _ := x.request.text("route")
		content := x.request.field("content")
		return strings.HasPrefix(route, "/create_") && !content.IsZero() && content.Kind() != pickle.Dict &&
			content.Kind() != pickle.List &&
			x.refuses()
	}},
	{"slice as a key", "is unhashable, as before Python 3.12", func(x *exchange) bool {
		for _, name := range []string{"key", "index"} {
			if field := x.request.field(name); !field.IsZero() && holdsSlice(field) {
				return newerPython(x.python) && x.refuses()
			}
		}
		return false
	}},
	{"words of another Python", "error texts and reprs are those of CPython 3.11", func(x *exchange) bool {
		if x.original == nil || x.ours == nil || strings.HasPrefix(x.python, "cpython 3.11") {
			return false
		}
		route, _ := x.request.text("route")
		return strings.HasSuffix(route, "/repr") || strings.HasSuffix(route, "/str") ||
			exceptionClass(x.original) != "" && exceptionClass(x.original) == exceptionClass(x.ours)
	}},
	{"order in a set's repr", "is that of the hashes in the original's process", func(x *exchange) bool {
		if x.original == nil || x.ours == nil {
			return false
		}
		a, isText := x.original.text("content")
		b, isText2 := x.ours.text("content")
		return isText && isText2 && strings.Contains(a, "{") && sorted(a) == sorted(b)
	}},
}

// changes are the rules after which the table is in another state.
var changes = []string{
	"request read whole",
	"sort key understood",
	"sort key refused",
	"class refused",
	"recursive value",
	"table's name",
	"table's content",
	"slice as a key",
	"no answer",
}

// sortTexts are the forms of SPEC, section 11, that must work.
var sortTexts = regexp.MustCompile(
	`^func = ( ?lambda (\w+): (-?\w+(\[-?\d+\]|\['\w+'\])*|` +
		`\[-?\w+(\[\d+\])*(, -?\w+(\[\d+\])*)*\])\s*(, reverse)?|None)\n?$|` +
		`^def (\w+)\((\w+)\):\n\s+return -?\w+(\[-?\d+\])*\n\nfunc = \w+$`,
)

var (
	words  = regexp.MustCompile(`[A-Za-z_]\w*`)
	quoted = regexp.MustCompile(`'\w+'`)
	heads  = regexp.MustCompile(`lambda (\w+)|def (\w+)\((\w+)`)
)

// mustWork reports whether a text has one of these forms and no name but that of the parameter.
func mustWork(text string) bool {
	if !sortTexts.MatchString(text) {
		return false
	}
	known := append([]string{"func", "lambda", "def", "return", "reverse", "None"}, heads.FindStringSubmatch(text)...)
	for _, word := range words.FindAllString(quoted.ReplaceAllString(text, ""), -1) {
		if !slices.Contains(known, word) {
			return false
		}
	}
	return true
}

func (x *exchange) isSort() bool {
	route, _ := x.request.text("route")
	return route == "/cyberlist/sort"
}

func (x *exchange) sortText() string {
	text, _ := x.request.text("key")
	return text
}

// namesClass reports whether a message has a class that is not among the supported types.
func (m *message) namesClass() bool {
	var refused *pickle.Error
	if m.root.IsZero() {
		return false
	}
	_, err := m.root.Size()
	return m.u.Refused() != nil || errors.As(err, &refused)
}

func holdsSlice(o pickle.Object) bool {
	if o.Kind() == pickle.Slice {
		return true
	}
	for _, part := range o.Parts() {
		if holdsSlice(part) {
			return true
		}
	}
	return false
}

func newerPython(python string) bool {
	return strings.HasPrefix(python, "cpython 3.12") || strings.HasPrefix(python, "cpython 3.13") ||
		strings.HasPrefix(python, "cpython 3.14")
}

// exceptionClass is the class of the exception in a reply, "" if there is none.
func exceptionClass(m *message) string {
	field := m.field("Exception")
	if field.IsZero() {
		return ""
	}
	encoded, err := field.Append(nil)
	if err != nil {
		return ""
	}
	v, _, err := govalue.Decode(encoded)
	if e, isException := v.(govalue.Exception); err == nil && isException {
		return e.Class
	}
	return ""
}

func sorted(text string) string {
	runes := []rune(text)
	slices.Sort(runes)
	return string(runes)
}

// restores reports whether a request that both have done makes a table the same on both again.
func restores(request *message) bool {
	route, _ := request.text("route")
	switch route {
	case "/create_cyberdict", "/create_cyberlist", "/delete_table", "/cyberdict/clear", "/cyberlist/clear":
		return true
	case "/cyberlist/setitem":
		index := request.field("index")
		if index.IsZero() || index.Kind() != pickle.Slice {
			return false
		}
		for _, part := range index.Parts() {
			if part.Kind() != pickle.None {
				return false
			}
		}
		return true
	}
	return false
}
