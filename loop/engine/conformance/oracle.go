package conformance

import (
	"bufio"
	_ "embed" // model.py
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"cyberdb-fast/codec"
)

// Operation is one request: its opcode and its arguments, encoded, the table's name first.
type Operation struct {
	Op   codec.Opcode
	Args [][]byte
}

// Frame returns the operation as a request.
func (o Operation) Frame(dst []byte, id uint32) []byte {
	dst, at := codec.BeginRequest(dst, &codec.Request{ID: id, Op: o.Op})
	for _, arg := range o.Args {
		dst = append(dst, arg...)
	}
	codec.EndFrame(dst, at)
	return dst
}

func (o Operation) String() string {
	text := o.Op.String()
	for i, arg := range o.Args {
		if i == 8 {
			return fmt.Sprintf("%s and %d more", text, len(o.Args)-i)
		}
		text += fmt.Sprintf(" %.80x", arg)
	}
	return text
}

// Answer is what CPython answers to an operation.
type Answer struct {
	Status codec.Status
	Strict bool   // the text of an error is Python's own
	Body   []byte // or the error's text
	Key    []byte // argument of a KeyError
}

// Oracle is a CPython process that applies operations to real dicts and lists: model.py. It is for
// one goroutine.
type Oracle struct {
	testing.TB
	Families map[string][][]byte // encoded values to test with
	Lengths  map[string]int      // of each table, after the last batch

	in  io.WriteCloser
	out *bufio.Reader
}

//go:embed model.py
var model string

// compareBodies is the opcode of the model's own operation.
const compareBodies codec.Opcode = 0

// StartOracle starts CPython; it ends with the test.
func StartOracle(t testing.TB, seed uint64) *Oracle {
	t.Helper()
	cmd := exec.Command("python3", "-c", model, filepath.Join(root(t), "codec", "value", "testdata"), fmt.Sprint(seed))
	cmd.Env = append(cmd.Environ(), "PYTHONHASHSEED=0", "PYTHONDONTWRITEBYTECODE=1")
	var err error
	m := &Oracle{TB: t, Families: make(map[string][][]byte), Lengths: make(map[string]int)}
	if m.in, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	errors := &logWriter{t}
	cmd.Stderr = errors
	m.out = bufio.NewReaderSize(out, 1<<20)
	if err := cmd.Start(); err != nil {
		t.Fatalf("CPython is the oracle of this test: %v", err)
	}
	t.Cleanup(func() {
		_ = m.in.Close()
		if err := cmd.Wait(); err != nil && !t.Failed() {
			t.Errorf("model.py: %v", err)
		}
	})
	for range m.number() {
		name := string(m.bytes())
		for range m.number() {
			m.Families[name] = append(m.Families[name], m.bytes())
		}
	}
	return m
}

// root returns the directory of go.mod, above that of the test.
func root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	for ; err == nil; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			break
		}
	}
	t.Fatalf("no go.mod above this test: %v", err)
	return ""
}

// logWriter writes lines to a test's log.
type logWriter struct{ testing.TB }

func (l *logWriter) Write(b []byte) (int, error) {
	l.Logf("%s", b)
	return len(b), nil
}

// Run applies operations and returns what CPython answers to each.
func (m *Oracle) Run(ops []Operation) []Answer {
	m.Helper()
	msg := make([]byte, 4, 64*len(ops))
	for _, o := range ops {
		msg = binary.LittleEndian.AppendUint32(msg, uint32(o.Op))
		msg = binary.LittleEndian.AppendUint32(msg, uint32(len(o.Args)))
		for _, arg := range o.Args {
			msg = append(binary.LittleEndian.AppendUint32(msg, uint32(len(arg))), arg...)
		}
	}
	binary.LittleEndian.PutUint32(msg, uint32(len(msg)-4))
	if _, err := m.in.Write(msg); err != nil {
		m.Fatalf("model.py: %v", err)
	}
	m.number()
	answers := make([]Answer, len(ops))
	for i := range answers {
		answers[i] = Answer{Status: codec.Status(m.number()), Strict: m.number() != 0, Body: m.bytes(), Key: m.bytes()}
	}
	clear(m.Lengths)
	for range m.number() {
		name := string(m.bytes())
		m.Lengths[name] = m.number()
	}
	return answers
}

// Same says whether two bodies hold the same values, whatever their encodings.
func (m *Oracle) Same(a, b []byte) bool {
	m.Helper()
	return m.Run([]Operation{{compareBodies, [][]byte{a, b}}})[0].Status == codec.StatusOK
}

func (m *Oracle) number() int {
	m.Helper()
	var b [4]byte
	if _, err := io.ReadFull(m.out, b[:]); err != nil {
		m.Fatalf("model.py: %v", err)
	}
	return int(binary.LittleEndian.Uint32(b[:]))
}

func (m *Oracle) bytes() []byte {
	m.Helper()
	b := make([]byte, m.number())
	if _, err := io.ReadFull(m.out, b); err != nil {
		m.Fatalf("model.py: %v", err)
	}
	return b
}
