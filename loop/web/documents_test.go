package web

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/VictoriaMetrics/metricsql"
	"go.yaml.in/yaml/v3"

	"cyberdb-fast/loop"
)

const documents = "../../docs/"

// labelsOf returns the names of the labels of every sample that a server shows, by its name, with
// those that Prometheus adds.
func labelsOf(t *testing.T) map[string][]string {
	t.Helper()
	db := database(t, func(cfg *loop.Config) { cfg.Data.File = t.TempDir() + "/data.cdb" })
	work(t, clientOf(t, db))
	labels := map[string][]string{"up": {"job", "instance"}}
	for sample := range samplesOf(string(new(scrape).of(db))) {
		expr, err := metricsql.Parse(sample)
		if err != nil {
			t.Fatalf("%s: %v", sample, err)
		}
		filters := expr.(*metricsql.MetricExpr).LabelFilterss[0]
		name := filters[0].Value
		labels[name] = append(labels[name], "job", "instance")
		for _, f := range filters[1:] {
			labels[name] = append(labels[name], f.Label)
		}
	}
	return labels
}

// checkQuery checks that a query can be parsed, and that the server shows what it asks for.
func checkQuery(t *testing.T, where, query string, labels map[string][]string) {
	t.Helper()
	expr, err := metricsql.Parse(strings.NewReplacer("$__rate_interval", "5m", "$instance", ".*").Replace(query))
	if err != nil {
		t.Errorf("%s: %s: %v", where, query, err)
		return
	}
	var known []string // labels of all metrics of the query
	metrics := 0
	metricsql.VisitAll(expr, func(e metricsql.Expr) {
		m, ok := e.(*metricsql.MetricExpr)
		if !ok {
			return
		}
		for _, filters := range m.LabelFilterss {
			metrics++
			name := filters[0].Value
			if filters[0].Label != "__name__" || labels[name] == nil {
				t.Errorf("%s: %s: the server shows no %s", where, query, name)
			}
			for _, f := range filters[1:] {
				if !slices.Contains(labels[name], f.Label) {
					t.Errorf("%s: %s: %s has no label %s", where, query, name, f.Label)
				}
			}
			known = append(known, labels[name]...)
		}
	})
	if metrics == 0 {
		t.Errorf("%s: %s: it asks for nothing", where, query)
	}
	metricsql.VisitAll(expr, func(e metricsql.Expr) {
		aggregate, ok := e.(*metricsql.AggrFuncExpr)
		if !ok {
			return
		}
		for _, label := range aggregate.Modifier.Args {
			if !slices.Contains(known, label) {
				t.Errorf("%s: %s: nothing has a label %s", where, query, label)
			}
		}
	})
}

// TestAlerts: the rules can be parsed, and ask for what a server shows.
func TestAlerts(t *testing.T) {
	text, err := os.ReadFile(documents + "alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var rules struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&rules); err != nil {
		t.Fatal(err)
	}
	labels := labelsOf(t)
	alerts := 0
	for _, group := range rules.Groups {
		for _, rule := range group.Rules {
			alerts++
			checkQuery(t, rule.Alert, rule.Expr, labels)
			if severity := rule.Labels["severity"]; severity != "critical" && severity != "warning" {
				t.Errorf("%s has the severity %q", rule.Alert, severity)
			}
			if !strings.Contains(rule.Annotations["summary"], "{{ $labels.instance }}") {
				t.Errorf("%s does not name the server", rule.Alert)
			}
		}
	}
	if alerts < 10 {
		t.Errorf("there are %d alerts", alerts)
	}
}

// TestDashboard: Grafana's panels ask for what a server shows, and do not overlap.
func TestDashboard(t *testing.T) {
	text, err := os.ReadFile(documents + "grafana-dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			ID          int
			Type, Title string
			GridPos     struct{ H, W, X, Y int }
			Targets     []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	labels := labelsOf(t)
	taken, ids, queries := map[[2]int]string{}, map[int]bool{}, 0
	for _, panel := range dashboard.Panels {
		if ids[panel.ID] {
			t.Errorf("two panels have the number %d", panel.ID)
		}
		ids[panel.ID] = true
		for x := panel.GridPos.X; x < panel.GridPos.X+panel.GridPos.W; x++ {
			for y := panel.GridPos.Y; y < panel.GridPos.Y+panel.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("%s is where %s is, or too far right", panel.Title, other)
				}
				taken[[2]int{x, y}] = panel.Title
			}
		}
		for _, target := range panel.Targets {
			queries++
			checkQuery(t, panel.Title, target.Expr, labels)
		}
		if (len(panel.Targets) == 0) != (panel.Type == "row") {
			t.Errorf("%s has %d queries", panel.Title, len(panel.Targets))
		}
	}
	if queries < 30 {
		t.Errorf("there are %d queries", queries)
	}
}

// TestNamesInDocument: MONITORING.md names metrics that a server shows.
func TestNamesInDocument(t *testing.T) {
	text, err := os.ReadFile(documents + "MONITORING.md")
	if err != nil {
		t.Fatal(err)
	}
	labels := labelsOf(t)
	names := regexp.MustCompile("`(cyberdb_[a-z_]+[a-z])`").FindAllSubmatch(text, -1)
	for _, match := range names {
		if name := string(match[1]); labels[name] == nil && labels[name+"_bucket"] == nil {
			t.Errorf("MONITORING.md names %s, which a server does not show", name)
		}
	}
	if len(names) < 15 {
		t.Errorf("%d names are found", len(names))
	}
}
