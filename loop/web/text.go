package web

import (
	"bytes"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/VictoriaMetrics/metrics"
)

// kind is the type of a family of metrics in the Prometheus text format.
type kind string

const (
	counter   kind = "counter"   // it only grows; its name ends in _total
	gauge     kind = "gauge"     // it goes up and down
	histogram kind = "histogram" // it has cumulative buckets
)

// text is a page in the Prometheus text format: families, each begun by its name and help, and
// followed by its samples.
type text struct {
	bytes.Buffer
	name string // of the current family
	kind kind
}

// family begins a family.
func (t *text) family(name string, kind kind, help string) {
	t.name, t.kind = name, kind
	t.WriteString("# HELP " + name + " " + help + "\n# TYPE " + name + " " + string(kind) + "\n")
}

// sample adds a value to the current family.
func (t *text) sample(value float64, of labels) {
	name := t.name + of.braced()
	if t.kind == counter {
		metrics.WriteCounterFloat64(t, name, value)
		return
	}
	metrics.WriteGaugeFloat64(t, name, value)
}

// distribution adds a histogram to the current family: pairs of an upper bound and of how many
// values are no larger, their sum and their number.
func (t *text) distribution(buckets [][2]float64, sum float64, count int64, of labels) {
	for _, b := range append(slices.Clip(buckets), [2]float64{math.Inf(1), float64(count)}) {
		bound := of.and("le", strconv.FormatFloat(b[0], 'g', -1, 64))
		metrics.WriteCounterFloat64(t, t.name+"_bucket"+bound.braced(), b[1])
	}
	metrics.WriteCounterFloat64(t, t.name+"_sum"+of.braced(), sum)
	metrics.WriteCounterFloat64(t, t.name+"_count"+of.braced(), float64(count))
}

// labels tell the samples of a family apart. They are as the format has them, without the braces.
type labels string

// none are the labels of the only sample of a family.
const none labels = ""

// label returns one label.
func label(name, value string) labels { return labels(name + `="` + escape(value) + `"`) }

// and returns the labels with one more.
func (l labels) and(name, value string) labels {
	if l == none {
		return label(name, value)
	}
	return l + "," + label(name, value)
}

func (l labels) braced() string {
	if l == none {
		return ""
	}
	return "{" + string(l) + "}"
}

var escapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// escape returns a label's value as the format has it, which is UTF-8.
func escape(value string) string {
	return escapes.Replace(strings.ToValidUTF8(value, "\uFFFD"))
}
