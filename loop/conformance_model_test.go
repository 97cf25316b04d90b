package loop

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"os/exec"
	"testing"

	"cyberdb-fast/codec"
)

// operation is one request of the conformance test: its opcode and its arguments, encoded, the table's name first.
type operation struct {
	op   codec.Opcode
	args [][]byte
}

// frame returns the operation as a request.
func (o operation) frame(dst []byte, id uint32) []byte {
	dst, at := codec.BeginRequest(dst, &codec.Request{ID: id, Op: o.op})
	for _, arg := range o.args {
		dst = append(dst, arg...)
	}
	codec.EndFrame(dst, at)
	return dst
}

func (o operation) String() string {
	text := o.op.String()
	for i, arg := range o.args {
		if i == 8 {
			return fmt.Sprintf("%s and %d more", text, len(o.args)-i)
		}
		text += fmt.Sprintf(" %.80x", arg)
	}
	return text
}

// answer is what CPython answers to an operation.
type answer struct {
	status codec.Status
	strict bool   // the text of an error is Python's own
	body   []byte // or the error's text
	key    []byte // argument of a KeyError
}

// pythonModel is a CPython process that applies operations to real dicts and lists: testdata/model.py.
type pythonModel struct {
	testing.TB
	in       io.WriteCloser
	out      *bufio.Reader
	families map[string][][]byte // encoded values to test with
	lengths  map[string]int      // of each table, after the last batch
}

// compareBodies is the opcode of the model's own operation.
const compareBodies codec.Opcode = 0

func startModel(t testing.TB, seed uint64) *pythonModel {
	t.Helper()
	cmd := exec.Command("python3", "testdata/model.py", "../codec/value/testdata", fmt.Sprint(seed))
	cmd.Env = append(cmd.Environ(), "PYTHONHASHSEED=0", "PYTHONDONTWRITEBYTECODE=1")
	var err error
	m := &pythonModel{TB: t, families: make(map[string][][]byte), lengths: make(map[string]int)}
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
		t.Fatalf("CPython judges this test: %v", err)
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
			m.families[name] = append(m.families[name], m.bytes())
		}
	}
	return m
}

// logWriter writes lines to a test's log.
type logWriter struct{ testing.TB }

func (l *logWriter) Write(b []byte) (int, error) {
	l.Logf("%s", b)
	return len(b), nil
}

// run applies operations and returns what CPython answers to each.
func (m *pythonModel) run(ops []operation) []answer {
	m.Helper()
	msg := make([]byte, 4, 64*len(ops))
	for _, o := range ops {
		msg = binary.LittleEndian.AppendUint32(msg, uint32(o.op))
		msg = binary.LittleEndian.AppendUint32(msg, uint32(len(o.args)))
		for _, arg := range o.args {
			msg = append(binary.LittleEndian.AppendUint32(msg, uint32(len(arg))), arg...)
		}
	}
	binary.LittleEndian.PutUint32(msg, uint32(len(msg)-4))
	if _, err := m.in.Write(msg); err != nil {
		m.Fatalf("model.py: %v", err)
	}
	m.number()
	answers := make([]answer, len(ops))
	for i := range answers {
		answers[i] = answer{status: codec.Status(m.number()), strict: m.number() != 0, body: m.bytes(), key: m.bytes()}
	}
	clear(m.lengths)
	for range m.number() {
		name := string(m.bytes())
		m.lengths[name] = m.number()
	}
	return answers
}

// same says whether two bodies hold the same values, whatever their encodings.
func (m *pythonModel) same(a, b []byte) bool {
	m.Helper()
	return m.run([]operation{{compareBodies, [][]byte{a, b}}})[0].status == codec.StatusOK
}

func (m *pythonModel) number() int {
	m.Helper()
	var b [4]byte
	if _, err := io.ReadFull(m.out, b[:]); err != nil {
		m.Fatalf("model.py: %v", err)
	}
	return int(binary.LittleEndian.Uint32(b[:]))
}

func (m *pythonModel) bytes() []byte {
	m.Helper()
	b := make([]byte, m.number())
	if _, err := io.ReadFull(m.out, b); err != nil {
		m.Fatalf("model.py: %v", err)
	}
	return b
}
