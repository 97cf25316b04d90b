package web

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"cyberdb-fast/client"
	"cyberdb-fast/loop"
)

// parse parses a page as Prometheus does, and checks what every family must have.
func parse(t *testing.T, page string) map[string]*dto.MetricFamily {
	t.Helper()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(page))
	if err != nil {
		t.Fatalf("%v\n%s", err, page)
	}
	for name, f := range families {
		kind := f.GetType()
		switch {
		case !strings.HasPrefix(name, "cyberdb_"):
			t.Errorf("%s does not begin with cyberdb_", name)
		case len(f.GetHelp()) < 10 || !strings.HasSuffix(f.GetHelp(), "."):
			t.Errorf("%s has the help %q", name, f.GetHelp())
		case kind == dto.MetricType_UNTYPED:
			t.Errorf("%s has no type", name)
		case strings.HasSuffix(name, "_total") != (kind == dto.MetricType_COUNTER):
			t.Errorf("%s is a %v", name, kind)
		}
	}
	if len(families) != strings.Count(page, "# HELP ") {
		t.Errorf("%d families, but %d helps", len(families), strings.Count(page, "# HELP "))
	}
	return families
}

// valueOf returns the value of a family with one sample.
func valueOf(t *testing.T, families map[string]*dto.MetricFamily, name string) float64 {
	t.Helper()
	samples := families[name].GetMetric()
	if len(samples) != 1 {
		t.Fatalf("%s has %d samples", name, len(samples))
	}
	return numberOf(samples[0])
}

// numberOf returns the number of a counter or gauge.
func numberOf(m *dto.Metric) float64 {
	return m.GetCounter().GetValue() + m.GetGauge().GetValue()
}

// renamed are the metrics of fields of INFO whose names differ from cyberdb_FIELD, and from
// cyberdb_FIELD_total.
var renamed = map[string]string{
	"version":          "cyberdb_info",
	"persistence":      "cyberdb_info", // labels
	"max_connections":  "cyberdb_connections_limit",
	"max_memory_bytes": "cyberdb_memory_limit_bytes",
	"pending_bytes":    "cyberdb_journal_pending_bytes",
	"save_error":       "cyberdb_save_failed",
	"journal_error":    "cyberdb_journal_failed",
	"segment_error":    "cyberdb_segment_failed",
}

// unshown are fields of INFO without a metric: they are no figures that change.
var unshown = []string{"file", "lost_from"}

// fieldsOf returns the fields of INFO, those in objects within it too.
func fieldsOf(t *testing.T, info any) map[string]any {
	t.Helper()
	text, err := json.Marshal(info)
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(text, &fields); err != nil {
		t.Fatal(err)
	}
	if data, ok := fields["data"].(map[string]any); ok {
		delete(fields, "data")
		maps.Copy(fields, data)
	}
	return fields
}

// TestEveryFigure: /metrics has all that INFO has, with its values.
func TestEveryFigure(t *testing.T) {
	db := database(t, func(cfg *loop.Config) {
		cfg.Data.File = t.TempDir() + "/data.cdb"
		cfg.MaxMemoryBytes = 1 << 40
	})
	c := clientOf(t, db)
	users := client.DictOf[string, int](c, "users")
	if _, err := users.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.Save(t.Context()); err != nil {
		t.Fatal(err)
	}
	families := parse(t, string(new(scrape).of(db)))
	info := db.Info()
	for field, value := range fieldsOf(t, info) {
		name := renamed[field]
		if name == "" {
			name = "cyberdb_" + field
			if families[name] == nil {
				name += "_total"
			}
		}
		if families[name] == nil {
			if !slices.Contains(unshown, field) {
				t.Errorf("INFO's %s has no metric: add one to info.go", field)
			}
			continue
		}
		number, isNumber := value.(float64)
		if got := valueOf(t, families, name); isNumber && !near(got, number) && field != "goroutines" {
			t.Errorf("%s is %v, and INFO's %s %v", name, got, field, number)
		}
	}
}

// near allows for what changes between two looks: times, and memory.
func near(a, b float64) bool { return max(a, b)-min(a, b) <= 0.2*max(a, b)+0.5 }

// TestCountersUnderLoad: while clients work and the server saves, many scrapes a second are
// answered, and counters only grow, by what clients have done.
func TestCountersUnderLoad(t *testing.T) {
	db := database(t, func(cfg *loop.Config) { cfg.Data.File = t.TempDir() + "/data.cdb" })
	s, v := serving(t, db), visitorFrom(t, "127.0.0.1")
	c := clientOf(t, db)
	users := client.DictOf[string, int](c, "users")
	if _, err := users.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, page := v.ask(t, s, "GET", "/metrics", password)
	last := parse(t, page)
	before := valueOf(t, last, "cyberdb_requests_total")
	const requests = 5000
	var all sync.WaitGroup
	worked := make(chan bool)
	all.Go(func() {
		defer close(worked)
		for i := range requests {
			if err := users.Set(t.Context(), "key", i); err != nil {
				t.Error(err)
			}
		}
	})
	all.Go(func() {
		for range 3 {
			if err := c.Save(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
	for working := true; working && !t.Failed(); {
		select {
		case <-worked:
			working = false
			time.Sleep(2 * scrapeTime)
		default:
		}
		_, page := v.ask(t, s, "GET", "/metrics", password)
		now := parse(t, page)
		for name, f := range last {
			if f.GetType() == dto.MetricType_COUNTER && valueOf(t, now, name) < valueOf(t, last, name) {
				t.Errorf("%s has shrunk", name)
			}
		}
		last = now
	}
	all.Wait()
	if grown := valueOf(t, last, "cyberdb_requests_total") - before; grown < requests {
		t.Errorf("%v requests are counted", grown)
	}
}

// TestHostileLabels: a label is shown as it is, whatever it holds.
func TestHostileLabels(t *testing.T) {
	for name, want := range map[string]string{
		`a"} 1` + "\n" + `cyberdb_x{y="`: `a"} 1` + "\n" + `cyberdb_x{y="`,
		`back\slash\n`:                   `back\slash\n`,
		"\r\t\x00\x1b[31m":               "\r\t\x00\x1b[31m",
		"\xff\xfe":                       "\uFFFD",
		"\xed\xa0\x80":                   "\uFFFD",
		"":                               "",
		"näme {} # HELP":                 "näme {} # HELP",
	} {
		var out text
		out.family("cyberdb_x", gauge, "A test of labels.")
		out.sample(1, "first", "1", "table", name)
		samples := parse(t, out.String())["cyberdb_x"].GetMetric()
		if len(samples) != 1 || len(samples[0].GetLabel()) != 2 {
			t.Errorf("%q: %v", name, samples)
			continue
		}
		if got := samples[0].GetLabel()[1].GetValue(); got != want {
			t.Errorf("%q is shown as %q", name, got)
		}
	}
}
