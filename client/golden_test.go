package client

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/govalue"
)

// notInPipelines are the commands that have a method but none for pipelines.
var notInPipelines = map[codec.Opcode]bool{
	codec.OpDictKeys: true, codec.OpDictValues: true, codec.OpDictItems: true,
	codec.OpListSetSlice: true, codec.OpListDeleteSlice: true, codec.OpListRemove: true, codec.OpListCount: true,
	codec.OpListIndex: true, codec.OpListReverse: true, codec.OpListContains: true, codec.OpListAll: true,
	codec.OpDictGetOrCompute: true, codec.OpListTake: true,
}

// TestEveryCommandHasMethods checks that each command for dicts and lists has a method of its name,
// and one for pipelines. It calls the methods that take only keys and values, and compares their
// requests and results with codec/testdata/frames.txt.
func TestEveryCommandHasMethods(t *testing.T) {
	examples := goldenFrames(t)
	p := startPeer(t)
	c := dialPeer(t, p, nil)
	called := 0
	for op, shape := range codec.Shapes {
		op := codec.Opcode(op)
		kind, name, _ := strings.Cut(shape.Name, " ")
		switch {
		case kind != "DICT" && kind != "LIST",
			op == codec.OpDictScan, // Dict.All reads it all
			// only the server's log has these
			op == codec.OpDictForget, op == codec.OpDictHorizon, op == codec.OpListReturn:
			continue
		}
		file := "client/" + strings.ToLower(kind) + ".go"
		pipe := c.Pipeline()
		table, twins := any(c.Dict("d")), any(c.Dict("d").With(pipe))
		if kind == "LIST" {
			table, twins = c.List("l"), c.List("l").With(pipe)
		}
		method, twin := methodOf(table, name), methodOf(twins, name)
		e := examples[shape.Name]
		switch {
		case !method.IsValid():
			t.Errorf("%v has no method: add it to %s", op, file)
		case !twin.IsValid() && !notInPipelines[op]:
			t.Errorf("%v has no method for pipelines: add it to %s after that of the table", op, file)
		case e == nil:
			t.Errorf("codec/testdata/frames.txt has no frame named %q: run make generate", strings.ToLower(shape.Name))
		case twin.IsValid():
			args, fit := arguments(twin, e.args)
			if !fit {
				continue
			}
			called++
			p.with(func() { p.answer = e.answer })
			what := fmt.Sprintf("%v, in %s: the method", op, file)
			e.compare(t, what, method.Call(append([]reflect.Value{reflect.ValueOf(t.Context())}, args...)))
			future := twin.Call(args)[0]
			if err := pipe.Do(t.Context()); err != nil {
				t.Errorf("%v: %v", op, err)
			}
			e.compare(t, what+" for pipelines", future.MethodByName("Result").Call(nil))
		}
	}
	if called < 15 {
		t.Errorf("only %d methods were called", called)
	}
}

// goldenExample is a request of codec/testdata/frames.txt.
type goldenExample struct {
	request []byte // payload
	args    []any  // after the table's name
	reply   codec.Reply
	sent    chan []byte // payloads that the method has sent
}

// goldenFrames returns an example of each command, by its name: the one that is called as it, or
// else the first one whose name begins so.
func goldenFrames(t *testing.T) map[string]*goldenExample {
	t.Helper()
	text, err := os.ReadFile("../codec/testdata/frames.txt")
	if err != nil {
		t.Fatal(err)
	}
	examples := make(map[string]*goldenExample)
	for _, shape := range codec.Shapes {
		for _, end := range []string{"\t", ", ", ": "} {
			_, rest, found := strings.Cut(string(text), "\n"+strings.ToLower(shape.Name)+end)
			line, _, _ := strings.Cut(rest, "\n")
			if columns := strings.Split(end+line, "\t"); shape.Name != "" && found {
				examples[shape.Name] = newGoldenExample(t, columns[1], columns[2])
				break
			}
		}
	}
	return examples
}

// newGoldenExample reads two frames in hex.
func newGoldenExample(t *testing.T, request, reply string) *goldenExample {
	t.Helper()
	var frames [2][]byte
	for i, text := range []string{request, reply} {
		var err error
		if frames[i], err = hex.DecodeString(text); err != nil {
			t.Fatal(err)
		}
	}
	req, _, err := codec.ParseRequest(frames[0])
	if err != nil {
		t.Fatal(err)
	}
	e := &goldenExample{request: req.Payload, sent: make(chan []byte, 1)}
	if e.reply, _, err = codec.ParseReply(frames[1]); err != nil {
		t.Fatal(err)
	}
	for i, arg := range split(req.Args) {
		v, _, err := govalue.Decode(arg)
		if err != nil {
			t.Fatal(err)
		}
		if i > 0 {
			e.args = append(e.args, v)
		}
	}
	return e
}

// answer is the peer's handler.
func (e *goldenExample) answer(_ *peer, req codec.Request) []byte {
	e.sent <- bytes.Clone(req.Payload)
	reply := e.reply
	reply.ID = req.ID
	return codec.AppendReply(nil, &reply)
}

// compare says what is wrong with a call's results, the last an error.
func (e *goldenExample) compare(t *testing.T, what string, results []reflect.Value) {
	t.Helper()
	select {
	case sent := <-e.sent:
		if !bytes.Equal(sent, e.request) {
			t.Errorf("%s sent %x, want %x", what, sent, e.request)
		}
	default:
		t.Errorf("%s sent nothing", what)
	}
	if err := results[len(results)-1]; !err.IsNil() {
		t.Errorf("%s returned %v", what, err)
	}
	if want := split(e.reply.Body); len(want) == 1 {
		v, _, err := govalue.Decode(want[0])
		if v == nil && results[0].IsZero() {
			return
		}
		if got := results[0].Interface(); err != nil || fmt.Sprint(got) != fmt.Sprint(v) {
			t.Errorf("%s returned %v, want %v, %v", what, got, v, err)
		}
	}
}

// methodOf returns the method of this name, as an opcode has it.
func methodOf(of any, name string) reflect.Value {
	v := reflect.ValueOf(of)
	name = strings.ReplaceAll(name, " ", "")
	for i := range v.NumMethod() {
		if strings.EqualFold(v.Type().Method(i).Name, name) {
			return v.Method(i)
		}
	}
	return reflect.Value{}
}

// arguments returns those of a call, if the method takes as many, and such.
func arguments(method reflect.Value, args []any) (values []reflect.Value, fit bool) {
	if method.Type().IsVariadic() || method.Type().NumIn() != len(args) {
		return nil, false
	}
	for i, arg := range args {
		v, param := reflect.ValueOf(arg), method.Type().In(i)
		if !v.IsValid() || !v.CanConvert(param) {
			return nil, false
		}
		if param == reflect.TypeFor[time.Duration]() { // on the wire, milliseconds
			v = reflect.ValueOf(v.Int() * int64(time.Millisecond))
		}
		values = append(values, v.Convert(param))
	}
	return values, true
}
