package main

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
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

// TestOperationsWalk types the commands of the walk in docs/OPERATIONS.md, as they stand there but
// for the ports. They print what the document shows, but for numbers; on a busy machine also other
// slow requests.
func TestOperationsWalk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	build := exec.Command("go", "build", "-tags", "poll_opt", "-o", dir, "./cmd/cyberdb-bench")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	_, walk, _ := strings.Cut(document(t, "docs/OPERATIONS.md"), "\n## A walk\n")
	walk, _, _ = strings.Cut(walk, "\n## ")
	var script, want strings.Builder
	script.WriteString("set -e\n")
	for line := range strings.Lines(walk) {
		shown, isCode := strings.CutPrefix(line, "    ")
		command, typed := strings.CutPrefix(shown, "$ ")
		switch {
		case typed:
			script.WriteString(command)
		case isCode:
			want.WriteString(shown)
		}
	}
	ports := freePorts(t, 2)
	text := strings.NewReplacer("9980", ports[0], "9981", ports[1]).Replace(script.String())
	ctx, cancel := context.WithTimeout(t.Context(), 10*testTimeout)
	defer cancel()
	sh := exec.CommandContext(ctx, "sh", "-c", text)
	sh.Dir = dir
	sh.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "CYBERDB_PORT="+ports[0])
	sh.WaitDelay = testTimeout
	var out, problems bytes.Buffer
	sh.Stdout, sh.Stderr = &out, &problems
	if err := sh.Run(); err != nil {
		log, _ := os.ReadFile(filepath.Join(dir, "server.log"))
		t.Fatalf("%v after:\n%s\n%s\n%s", err, &out, &problems, log)
	}
	rest := pattern(out.String())
	for line := range strings.Lines(pattern(want.String())) {
		_, after, found := strings.Cut("\n"+rest, "\n"+line)
		if !found {
			t.Fatalf("%q is not in what is left of the output:\n%s\nThe whole is\n%s", line, rest, &out)
		}
		rest = after
	}
}

// pattern returns a text with # for what differs from run to run: numbers, with their units, or a
// dash in the place of one, the digits of a digest, paths and blanks.
func pattern(text string) string {
	text = regexp.MustCompile(`/\S*/cyberdb-data`).ReplaceAllString(text, "DIR")
	text = regexp.MustCompile(`digest [0-9a-f]+`).ReplaceAllString(text, "digest #")
	text = regexp.MustCompile(`[0-9][0-9,.:]*( (ms|us|s|B|KiB|MiB|%))?|\B-\B`).ReplaceAllString(text, "#")
	return regexp.MustCompile(` +`).ReplaceAllString(text, " ")
}

// freePorts returns n TCP ports of this machine that nothing listens on.
func freePorts(t *testing.T, n int) (ports []string) {
	t.Helper()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		ports = append(ports, strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
	}
	return ports
}
