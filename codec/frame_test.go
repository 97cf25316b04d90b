package codec

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestRequestRoundTrip writes requests and reads them back, also truncated at every byte and
// followed by another.
func TestRequestRoundTrip(t *testing.T) {
	for _, want := range []Request{
		{ID: 1, Op: OpPing},
		{ID: 1<<32 - 1, Op: OpDictGet, Flags: FlagWantVersion, Args: []byte{0xa1, 'd', 0x01}},
		{ID: 7, Op: OpDictSet, Flags: FlagIfVersion, IfVersion: 1<<48 - 1, Args: []byte{0xa1, 'd', 0x01, 0x02}},
		{ID: 8, Op: OpDictSet, Flags: FlagDeadline, Deadline: 1<<32 - 1, Args: []byte{0xa1, 'd'}},
		{ID: 9, Op: OpDictSet, Flags: FlagIfVersion | FlagDeadline, IfVersion: 5, Deadline: 250, Args: []byte{0xa1}},
		{ID: 7, Op: OpDictDelete, Flags: FlagIfVersion | FlagWantVersion, Args: bytes.Repeat([]byte{0xc0}, 70000)},
	} {
		frame := AppendRequest(nil, &want)
		got, n, err := ParseRequest(append(frame, frame...))
		if err != nil || n != len(frame) || got.ID != want.ID || got.Op != want.Op || got.Flags != want.Flags ||
			got.IfVersion != want.IfVersion || got.Deadline != want.Deadline || !bytes.Equal(got.Args, want.Args) {
			t.Errorf("%+v came back as %+v, n %d of %d, %v", want, got, n, len(frame), err)
		}
		for cut := range min(len(frame), 64) {
			if _, n, err := ParseRequest(frame[:cut]); !errors.Is(err, ErrShort) || n != 0 {
				t.Errorf("cut at %d: n %d, %v", cut, n, err)
			}
		}
	}
}

// TestReplyRoundTrip does the same for replies.
func TestReplyRoundTrip(t *testing.T) {
	for _, want := range []Reply{
		{ID: 1},
		{ID: 3, Status: StatusKeyError, Body: []byte("body")},
		{ID: 4, Flags: FlagMore, Body: bytes.Repeat([]byte{1}, MaxReplyFrameBytes)},
		{ID: 5, Flags: FlagVersion | FlagMore, Version: 99, Body: []byte{0xc0}},
	} {
		frame := AppendReply([]byte("before"), &want)[6:]
		got, n, err := ParseReply(frame)
		if err != nil || n != len(frame) || got.ID != want.ID || got.Status != want.Status || got.Flags != want.Flags ||
			got.Version != want.Version || !bytes.Equal(got.Body, want.Body) {
			t.Errorf("%+v came back as %+v, n %d of %d, %v", want, got, n, len(frame), err)
		}
		for cut := range min(len(frame), 64) {
			if _, n, err := ParseReply(frame[:cut]); !errors.Is(err, ErrShort) || n != 0 {
				t.Errorf("cut at %d: n %d, %v", cut, n, err)
			}
		}
	}
}

// TestExtensions: tagged fields come back as they were written, what a server may skip is skipped,
// and what it must know and does not is refused. The connection can continue after each.
func TestExtensions(t *testing.T) {
	lock := AppendFence(nil, &Fence{Number: 1 << 40, Lock: []byte("jobs")})
	lease := AppendFence(nil, &Fence{Number: 7, Table: []byte("t"), Key: []byte{0xa1, 'k'}})
	odd := []byte{3, 2, 9, 9}
	theLock := Fence{Number: 1 << 40, Lock: []byte("jobs")}
	theLease := Fence{Number: 7, Table: []byte("t"), Key: []byte{0xa1, 'k'}}
	for _, test := range []struct {
		name string
		ext  []byte
		want []Fence
		err  Status
	}{
		{name: "none"},
		{name: "lock", ext: lock, want: []Fence{theLock}},
		{name: "lease", ext: lease, want: []Fence{theLease}},
		{name: "both", ext: slices.Concat(lock, lease), want: []Fence{theLock, theLease}},
		{name: "both, the lease first", ext: slices.Concat(lease, odd, lock), want: []Fence{theLock, theLease}},
		{name: "odd tag", ext: slices.Concat(odd, lock), want: []Fence{theLock}},
		{name: "even tag", ext: []byte{6, 0}, err: StatusUnsupported},
		{name: "even tag after a fence", ext: slices.Concat(lock, []byte{6, 0}), err: StatusUnsupported},
		{name: "two of locks", ext: slices.Concat(lock, lease, lock), err: StatusBadArguments},
		{name: "two of leases", ext: slices.Concat(lease, lease), err: StatusBadArguments},
		{name: "cut", ext: lock[:len(lock)-1], err: StatusBadArguments},
		{name: "no length", ext: []byte{2}, err: StatusBadArguments},
		{name: "short", ext: []byte{2, 3, 1, 2, 3}, err: StatusBadArguments},
		{name: "no name", ext: []byte{2, 8, 1, 2, 3, 4, 5, 6, 7, 8}, err: StatusBadArguments},
		{name: "no key", ext: AppendFence(nil, &Fence{Table: []byte("t")}), err: StatusBadArguments},
		{name: "two keys", ext: AppendFence(nil, &Fence{Table: []byte("t"), Key: []byte{1, 2}}), err: StatusBadArguments},
	} {
		frame := AppendRequest(nil, &Request{
			ID: 5, Op: OpDictGet, Flags: FlagTimeToLive | FlagExtensions, TTL: 3, Extensions: test.ext, Args: []byte{1},
		})
		req, n, err := ParseRequest(frame)
		if n != len(frame) || req.ID != 5 {
			t.Fatalf("%s: id %d, n %d of %d", test.name, req.ID, n, len(frame))
		}
		var wireError *Error
		if errors.As(err, &wireError); test.err != 0 {
			if wireError == nil || wireError.Status != test.err {
				t.Errorf("%s: %v", test.name, err)
			}
			continue
		}
		own := req.Clone()
		clear(frame)
		fences, err := ParseExtensions(nil, own.Extensions)
		if err != nil || !slices.EqualFunc(fences, test.want, sameFence) || own.TTL != 3 || own.Args[0] != 1 {
			t.Errorf("%s: %+v, %v of %+v", test.name, fences, err, own)
		}
	}
	frame := AppendRequest(nil, &Request{ID: 5, Op: OpPing, Flags: FlagExtensions, Extensions: odd})
	frame[HeaderBytes]++ // its length runs beyond the frame
	if _, _, err := ParseRequest(frame); !errors.Is(err, ErrFrame) {
		t.Errorf("extensions beyond the frame: %v", err)
	}
}

func sameFence(f, g Fence) bool {
	return f.Number == g.Number && bytes.Equal(f.Lock, g.Lock) && bytes.Equal(f.Table, g.Table) &&
		bytes.Equal(f.Key, g.Key)
}

// TestBadLength refuses lengths that cannot be right before anything is read or kept for them.
func TestBadLength(t *testing.T) {
	for _, length := range []uint32{0, 1, 5, MaxFrameBytes + 1, 1<<32 - 1} {
		b := binary.LittleEndian.AppendUint32(nil, length)
		if _, n, err := ParseRequest(b); !errors.Is(err, ErrFrame) || n != 0 {
			t.Errorf("request of length %d: n %d, %v", length, n, err)
		}
		if _, n, err := ParseReply(b); !errors.Is(err, ErrFrame) || n != 0 {
			t.Errorf("reply of length %d: n %d, %v", length, n, err)
		}
	}
}

// TestUnknownFlag: an unknown flag is refused, not ignored, and the connection can continue after
// the frame.
func TestUnknownFlag(t *testing.T) {
	for _, flag := range []RequestFlags{0x40, 0x80} {
		frame := AppendRequest(nil, &Request{ID: 5, Op: OpPing, Flags: flag})
		req, n, err := ParseRequest(frame)
		var wireError *Error
		if n != len(frame) || req.ID != 5 || !errors.As(err, &wireError) || wireError.Status != StatusUnsupported {
			t.Errorf("flag %#x: id %d, n %d of %d, %v", flag, req.ID, n, len(frame), err)
		}
	}
}

func TestErrorBody(t *testing.T) {
	for _, want := range []Error{
		{Status: StatusKeyError, Message: "'x'", Table: "centre", Key: []byte{0xa1, 'x'}},
		{Status: StatusWrongTableKind, Message: "no", Table: "l", Want: "dict", Have: "list"},
		{Status: StatusInternal},
	} {
		body := AppendErrorBody(nil, &want)
		got, err := ParseErrorBody(want.Status, append(body, 0xc0)) // what later versions add is skipped
		if err != nil || got.Message != want.Message || got.Table != want.Table || got.Want != want.Want ||
			got.Have != want.Have ||
			!bytes.Equal(got.Key, want.Key) {
			t.Errorf("%+v came back as %+v, %v", want, got, err)
		}
		for cut := range body {
			if _, err := ParseErrorBody(want.Status, body[:cut]); !errors.Is(err, ErrFrame) {
				t.Errorf("%+v cut at %d: %v", want, cut, err)
			}
		}
	}
}

// TestProtocolNamesAll compares the tables of opcodes and status codes in PROTOCOL.md with the
// code.
func TestProtocolNamesAll(t *testing.T) {
	text := readText(t, "PROTOCOL.md")
	rows := make(map[string]string) // arguments, by code and name
	for _, cells := range regexp.MustCompile(`(?m)^\| ([0-9a-f]{2} \| [A-Z ]+) \| ([^|]*)\|`).FindAllStringSubmatch(text, -1) {
		rows[cells[1]] = strings.TrimSpace(cells[2])
	}
	for op, shape := range Shapes {
		if shape.Name == "" {
			continue
		}
		row := hex.EncodeToString([]byte{byte(op)}) + " | " + shape.Name
		arguments, found := rows[row]
		delete(rows, row)
		if !found {
			t.Errorf("codec/PROTOCOL.md has no row | %s |: add it to the table of opcodes", row)
			continue
		}
		if got := shapeOf(shape.Name, arguments); got != shape {
			t.Errorf(
				"codec/PROTOCOL.md, row | %s |: by its arguments the shape is %+v, codec/opcode.go has %+v",
				row,
				got,
				shape,
			)
		}
	}
	for row := range rows {
		t.Errorf("codec/opcode.go has no opcode for the row | %s | of codec/PROTOCOL.md", row)
	}
	for status, name := range statusNames {
		if name != "" && !strings.Contains(text, "| "+Status(status).String()) {
			t.Errorf("PROTOCOL.md does not name status %d, %s", status, name)
		}
	}
}

// shapeOf reads the column "arguments" of PROTOCOL.md.
func shapeOf(name, arguments string) Shape {
	s := Shape{Name: name}
	arguments = regexp.MustCompile(` ?\([^)]*\)`).ReplaceAllString(arguments, "")
	for i, argument := range strings.Split(arguments, ",") {
		optional := strings.Contains(argument, "[")
		switch argument = strings.Trim(argument, " []"); {
		case argument == "" && i == 0:
		case argument == "t" && i == 0:
			s.Table = true
		case argument == "...":
			switch s.Each = 1; {
			case strings.HasSuffix(arguments, " k, v, ..."), strings.HasSuffix(arguments, " receipt, due, ..."):
				s.Each = 2
			case strings.HasSuffix(arguments, " place, version, k, ..."):
				s.Each = 3
			}
			s.Min, s.Max = s.Min-s.Each, Many
		default:
			if s.Max++; !optional {
				s.Min++
			}
		}
	}
	return s
}

// TestChangelogNamesOpcodes: a command that was added to those of the first version is news.
func TestChangelogNamesOpcodes(t *testing.T) {
	text := readText(t, "../CHANGELOG.md")
	for op, shape := range Shapes {
		op := Opcode(op)
		first := op <= OpRename || op >= OpDictGet && op <= OpDictScan || op >= OpListAppend && op <= OpListPopLeft
		if shape.Name != "" && !first && !strings.Contains(text, shape.Name) {
			t.Errorf("CHANGELOG.md does not name %v: say in [Unreleased] what it does", op)
		}
	}
}

func readText(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// FuzzParse: no input panics the parsers, and what parses is written back the same.
func FuzzParse(f *testing.F) {
	f.Add(
		AppendRequest(
			nil,
			&Request{ID: 1, Op: OpDictGet, Flags: FlagIfVersion, IfVersion: 3, Args: []byte{0xa1, 'd', 1}},
		),
	)
	f.Add(AppendRequest(nil, &Request{
		ID: 1, Op: OpDictGet, Flags: FlagExtensions, Extensions: AppendFence(nil, &Fence{Number: 3, Lock: []byte("l")}),
	}))
	f.Add(AppendRequest(nil, &Request{
		ID: 1, Op: OpDictGet, Flags: FlagExtensions,
		Extensions: AppendFence(nil, &Fence{Number: 3, Table: []byte("t"), Key: []byte{1}}),
	}))
	f.Add(AppendFence(
		AppendFence(nil, &Fence{Number: 3, Table: []byte("t"), Key: []byte{1}}), &Fence{Number: 3, Lock: []byte("l")},
	))
	f.Add(AppendReply(nil, &Reply{ID: 1, Flags: FlagVersion, Version: 3, Body: []byte{0xa1, 'd', 1}}))
	f.Add(
		AppendReply(
			nil,
			&Reply{ID: 1, Status: StatusKeyError, Body: AppendErrorBody(nil, &Error{Message: "m", Key: []byte{1}})},
		),
	)
	f.Fuzz(func(t *testing.T, b []byte) {
		if req, n, err := ParseRequest(b); err == nil && !bytes.Equal(AppendRequest(nil, &req), b[:n]) {
			t.Errorf("request %x came back as %x", b[:n], AppendRequest(nil, &req))
		}
		if fences, err := ParseExtensions(nil, b); err == nil {
			var fields []byte
			for _, f := range fences {
				fields = AppendFence(fields, &f)
			}
			again, err := ParseExtensions(nil, fields)
			if err != nil || !slices.EqualFunc(again, fences, sameFence) {
				t.Errorf("fences %+v of %x came back as %+v, %v", fences, b, again, err)
			}
		}
		reply, n, err := ParseReply(b)
		if err == nil && !bytes.Equal(AppendReply(nil, &reply), b[:n]) {
			t.Errorf("reply %x came back as %x", b[:n], AppendReply(nil, &reply))
		}
		if e, err := ParseErrorBody(reply.Status, reply.Body); err == nil {
			again, err := ParseErrorBody(reply.Status, AppendErrorBody(nil, e))
			if err != nil || again.Error() != e.Error() {
				t.Errorf("error body %x came back as %v, %v", reply.Body, again, err)
			}
		}
	})
}

// TestParseDoesNotAllocate: the parsers run for every request.
func TestParseDoesNotAllocate(t *testing.T) {
	frame := AppendRequest(nil, &Request{ID: 1, Op: OpDictGet, Flags: FlagIfVersion, Args: []byte{0xa1, 'd', 1}})
	reply := make([]byte, 0, 64)
	allocs := testing.AllocsPerRun(100, func() {
		if _, _, err := ParseRequest(frame); err != nil {
			t.Fatal(err)
		}
		out, at := BeginReply(reply[:0], 1, StatusOK)
		out = SetVersion(append(out, 0xc0), at, 9)
		EndFrame(out, at)
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

// TestPayload: what a request says without its length and id is the request, and a clone of it
// stays when the frame is overwritten.
func TestPayload(t *testing.T) {
	for _, want := range []Request{
		{ID: 7, Op: OpDictSet, Args: []byte{0xa1, 'd', 1, 2}},
		{ID: 8, Op: OpDictSet, Flags: FlagIfVersion | FlagWantVersion, IfVersion: 1 << 40, Args: []byte{0xa1, 'd', 1, 2}},
		{ID: 9, Op: OpPing},
	} {
		frame := AppendRequest(nil, &want)
		req, _, err := ParseRequest(frame)
		if err != nil {
			t.Fatal(err)
		}
		own := req.Clone()
		again, err := ParsePayload(own.Payload)
		clear(frame)
		again.ID = req.ID
		for _, got := range []Request{own, again} {
			if err != nil || got.ID != want.ID || got.Op != want.Op || got.Flags != want.Flags ||
				got.IfVersion != want.IfVersion ||
				!bytes.Equal(got.Args, want.Args) {
				t.Errorf("got %+v, %v, want %+v", got, err, want)
			}
		}
	}
	for _, payload := range [][]byte{nil, {byte(OpDictSet)}, {byte(OpDictSet), byte(FlagIfVersion), 1, 2}} {
		if _, err := ParsePayload(payload); !errors.Is(err, ErrFrame) {
			t.Errorf("payload %x: %v", payload, err)
		}
	}
}
