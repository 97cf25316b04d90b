package main

import (
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"cyberdb-fast/client"
	"cyberdb-fast/loop"
)

const root = "../.."

func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestReadmeSettings: every flag has its row, with its default.
func TestReadmeSettings(t *testing.T) {
	rows := make(map[string]string)
	for line := range strings.Lines(readme(t)) {
		if cells := strings.Split(line, "|"); len(cells) == 5 {
			for _, name := range regexp.MustCompile("`--([a-z-]+)`").FindAllStringSubmatch(cells[1], -1) {
				rows[name[1]] = strings.TrimSpace(cells[2])
			}
		}
	}
	flags, _ := newFlags()
	flags.VisitAll(func(f *pflag.Flag) {
		fallback, found := rows[f.Name]
		delete(rows, f.Name)
		if !found {
			t.Errorf("README.md has no row for --%s", f.Name)
		}
		if f.DefValue != "" && fallback != f.DefValue {
			t.Errorf("README.md gives --%s the default %q, it is %q", f.Name, fallback, f.DefValue)
		}
	})
	if len(rows) > 0 {
		t.Errorf("README.md has rows for flags that do not exist: %v", rows)
	}
}

// TestReadmeConfiguration checks that the configuration file of README.md is understood, lets this
// machine connect, and asks for no more connections than the default.
func TestReadmeConfiguration(t *testing.T) {
	_, text, found := strings.Cut(readme(t), "\nA configuration file")
	lines := regexp.MustCompile(`(?m)^    .+$`).FindAllString(text, -1)
	if !found || len(lines) == 0 {
		t.Fatal("README.md has no configuration file")
	}
	file := filepath.Join(t.TempDir(), "cyberdb.conf")
	sample, _, _ := strings.Cut(strings.Join(lines, "\n"), "password-file")
	if err := os.WriteFile(file, []byte(sample), 0o600); err != nil {
		t.Fatal(err)
	}
	flags, cfg := newFlags()
	if err := flags.read(
		[]string{"--config", file},
		cfg,
		func(string) (string, bool) { return "", false },
	); err != nil {
		t.Fatalf("%v in\n%s", err, sample)
	}
	b := banner{tcp: netip.MustParseAddrPort("[::]:9980"), allow: cfg.allow}
	if cfg.host != "0.0.0.0" || b.shutsOutThisMachine() || cfg.maxConns > loop.DefaultMaxConns {
		t.Errorf("host %s, %d connections, this machine shut out: %v", cfg.host, cfg.maxConns, b.shutsOutThisMachine())
	}
}

// TestReadmeOperations: every method that the tables of operations name is there.
func TestReadmeOperations(t *testing.T) {
	types := map[string]reflect.Type{
		"Client": reflect.TypeFor[*client.Client](),
		"Dict":   reflect.TypeFor[*client.Dict[string, int]](),
		"List":   reflect.TypeFor[*client.List[int]](),
	}
	named := regexp.MustCompile("`(Client|Dict|List)\\.([A-Z][A-Za-z]+)`").FindAllStringSubmatch(readme(t), -1)
	if len(named) < 60 {
		t.Fatalf("%d methods found in README.md", len(named))
	}
	for _, name := range named {
		if _, found := types[name[1]].MethodByName(name[2]); !found {
			t.Errorf("README.md names %s.%s", name[1], name[2])
		}
	}
}

// TestReadmeLinks: files that README.md links to are there, and so are the functions that "Reading
// the source" names.
func TestReadmeLinks(t *testing.T) {
	text := regexp.MustCompile("(?s)```.*?```").ReplaceAllString(readme(t), "")
	links := regexp.MustCompile(`\[([^\]]+)\]\(([^):]+)\)`).FindAllStringSubmatch(text, -1)
	functions := 0
	for _, link := range links {
		path, _, _ := strings.Cut(link[2], "#")
		file, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			t.Errorf("README.md links to what is not there: %v", err)
		}
		if name, isFunction := strings.CutPrefix(link[1], "`"); isFunction {
			functions++
			if declaration := regexp.MustCompile(
				`(?m)^func (\([^)]+\) )?` + strings.Trim(name, "`") + `\(`,
			); !declaration.Match(
				file,
			) {
				t.Errorf("README.md says that %s is in %s", link[1], link[2])
			}
		}
	}
	if functions != 7 {
		t.Errorf("README.md names %d entry points, not 7", functions)
	}
}

// TestSecurityTests: the tests that SECURITY.md names are there.
func TestSecurityTests(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs", "SECURITY.md"))
	if err != nil {
		t.Fatal(err)
	}
	defined := make(map[string]bool)
	for _, room := range []string{"codec/secure", "codec/pickle", "codec/legacy", "codec/value", "codec/govalue", "shardmap", "loop", "loop/engine", "client", "cmd/cyberdb-fast"} {
		files, err := filepath.Glob(filepath.Join(root, room, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			source, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, match := range regexp.MustCompile(`(?m)^func (Test\w+)`).FindAllSubmatch(source, -1) {
				defined[string(match[1])] = true
			}
		}
	}
	named := regexp.MustCompile(`Test\w+`).FindAllString(string(text), -1)
	if len(named) < 20 {
		t.Errorf("SECURITY.md names %d tests", len(named))
	}
	for _, name := range named {
		if !defined[name] {
			t.Errorf("SECURITY.md names %s, which is not there", name)
		}
	}
	files, err := filepath.Glob(filepath.Join(root, "bench", "abuse", "scenarios*.go"))
	if err != nil {
		t.Fatal(err)
	}
	played := make(map[string]bool)
	for _, name := range files {
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range regexp.MustCompile(`\bname:\s+"([^"]+)"`).FindAllSubmatch(source, -1) {
			played[string(match[1])] = true
		}
	}
	scenarios := regexp.MustCompile("`([a-z]+(-[a-z]+)*)`").FindAllStringSubmatch(tested(string(text)), -1)
	if len(scenarios) < 30 {
		t.Errorf("SECURITY.md names %d scenarios", len(scenarios))
	}
	for _, scenario := range scenarios {
		if !played[scenario[1]] {
			t.Errorf("SECURITY.md names the scenario %s, which is not there", scenario[1])
		}
	}
}

// tested returns the last cells of SECURITY.md's first table.
func tested(text string) string {
	var cells []string
	for line := range strings.Lines(text) {
		if row := strings.Split(line, "|"); len(row) == 6 {
			cells = append(cells, row[4])
		}
	}
	return strings.Join(cells, "\n")
}
