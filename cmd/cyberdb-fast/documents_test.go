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

const (
	root          = "../.."
	configuration = "docs/CONFIGURATION.md"
)

func document(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestDocumentedFlags checks that every flag has its row, with its default.
func TestDocumentedFlags(t *testing.T) {
	rows := make(map[string]string)
	for line := range strings.Lines(document(t, configuration)) {
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
			t.Errorf("%s has no row for --%s", configuration, f.Name)
		}
		if f.DefValue != "" && f.DefValue != "false" && fallback != f.DefValue {
			t.Errorf("%s gives --%s the default %q, it is %q", configuration, f.Name, fallback, f.DefValue)
		}
	})
	if len(rows) > 0 {
		t.Errorf("%s has rows for flags that do not exist: %v", configuration, rows)
	}
}

// TestDocumentedConfiguration checks that the configuration file of the document is understood,
// lets this machine connect, and asks for no more connections than the default.
func TestDocumentedConfiguration(t *testing.T) {
	_, text, found := strings.Cut(document(t, configuration), "\nA configuration file")
	lines := regexp.MustCompile(`(?m)^    .+$`).FindAllString(text, -1)
	if !found || len(lines) == 0 {
		t.Fatal("there is no configuration file in " + configuration)
	}
	file := filepath.Join(t.TempDir(), "cyberdb.conf")
	sample, _, _ := strings.Cut(strings.Join(lines, "\n"), "password-file")
	if err := os.WriteFile(file, []byte(sample), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := readConfig(t, []string{"--config", file}, nil, "")
	if err != nil {
		t.Fatalf("%v in\n%s", err, sample)
	}
	b := banner{tcp: netip.MustParseAddrPort("[::]:9980"), allow: cfg.allow}
	if cfg.host != "0.0.0.0" || b.shutsOutThisMachine() || cfg.maxConns > loop.DefaultMaxConns {
		t.Errorf("host %s, %d connections, this machine shut out: %v", cfg.host, cfg.maxConns, b.shutsOutThisMachine())
	}
}

// TestDocumentedMethods checks that every Go method in the tables of commands exists.
func TestDocumentedMethods(t *testing.T) {
	types := map[string]reflect.Type{
		"Client": reflect.TypeFor[*client.Client](),
		"Dict":   reflect.TypeFor[*client.Dict[string, int]](),
		"List":   reflect.TypeFor[*client.List[int]](),
	}
	named := regexp.MustCompile("`(Client|Dict|List)\\.([A-Z][A-Za-z]+)`").
		FindAllStringSubmatch(document(t, "docs/COMMANDS.md"), -1)
	if len(named) < 60 {
		t.Fatalf("%d methods found in COMMANDS.md", len(named))
	}
	for _, name := range named {
		if _, found := types[name[1]].MethodByName(name[2]); !found {
			t.Errorf("COMMANDS.md names %s.%s", name[1], name[2])
		}
	}
}

// TestDocumentedInfo checks that OPERATIONS.md explains every field of INFO, and no other.
func TestDocumentedInfo(t *testing.T) {
	_, text, _ := strings.Cut(document(t, "docs/OPERATIONS.md"), "\n## Monitoring\n")
	text, _, _ = strings.Cut(text, "\n## ")
	named := make(map[string]bool)
	for line := range strings.Lines(text) {
		if cells := strings.Split(line, "|"); len(cells) == 4 {
			for _, name := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(cells[1], -1) {
				named[name[1]] = true
			}
		}
	}
	for _, typ := range []reflect.Type{reflect.TypeFor[loop.Info](), reflect.TypeFor[loop.DataInfo]()} {
		for _, field := range reflect.VisibleFields(typ) {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			if !field.Anonymous && name != "data" && !named[name] {
				t.Errorf("OPERATIONS.md does not explain the field %s of INFO", name)
			}
			delete(named, name)
		}
	}
	for name := range named {
		t.Errorf("OPERATIONS.md explains %s, which is not a field of INFO", name)
	}
}

// TestReadmeFunctions checks that the functions that "Reading the source" names are in their files.
func TestReadmeFunctions(t *testing.T) {
	links := regexp.MustCompile("\\[`([^\\]]+)`\\]\\(([^)]+\\.go)\\)").
		FindAllStringSubmatch(document(t, "README.md"), -1)
	for _, link := range links {
		declaration := regexp.MustCompile(`(?m)^func (\([^)]+\) )?` + link[1] + `\(`)
		if !declaration.MatchString(document(t, link[2])) {
			t.Errorf("README.md says that %s is in %s", link[1], link[2])
		}
	}
	if len(links) < 5 {
		t.Errorf("README.md names %d functions", len(links))
	}
}
