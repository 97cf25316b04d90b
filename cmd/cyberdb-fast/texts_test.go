package main

import (
	"bufio"
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"cyberdb-fast/client"
	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/codec/value"
)

// prefixed finds the name of one of this module's packages before an error's text. (--legacy: names
// a flag.)
var prefixed = regexp.MustCompile(
	`(^|[^-\w])(cmd|loop|engine|codec|value|govalue|secure|legacy|pickle|jsonvalue|foreign|shardmap|rope|persist): `,
)

func checkText(t *testing.T, what, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		if prefixed.MatchString(line) {
			t.Errorf("%s: a package's name in %q", what, strings.TrimSpace(line))
		}
	}
}

// TestErrorsNameNoPackage: no text in the sources begins with the name of its package, as Go's own
// errors do: users cannot act on it. The client's say "client", as a Go programmer expects.
func TestErrorsNameNoPackage(t *testing.T) {
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && strings.HasPrefix(entry.Name(), ".") && path != root:
			return filepath.SkipDir
		case entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, path, nil, 0)
		if err != nil || file.Name.Name == "client" {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if text, err := strconv.Unquote(lit.Value); err == nil && strings.HasPrefix(text, file.Name.Name+": ") {
					t.Errorf("%s: %q", fset.Position(lit.Pos()), text)
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// badFiles writes files that no command takes, and returns their names.
func badFiles(t *testing.T, whole string) (names []string) {
	t.Helper()
	dir := t.TempDir()
	data, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(data)
	flipped[len(flipped)/2] ^= 0xFF
	contents := map[string][]byte{
		"empty.cdb":   nil,
		"text.cdb":    []byte("hello\n"),
		"short.cdb":   data[:len(data)-7],
		"head.cdb":    data[:24],
		"flipped.cdb": flipped,
		"later.cdb": append(
			bytes.Replace(data[:16:16], []byte{1}, []byte{9}, 1),
			data[16:]...),
		"pickle.cdb": {0x80, 4, 'c', 'o', 's', '\n'},
		"lines.jsonl": []byte(
			"{\"table\":\"t\",\"kind\":\"dict\"}\n[1,2,3]\n{\n",
		),
		"words.jsonl": []byte("{\"cyberdb\":1}\n"),
	}
	for name, content := range contents {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	return append(names, dir, filepath.Join(dir, "not-there.cdb"), "/dev/null")
}

// command runs the binary and returns all that it printed.
func command(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Args[0] = "cyberdb-fast"
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "CYBERDB_PASSWORD=")
	out, _ := cmd.CombinedOutput()
	return string(out)
}

// TestNoPackageNameIsPrinted: over bad files, flags, requests and lines of the control socket, no
// text that a user sees has one.
func TestNoPackageNameIsPrinted(t *testing.T) {
	logFile, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer logFile.Close()
	p := startProcess(t, nil, logFile)
	badRequests(t, p.client(t, testPassword))
	p.client(t, "wrong")
	dir := filepath.Join(p.dir, "data")
	control := filepath.Join(dir, controlFile)
	whole := filepath.Join(dir, "copy.cdb")
	checkText(t, "save", askControl(t, control, fmt.Sprintf(`{"do":"save","path":%q}`, whole)))
	files := badFiles(t, whole)
	for _, file := range files {
		for _, line := range []string{`{"do":"load","path":%q}`, `{"do":"load","replace":true,"path":%q}`, `{"do":"save","path":%q}`, `{"do":%q}`, `%q`, `{`, `{"path":%q,"more":1}`} {
			if strings.Contains(line, "%") {
				line = fmt.Sprintf(line, file)
			}
			checkText(t, line, askControl(t, control, line))
		}
	}
	for _, args := range [][]string{{"--dir", dir, "--port", "0"}, {"--port", "x"}, {"--port", "0", "--host", "300.1.1.1"}, {"--unix", "/not/there", "--host", ""}, {"--no-such"}, {"--config", "/not/there"}, {"--legacy", "--port", "0", "--password", strings.Repeat("x", 40)}, {"check"}, {"export"}, {"import"}} {
		checkText(t, strings.Join(args, " "), command(t, args...))
	}
	for _, file := range files {
		for _, args := range [][]string{{"check", file}, {"check", file, "--salvage", whole}, {"export", file, "-o", whole}, {"export", file}, {"import", file, "-o", whole}, {"import", file, "-o", filepath.Join(t.TempDir(), "new.cdb")}} {
			checkText(t, strings.Join(args, " "), command(t, args...))
		}
		checkText(t, "start with "+file, startWith(t, file))
	}
	p.stop(t, longPatience)
	text, err := os.ReadFile(logFile.Name())
	if err != nil {
		t.Fatal(err)
	}
	checkText(t, "log", string(text))
}

// startWith starts a server with a copy of a file, which may do, and returns what it printed by the
// end of its standard input.
func startWith(t *testing.T, file string) string {
	t.Helper()
	args := []string{"--dir", t.TempDir(), "--port", "0", "--end-with-stdin"}
	if data, err := os.ReadFile(file); err == nil {
		file = filepath.Join(t.TempDir(), "data.cdb")
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return command(t, append(args, "--file", file)...)
}

// badRequests checks the errors of requests that fail.
func badRequests(t *testing.T, db *client.Client) {
	t.Helper()
	ctx := t.Context()
	dict, list := client.DictOf[any, any](db, "d"), client.ListOf[any](db, "l")
	_, err := dict.Get(ctx, "k")
	errs := []error{
		err,
		dict.Create(ctx),
		dict.Create(ctx),
		list.Create(ctx),
		list.Extend(ctx, 1, "a"),
		dict.Set(ctx, "k", "text"),
	}
	errs = append(
		errs,
		dict.Set(ctx, []int{1}, 1),
		dict.Set(ctx, "\xff", 1),
		dict.Set(ctx, "k", make(chan int)),
		list.Sort(ctx, client.Itself, client.Ascending),
	)
	_, err = dict.Increment(ctx, "k", 1)
	errs = append(
		errs,
		err,
		list.Remove(ctx, 9),
		list.Set(ctx, 99, 1),
		client.ListOf[any](db, "d").Append(ctx, 1),
		client.DictOf[any, any](db, "").Set(ctx, 1, 1),
	)
	deep := any(1)
	for range 200 {
		deep = []any{deep}
	}
	_, err = client.DictOf[string, int](db, "d").Get(ctx, "k")
	errs = append(
		errs,
		err,
		dict.Set(ctx, "k", deep),
		dict.Set(ctx, "k", govalue.Ext{Code: 63}),
		dict.Set(ctx, "k", make([]byte, value.MaxValueBytes)),
	)
	for _, err := range errs {
		if err != nil {
			checkText(t, "request", err.Error())
		}
	}
}

// askControl sends a line to the control socket and returns the answer.
func askControl(t *testing.T, socket, line string) string {
	t.Helper()
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := fmt.Fprintln(conn, line); err != nil {
		t.Fatal(err)
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		t.Fatalf("%s: %q, %v", line, answer, err)
	}
	return answer
}
