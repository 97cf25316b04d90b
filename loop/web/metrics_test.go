package web

import (
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
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

// shown are the samples of the fields of INFO whose names are not cyberdb_FIELD or
// cyberdb_FIELD_total; "": none, since another field shows it, or it is no figure that changes.
var shown = map[string]string{
	"version":                   "cyberdb_info",
	"persistence":               "cyberdb_info", // labels
	"max_connections":           "cyberdb_connections_limit",
	"max_memory_bytes":          "",
	"heap_bytes":                "",
	"unsent_bytes":              "",
	"buffered_input_bytes":      "",
	"budgets.connections.used":  "",
	"budgets.connections.limit": "",
	"memory.heap_bytes":         `cyberdb_memory_bytes{part="heap"}`,
	"memory.heap_idle_bytes":    `cyberdb_memory_bytes{part="heap_idle"}`,
	"memory.stack_bytes":        `cyberdb_memory_bytes{part="stack"}`,
	"memory.slab_bytes":         `cyberdb_memory_bytes{part="slab"}`,
	"memory.other_bytes":        `cyberdb_memory_bytes{part="other"}`,

	"messages.subscriptions":   "cyberdb_subscriptions",
	"messages.channels":        "cyberdb_subscribed_channels",
	"messages.prefixes":        "cyberdb_subscribed_prefixes",
	"messages.queued_messages": "cyberdb_queued_messages",
	"messages.bytes":           "cyberdb_message_bytes",
	"messages.limit_bytes":     "cyberdb_message_limit_bytes",
	"messages.published":       "cyberdb_messages_published_total",
	"messages.delivered":       "cyberdb_messages_delivered_total",
	"messages.missed":          "cyberdb_messages_missed_total",

	"data.file":                  "",
	"data.lost_from":             "",
	"data.pending_bytes":         "cyberdb_journal_pending_bytes",
	"budgets.backlog_bytes.used": "",
	"data.lag_changes":           "cyberdb_journal_lag_changes",
	"data.save_error":            "cyberdb_save_failed",
	"data.journal_error":         "cyberdb_journal_failed",
	"data.segment_error":         "cyberdb_segment_failed",
	"data.syncs.count":           "cyberdb_journal_sync_duration_seconds_count",
	"data.syncs.sum_seconds":     "cyberdb_journal_sync_duration_seconds_sum",
	"data.syncs.p50_us":          "",
	"data.syncs.p90_us":          "",
	"data.syncs.p99_us":          "",
	"data.syncs.p999_us":         "",
	"data.syncs.max_us":          "",
	"data.syncs.buckets":         "",

	"budgets.memory_bytes.used":           "cyberdb_used_memory_bytes",
	"budgets.memory_bytes.limit":          "cyberdb_used_memory_limit_bytes",
	"budgets.unsent_bytes.used":           "cyberdb_unsent_bytes",
	"budgets.unsent_bytes.limit":          "cyberdb_unsent_limit_bytes",
	"budgets.buffered_input_bytes.used":   "cyberdb_buffered_input_bytes",
	"budgets.buffered_input_bytes.limit":  "cyberdb_buffered_input_limit_bytes",
	"budgets.unauthenticated_bytes.used":  "cyberdb_unauthenticated_bytes",
	"budgets.unauthenticated_bytes.limit": "cyberdb_unauthenticated_limit_bytes",
	"budgets.backlog_bytes.limit":         "cyberdb_journal_pending_limit_bytes",
	"budgets.long_reads.used":             "cyberdb_long_reads",
	"budgets.long_reads.limit":            "cyberdb_long_reads_limit",
	"budgets.processors.used":             "cyberdb_background_processors",
	"budgets.processors.limit":            "cyberdb_background_processors_limit",
}

// sampleOf returns the sample that shows a field of INFO, "" if none does.
func sampleOf(field string, samples map[string]float64) string {
	if name, renamed := shown[field]; renamed {
		return name
	}
	if state, isState := strings.CutPrefix(field, "connection_states."); isState {
		return `cyberdb_connection_states{state="` + state + `"}`
	}
	if command, isWait := strings.CutPrefix(field, "waits."); isWait {
		return `cyberdb_waits{command="` + command + `"}`
	}
	name := "cyberdb_" + strings.TrimPrefix(field, "data.")
	if _, found := samples[name+"_total"]; found {
		return name + "_total"
	}
	return name
}

// flatten returns the fields of a JSON object, those of objects in it by their paths.
func flatten(object map[string]any, prefix string, into map[string]any) map[string]any {
	for name, value := range object {
		if inner, isObject := value.(map[string]any); isObject {
			flatten(inner, prefix+name+".", into)
			continue
		}
		into[prefix+name] = value
	}
	return into
}

// samplesOf returns the values of a page, by the text before each.
func samplesOf(page string) map[string]float64 {
	samples := map[string]float64{}
	for line := range strings.Lines(page) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "} ")
		if name += "}"; value == "" {
			name, value, _ = strings.Cut(strings.TrimSpace(line), " ")
		}
		if number, err := strconv.ParseFloat(value, 64); err == nil {
			samples[name] = number
		}
	}
	return samples
}

// fill sets every figure in a structure to a number of its own.
func fill(v reflect.Value, last *float64) {
	*last++
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), last)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), last)
	case reflect.Map:
		v.Set(reflect.ValueOf(map[string]int64{"running": int64(*last)}))
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(*last))
	case reflect.Uint64:
		v.SetUint(uint64(*last))
	case reflect.Float64:
		v.SetFloat(*last + 0.5)
	case reflect.String:
		v.SetString("text")
	case reflect.Bool:
		v.SetBool(true)
	}
}

// TestEveryFigure: /metrics has all that INFO has, with its values.
func TestEveryFigure(t *testing.T) {
	var info loop.Info
	fill(reflect.ValueOf(&info).Elem(), new(float64))
	var out text
	writeInfo(&out, &info)
	parse(t, out.String())
	samples := samplesOf(out.String())
	document, err := json.Marshal(info)
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(document, &fields); err != nil {
		t.Fatal(err)
	}
	for field, value := range flatten(fields, "", map[string]any{}) {
		name := sampleOf(field, samples)
		got, found := samples[name]
		want, isNumber := value.(float64)
		switch {
		case name == "" || name == "cyberdb_info":
			continue
		case !isNumber: // a text or a truth
			want = 1
		}
		if got != want || !found {
			t.Errorf("INFO's %s is %v, and %q is %v", field, value, name, got)
		}
	}
	if want := `cyberdb_info{version="text",persistence="text"} 1`; !strings.Contains(out.String(), want) {
		t.Errorf("%s is missing", want)
	}
}

// work executes requests of several commands, some of which fail.
func work(t *testing.T, c *client.Client) {
	t.Helper()
	users, queue := client.DictOf[string, int](c, "users"), client.ListOf[string](c, "queue")
	if _, err := users.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := queue.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		if err := users.Set(t.Context(), strconv.Itoa(i%10), i); err != nil {
			t.Fatal(err)
		}
		if err := queue.Append(t.Context(), "element"); err != nil {
			t.Fatal(err)
		}
		_, _ = users.Get(t.Context(), strconv.Itoa(i)) // most are not there
	}
}

// TestCountersUnderLoad: while clients work and the server saves, many scrapes a second are
// answered, and counters only grow, by what clients have done.
func TestCountersUnderLoad(t *testing.T) {
	db := database(t, func(cfg *loop.Config) { cfg.Data.File = t.TempDir() + "/data.cdb" })
	s, v := serving(t, db), visitorFrom(t, "127.0.0.1")
	c := clientOf(t, db)
	work(t, c)
	scraped := func() (samples map[string]float64) {
		resp, page := v.ask(t, s, "GET", "/metrics", password)
		if resp.StatusCode != 200 {
			t.Fatalf("a scrape: %s, %s", resp.Status, page)
		}
		parse(t, page)
		return samplesOf(page)
	}
	last := scraped()
	const sets = `cyberdb_commands_total{command="DICT SET",status="OK"}`
	before, counters := last[sets], 0
	var all sync.WaitGroup
	defer all.Wait()
	worked := make(chan bool)
	all.Go(func() {
		defer close(worked)
		for range 8 {
			work(t, c)
		}
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
		now := scraped()
		for name, was := range last {
			family, _, _ := strings.Cut(name, "{")
			if strings.HasSuffix(family, "_total") || strings.Contains(family, "duration_seconds") {
				if counters++; now[name] < was {
					t.Errorf("%s has shrunk from %v to %v", name, was, now[name])
				}
			}
		}
		last = now
	}
	if last[sets]-before != 800 || counters == 0 {
		t.Errorf("%v of 800 SETs are counted; there are %d counters", last[sets]-before, counters)
	}
}

// TestUnsavedChanges: a server that was never saved has as many unsaved changes as clients have
// made, so that the alert for them is silent until there are some.
func TestUnsavedChanges(t *testing.T) {
	db := database(t, func(cfg *loop.Config) { cfg.Data.File = t.TempDir() + "/data.cdb" })
	expect := func(when string, want float64) {
		t.Helper()
		samples := samplesOf(string(new(scrape).of(db)))
		if got, found := samples["cyberdb_unsaved_changes"]; got != want || !found {
			t.Errorf("%s: cyberdb_unsaved_changes is %v, want %v", when, got, want)
		}
	}
	expect("a new server", 0)
	c := clientOf(t, db)
	if err := client.ListOf[int](c, "queue").Create(t.Context()); err != nil {
		t.Fatal(err)
	}
	expect("after a change", 1)
	if err := c.Save(t.Context()); err != nil {
		t.Fatal(err)
	}
	expect("saved", 0)
}

// TestCommands: what is shown of commands is what clients have done, and its sums are one
// another's.
func TestCommands(t *testing.T) {
	db := database(t, nil)
	work(t, clientOf(t, db))
	page := string(new(scrape).of(db))
	samples := samplesOf(page)
	for name, want := range map[string]float64{
		`cyberdb_commands_total{command="DICT SET",status="OK"}`:                100,
		`cyberdb_commands_total{command="DICT GET",status="OK"}`:                10,
		`cyberdb_commands_total{command="DICT GET",status="KeyError"}`:          90,
		`cyberdb_commands_total{command="LIST APPEND",status="OK"}`:             100,
		`cyberdb_command_duration_seconds_count{command="DICT GET"}`:            100,
		`cyberdb_command_duration_seconds_bucket{command="DICT GET",le="+Inf"}`: 100,
		`cyberdb_table_requests_total{table="queue",kind="list"}`:               100,
		`cyberdb_table_entries{table="users",kind="dict"}`:                      10,
		`cyberdb_table_hits_total{table="users",kind="dict"}`:                   10,
		`cyberdb_table_misses_total{table="users",kind="dict"}`:                 90,
		`cyberdb_hits_total`:                          10,
		`cyberdb_misses_total`:                        90,
		`cyberdb_table_requests_total{table="other"}`: 0,
	} {
		if got, found := samples[name]; got != want || !found {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	families := parse(t, page)
	commands := 0.0
	for _, m := range families["cyberdb_commands_total"].GetMetric() {
		commands += m.GetCounter().GetValue()
	}
	for _, m := range families["cyberdb_command_duration_seconds"].GetMetric() {
		h, below := m.GetHistogram(), uint64(0)
		commands -= float64(h.GetSampleCount())
		for _, b := range h.GetBucket() {
			if b.GetCumulativeCount() < below {
				t.Errorf("%v: the buckets are not cumulative", m)
			}
			below = b.GetCumulativeCount()
		}
		if below != h.GetSampleCount() || h.GetSampleSum() <= 0 || len(h.GetBucket()) < 10 {
			t.Errorf("%v: the histogram does not agree with itself", m)
		}
	}
	if commands != 0 {
		t.Errorf("%v more requests are counted than measured", commands)
	}
}

// TestManyTables: the largest hundred are shown, and the sums of the others. Hostile names do no
// harm.
func TestManyTables(t *testing.T) {
	db := database(t, nil)
	c := clientOf(t, db)
	names := []string{
		"other",
		`a"} 1` + "\n",
		`back\slash`,
		"\x00\x1b[31m",
		strings.Repeat("long", 256),
		"nächste",
		"{}",
	}
	for i := range 200 {
		names = append(names, strconv.Itoa(i))
	}
	for i, name := range names {
		numbers := client.ListOf[int](c, name)
		if _, err := numbers.Ensure(t.Context(), slices.Repeat([]int{1}, 400-i)...); err != nil {
			t.Fatal(err)
		}
	}
	samples := parse(t, string(new(scrape).of(db)))["cyberdb_table_entries"].GetMetric()
	if len(samples) != maxTables+1 {
		t.Errorf("%d tables are shown", len(samples))
	}
	sum := 0.0
	shown := map[string]float64{}
	for _, m := range samples {
		sum += m.GetGauge().GetValue()
		if len(m.GetLabel()) == 2 {
			shown[m.GetLabel()[0].GetValue()] = m.GetGauge().GetValue()
		}
	}
	for i, name := range names[:maxTables] {
		if got := shown[name]; got != float64(400-i) {
			t.Errorf("the table %.20q is shown with %v elements, it has %d", name, got, 400-i)
		}
	}
	if want := float64((400 + 400 - len(names) + 1) * len(names) / 2); sum != want {
		t.Errorf("all tables together have %v elements, want %v", sum, want)
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
		out.sample(1, label("first", "1").and("table", name))
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
