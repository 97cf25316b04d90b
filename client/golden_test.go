package client

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/govalue"
)

// notInPipelines has the commands with a method that pipelines lack.
var notInPipelines = map[codec.Opcode]bool{
	codec.OpDictKeys: true, codec.OpDictValues: true, codec.OpDictItems: true,
	codec.OpListSetSlice: true, codec.OpListDeleteSlice: true, codec.OpListRemove: true, codec.OpListCount: true,
	codec.OpListIndex: true, codec.OpListReverse: true, codec.OpListContains: true, codec.OpListAll: true,
}

// TestEveryCommandHasMethods checks that each command for dicts and lists has a method of its name,
// and one for pipelines. It calls the methods that take only keys and values, and compares their
// requests and results with codec/testdata/frames.txt.
func TestEveryCommandHasMethods(t *testing.T) {
	examples := goldenFrames(t)
	called := 0
	for op, shape := range codec.Shapes {
		op := codec.Opcode(op)
		kind, name, _ := strings.Cut(shape.Name, " ")
		if (kind != "DICT" && kind != "LIST") || op == codec.OpDictScan {
			continue // Dict.All uses it
		}
		file := "client/" + strings.ToLower(kind) + ".go"
		p := startPeer(t)
		c := dialPeer(t, p, nil)
		pipe := c.Pipeline()
		table, twins := any(c.Dict("d")), any(c.Dict("d").With(pipe))
		if kind == "LIST" {
			table, twins = c.List("l"), c.List("l").With(pipe)
		}
		method, twin := methodOf(table, name), methodOf(twins, name)
		if !method.IsValid() {
			t.Errorf("%v has no method: add it to %s", op, file)
			continue
		}
		if !twin.IsValid() {
			if !notInPipelines[op] {
				t.Errorf("%v has no method for pipelines: add it to %s behind that of the table", op, file)
			}
			continue
		}
		e, found := examples[strings.ToLower(shape.Name)]
		if !found {
			t.Errorf("codec/testdata/frames.txt has no frame named %q: run make generate", strings.ToLower(shape.Name))
			continue
		}
		args, fits := arguments(twin, e.args)
		if !fits {
			continue
		}
		called++
		p.with(func() { p.answer = e.answer })
		results := method.Call(append([]reflect.Value{reflect.ValueOf(testContext(t))}, args...))
		e.compare(t, fmt.Sprintf("%v: the method in %s", op, file), results)
		e.sent = nil
		future := twin.Call(args)[0]
		if err := pipe.Do(testContext(t)); err != nil {
			t.Errorf("%v: %v", op, err)
		}
		e.compare(t, fmt.Sprintf("%v: the method for pipelines in %s", op, file), future.MethodByName("Result").Call(nil))
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
	sent    []byte // payload that the method has sent
}

func goldenFrames(t *testing.T) map[string]*goldenExample {
	t.Helper()
	text, err := os.ReadFile("../codec/testdata/frames.txt")
	if err != nil {
		t.Fatal(err)
	}
	examples := make(map[string]*goldenExample)
	for line := range strings.Lines(string(text)) {
		fields := strings.Split(strings.TrimSpace(line), "\t")
		if name := strings.ToUpper(fields[0]); !slices.ContainsFunc(codec.Shapes[:], func(s codec.Shape) bool { return s.Name == name }) {
			continue // a comment, or an example of an error
		}
		e := new(goldenExample)
		var frames [2][]byte
		for i := range frames {
			if frames[i], err = hex.DecodeString(fields[1+i]); err != nil {
				t.Fatal(err)
			}
		}
		req, _, err := codec.ParseRequest(frames[0])
		if err != nil {
			t.Fatal(err)
		}
		e.request = req.Payload
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
		examples[fields[0]] = e
	}
	return examples
}

// answer is the peer's handler.
func (e *goldenExample) answer(_ *peer, req codec.Request) []byte {
	e.sent = bytes.Clone(req.Payload)
	reply := e.reply
	reply.ID = req.ID
	return codec.AppendReply(nil, &reply)
}

// compare describes how the results of a call, with its error last, differ from the example.
func (e *goldenExample) compare(t *testing.T, what string, results []reflect.Value) {
	t.Helper()
	if !bytes.Equal(e.sent, e.request) {
		t.Errorf("%s sent %x, want %x", what, e.sent, e.request)
	}
	if err := results[len(results)-1]; !err.IsNil() {
		t.Errorf("%s returned %v", what, err)
	}
	if want := split(e.reply.Body); len(want) == 1 {
		v, _, err := govalue.Decode(want[0])
		if got := results[0].Interface(); err != nil || fmt.Sprint(got) != fmt.Sprint(v) {
			t.Errorf("%s returned %v, want %v, %v", what, got, v, err)
		}
	}
}

// methodOf returns the method for the name of an opcode.
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

// arguments returns the arguments for a method, if their number and types fit.
func arguments(method reflect.Value, args []any) (values []reflect.Value, fit bool) {
	if method.Type().IsVariadic() || method.Type().NumIn() != len(args) {
		return nil, false
	}
	for i, arg := range args {
		v, param := reflect.ValueOf(arg), method.Type().In(i)
		if !v.IsValid() || !v.CanConvert(param) {
			return nil, false
		}
		values = append(values, v.Convert(param))
	}
	return values, true
}
