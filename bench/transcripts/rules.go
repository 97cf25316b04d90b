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

// The differences that are intended. A rule looks at the request and the two answers, never at a
// file's name. What a rule lets pass leaves the table in another state than the original's: its
// further answers are not compared until it is made anew, cleared or filled as a whole.

// exchange is a request with what the original answered (nil: nothing, or it closed) and what this
// server did.
type exchange struct {
	python   string
	request  message
	cut      bool // the original judged the request before all of it had come
	original *message
	ours     *message // nil: it closed
}

// rule is an intended difference.
type rule struct {
	name, why string
	applies   func(x *exchange) bool
}

// refuses says that this server answered with an exception.
func (x *exchange) refuses() bool { return x.ours != nil && x.ours.code() == 0 }

var rules = []rule{
	{
		"no answer",
		"where the original gave no answer or closed, an error or a close within 2 s is as good",
		func(x *exchange) bool {
			return x.original == nil && (x.ours == nil || x.refuses())
		},
	},
	{
		"request read whole",
		"the original takes a request for complete when TCP has cut it; here it is read to its end",
		func(x *exchange) bool {
			return x.original == nil && x.cut
		},
	},
	{
		"sort key understood",
		"the original fails where its client cut the text, or with Python 3.13 always; the sort is done here",
		func(x *exchange) bool {
			return x.original == nil && x.isSort() && mustWork(x.sortText())
		},
	},
	{"sort key refused", "text of a form that is not listed is not executed", func(x *exchange) bool {
		return x.isSort() && x.sortText() != "" && !mustWork(x.sortText()) && x.refuses()
	}},
	{
		"class refused",
		"a class that is not among the types kept: nothing is looked up or called",
		func(x *exchange) bool {
			return x.request.namesClass() && (x.ours == nil || x.refuses())
		},
	},
	{"recursive value", "an object that holds itself has no encoding", func(x *exchange) bool {
		_, err := x.request.root.Size()
		return errors.Is(err, pickle.ErrRecursive) && x.refuses()
	}},
	{"table's name", "a name is a str of 1 to 1024 bytes; the original takes any key", func(x *exchange) bool {
		field := x.request.field("table_name")
		if field.IsZero() || !x.refuses() {
			return false
		}
		return field.Kind() != pickle.Str || len(field.Text()) == 0 || len(field.Text()) > codec.MaxTableNameBytes
	}},
	{"table's content", "a table is a dict or a list; the original takes anything", func(x *exchange) bool {
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

// mustWork says whether a text is of one of these forms, with no other name than that of the
// parameter.
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

// namesClass says whether there is a class in a message that is not among the types kept.
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

// restores says whether a request that both have done puts a table into one state again.
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
