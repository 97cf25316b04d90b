package loop

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/codec/secure"
	"cyberdb-fast/codec/value"
	"cyberdb-fast/loop/engine/conformance"
)

// survives is a server that must work as before after what a test does to it.
func survives(t *testing.T) (*Server, *wire) {
	t.Helper()
	srv := startServer(t, nil)
	other := dial(t, srv)
	other.ok(codec.OpCreateDict, "d", false, "k", "v")
	other.ok(codec.OpCreateList, "l", false, 1, 2, 3)
	t.Cleanup(func() {
		if got := other.ok(codec.OpDictItems, "d"); len(got) < 2 {
			t.Errorf("the dict holds %v", got)
		}
		if n := srv.Info().Panics; n != 0 {
			t.Errorf("%d panics", n)
		}
	})
	return srv, other
}

// rawFrame makes a frame of a length field and what follows.
func rawFrame(length uint32, rest ...byte) []byte {
	return append(binary.LittleEndian.AppendUint32(nil, length), rest...)
}

// TestBadFrames: what cannot be a frame is answered with BadFrame, then the connection is closed.
func TestBadFrames(t *testing.T) {
	t.Parallel()
	srv, _ := survives(t)
	cases := map[string][]byte{
		"above the limit":        rawFrame(codec.MaxFrameBytes + 1),
		"largest length":         rawFrame(1<<32 - 1),
		"no room for IF VERSION": rawFrame(6, 1, 0, 0, 0, byte(codec.OpDictSet), byte(codec.FlagIfVersion)),
		"some room for IF VERSION": rawFrame(
			13,
			1,
			0,
			0,
			0,
			byte(codec.OpDictSet),
			byte(codec.FlagIfVersion),
			1,
			2,
			3,
			4,
			5,
			6,
			7,
		),
		"text of another protocol's kind": []byte("*1\r\n$4\r\nPING\r\n"),
	}
	for length := range uint32(6) {
		cases[fmt.Sprintf("length %d", length)] = rawFrame(length, 1, 0, 0, 0, 1, 0)
	}
	for name, frame := range cases {
		w := dial(t, srv)
		ping := w.request(codec.OpPing)
		w.write(append(ping, frame...))
		if reply, err := w.reply(); err != nil || reply.Status != codec.StatusOK {
			t.Errorf("%s: the request before it: %v, %v", name, reply.Status, err)
		}
		reply, err := w.reply()
		if err != nil || reply.Status != codec.StatusBadFrame {
			t.Errorf("%s: %v, %v", name, reply.Status, err)
		}
		if _, err := codec.ParseErrorBody(reply.Status, reply.Body); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !w.closed() {
			t.Errorf("%s: the connection stays open", name)
		}
	}
	if n := srv.Info().BadFrames; n != uint64(len(cases)) {
		t.Errorf("INFO counts %d bad frames, not %d", n, len(cases))
	}
}

// TestBadRequests: a valid frame with an invalid request is answered, and the connection stays
// usable.
func TestBadRequests(t *testing.T) {
	t.Parallel()
	srv, _ := survives(t)
	w := dial(t, srv)
	for op, shape := range codec.Shapes {
		op := codec.Opcode(op)
		if shape.Name == "" {
			w.fails(codec.StatusUnknownOpcode, op)
			w.fails(codec.StatusUnknownOpcode, op, "d", 1, 2)
			continue
		}
		for _, n := range wrongCounts(shape) {
			args := []any{"l"}
			if !shape.Table {
				args = nil
			} else if strings.HasPrefix(shape.Name, "DICT") {
				args[0] = "d"
			}
			for i := range n {
				args = append(args, i)
			}
			w.fails(codec.StatusBadArguments, op, args...)
		}
		if !shape.Table {
			continue
		}
		w.fails(codec.StatusBadArguments, op)
		good := make([]any, shape.Min)
		for name, status := range map[any]codec.Status{
			1: codec.StatusTypeError, nil: codec.StatusTypeError, "": codec.StatusValueError, strings.Repeat("n", codec.MaxTableNameBytes+1): codec.StatusValueError,
		} {
			w.fails(status, op, append([]any{name}, good...)...)
		}
		w.fails(codec.StatusBadArguments, op, rawValue{0xd9})
	}
	for bit := range 8 {
		for _, op := range []codec.Opcode{codec.OpPing, codec.OpListLen, 0xee} {
			w.id++
			flags := codec.RequestFlags(1 << bit)
			want := codec.StatusUnsupported
			switch {
			case flags == codec.FlagDeadline:
				want = codec.StatusDeadlineExceeded
			case op == 0xee && flags != 1<<6 && flags != 1<<7:
				want = codec.StatusUnknownOpcode
			case flags == codec.FlagExtensions:
				want = codec.StatusOK
			}
			w.write(
				codec.AppendRequest(
					nil,
					&codec.Request{ID: w.id, Op: op, Flags: flags, Args: encodeArgs(t, "l")[:2*min(1, int(op&0x50))]},
				),
			)
			if reply, err := w.reply(); err != nil || reply.ID != w.id || reply.Status != want {
				t.Errorf("%v with flag %#x: %v, %v, want %v", op, flags, reply.Status, err, want)
			}
		}
	}
	w.ok(codec.OpPing)
}

// wrongCounts returns numbers of arguments that a shape does not take.
func wrongCounts(shape codec.Shape) (counts []int) {
	if shape.Min > 0 {
		counts = append(counts, 0, shape.Min-1)
	}
	switch {
	case shape.Max != codec.Many:
		counts = append(counts, shape.Max+1, shape.Max+20)
	case shape.Each == 2:
		counts = append(counts, shape.Min+1, shape.Min+3)
	}
	return counts
}

// nested returns a value of lists in lists, depth deep.
func nested(depth int) rawValue {
	return append(bytes.Repeat([]byte{0x91}, depth-1), 0x90)
}

func TestLimitsOfValues(t *testing.T) {
	t.Parallel()
	srv, _ := survives(t)
	w := dial(t, srv)
	w.ok(codec.OpDictSet, "d", "deep", nested(value.MaxDepth))
	w.ok(codec.OpListAppend, "l", nested(value.MaxDepth))
	if got := w.call(codec.OpDictGet, "d", "deep").Body; !bytes.Equal(got, nested(value.MaxDepth)) {
		t.Error("nested lists came back changed")
	}
	for _, depth := range []int{value.MaxDepth + 1, value.MaxDepth + 2, 10_000, 1 << 20} {
		w.fails(codec.StatusValueError, codec.OpDictSet, "d", "k", nested(depth))
		w.fails(codec.StatusValueError, codec.OpListExtend, "l", 1, nested(depth))
		w.fails(codec.StatusValueError, codec.OpDictGet, "d", nested(depth))
	}
	bin := func(n uint32) rawValue {
		return append(binary.BigEndian.AppendUint32([]byte{0xc6}, n), make([]byte, n)...)
	}
	tooLarge := bin(value.MaxValueBytes - 4)
	w.fails(codec.StatusTooLarge, codec.OpDictSet, "d", "k", tooLarge)
	w.fails(codec.StatusTooLarge, codec.OpListAppend, "l", tooLarge)
	w.ok(codec.OpDictSet, "d", "large", bin(value.MaxValueBytes-5))
	w.ok(codec.OpDictDelete, "d", "large")
	many := make(rawValue, codec.MaxArguments+1) // zeros: so many ints
	w.fails(codec.StatusTooLarge, codec.OpListExtend, "l", many)
	w.fails(codec.StatusTooLarge, codec.OpDictGetMany, "d", many)
	w.ok(codec.OpListExtend, "l", many[1:])
	if got := w.ok(codec.OpListLen, "l"); got[0] != int64(4+codec.MaxArguments) {
		t.Errorf("%v elements", got)
	}
}

// TestFalseLengths: values that claim to be large and are not cost no memory.
func TestFalseLengths(t *testing.T) {
	srv, _ := survives(t) // not parallel: it measures
	w := dial(t, srv)
	const rounds = 200
	hollow := map[string]rawValue{
		"str": {
			0xdb,
			0x01,
			0xff,
			0xff,
			0xff,
		},
		"bin": {0xc6, 0x01, 0xff, 0xff, 0xff},
		"ext": {0xc9, 0x01, 0xff, 0xff, 0xff, 2},
		"list": {
			0xdd,
			0x00,
			0x0f,
			0xff,
			0xff,
		},
		"dict": {0xdf, 0x00, 0x0f, 0xff, 0xff},
		"set":  {0xc7, 5, 3, 0xdd, 0x00, 0x0f, 0xff, 0xff},
		"largest list": {
			0xdd,
			0xff,
			0xff,
			0xff,
			0xff,
		},
		"largest str": {0xdb, 0xff, 0xff, 0xff, 0xff},
		"lists":       bytes.Repeat([]byte{0xdd, 0x00, 0x0f, 0xff, 0xff}, 100),
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range rounds {
		for name, v := range hollow {
			reply := w.call(codec.OpDictSet, "d", "k", v)
			switch reply.Status {
			case codec.StatusBadArguments, codec.StatusTooLarge, codec.StatusValueError:
			default:
				t.Fatalf("%s: %v", name, reply.Status)
			}
		}
	}
	runtime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / uint64(rounds*len(hollow)); each > 20<<10 {
		t.Errorf("%d bytes allocated for each", each)
	}
}

// TestDamagedValues cuts values at every byte and damages them at random: an error or another
// value, never a dead connection.
func TestDamagedValues(t *testing.T) {
	t.Parallel()
	srv, _ := survives(t)
	w := dial(t, srv)
	seed := conformance.Seed(t)
	rng := rand.New(rand.NewPCG(seed, 4))
	values := conformance.StartOracle(t, seed).Families["any"]
	rounds, refused := 30, 0
	if raceEnabled {
		rounds = 8
	}
	for i, whole := range values {
		for cut := range whole {
			reply := w.call(codec.OpDictSet, "d", "k", rawValue(whole[:cut]))
			if reply.Status != codec.StatusBadArguments && reply.Status != codec.StatusValueError &&
				reply.Status != codec.StatusTypeError {
				t.Fatalf("value %d, %x cut at %d: %v", i, whole, cut, reply.Status)
			}
		}
		for range rounds {
			damaged := rawValue(bytes.Clone(whole))
			for range 1 + rng.IntN(3) {
				damaged[rng.IntN(len(damaged))] = byte(rng.Uint32())
			}
			if status := w.call(codec.OpDictSet, "d", "k", damaged).Status; status == codec.StatusInternal {
				t.Fatalf("%x: %v", damaged, status)
			} else if status != codec.StatusOK {
				refused++
				continue
			}
			got := w.call(codec.OpDictGet, "d", "k")
			if _, n, err := govalue.Decode(got.Body); err != nil || n != len(got.Body) {
				t.Fatalf("%x was taken; decoding it: %v", damaged, err)
			}
			// as a key, as a number
			for _, op := range []codec.Opcode{codec.OpDictSetDefault, codec.OpDictIncrement} {
				if status := w.call(op, "d", damaged, damaged).Status; status == codec.StatusInternal {
					t.Fatalf("%v of %x: %v", op, damaged, status)
				}
			}
			w.ok(codec.OpListSet, "l", 0, damaged)
			for _, key := range []any{[]any{"str", nil}, nil} {
				if status := w.call(codec.OpListSort, "l", key, false).Status; status == codec.StatusInternal {
					t.Fatalf("sorting %x: %v", damaged, status)
				}
			}
		}
		w.ok(codec.OpDictClear, "d")
		w.ok(codec.OpDictSet, "d", "k", "v")
	}
	t.Logf("%d damaged values refused", refused)
	if refused == 0 {
		t.Error("no damaged value was refused")
	}
}

// TestCutFrames sends a session cut at every byte, and at random: the replies do not depend on it.
func TestCutFrames(t *testing.T) {
	t.Parallel()
	srv, _ := survives(t)
	rng := rand.New(rand.NewPCG(conformance.Seed(t), 5))
	session := func(w *wire) (all []byte) {
		for _, frame := range [][]byte{
			w.request(codec.OpDictSet, "d", "k", "v"), w.request(codec.OpDictGet, "d", "k"), w.request(0xfe, "d"), w.request(codec.OpListGet, "l", 99),
			w.request(codec.OpPing), w.request(codec.OpDictGetMany, "d", "k", "x", 1), w.request(codec.OpDictSet, "d", "k"),
		} {
			all = append(all, frame...)
		}
		return all
	}
	const requests = 7
	var want []codec.Reply
	play := func(name string, pieces func(b []byte) [][]byte) {
		t.Helper()
		w := dial(t, srv)
		for _, piece := range pieces(session(w)) {
			w.write(piece)
		}
		got, err := w.replies(1, requests)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if want == nil {
			want = got
		}
		for i := range got {
			if got[i].Status != want[i].Status || !bytes.Equal(got[i].Body, want[i].Body) {
				t.Errorf(
					"%s: reply %d is %v %x, want %v %x",
					name,
					i,
					got[i].Status,
					got[i].Body,
					want[i].Status,
					want[i].Body,
				)
			}
		}
		_ = w.conn.Close()
	}
	play("whole", func(b []byte) [][]byte { return [][]byte{b} })
	length := len(session(&wire{TB: t}))
	for cut := range length {
		play(fmt.Sprintf("cut at %d", cut), func(b []byte) [][]byte { return [][]byte{b[:cut], b[cut:]} })
	}
	play("single bytes", func(b []byte) (pieces [][]byte) {
		for i := range b {
			pieces = append(pieces, b[i:i+1])
		}
		return pieces
	})
	for range 50 {
		play("random pieces", func(b []byte) (pieces [][]byte) {
			for len(b) > 0 {
				n := 1 + rng.IntN(min(len(b), 20))
				pieces, b = append(pieces, b[:n]), b[n:]
			}
			return pieces
		})
	}
}

// TestConnectionCutAnywhere ends connections at every byte of a session: its complete requests take
// effect, the last one leaves nothing behind.
func TestConnectionCutAnywhere(t *testing.T) {
	t.Parallel()
	srv, other := survives(t)
	frame := (&wire{TB: t}).request(codec.OpDictIncrement, "d", "n", 1)
	for cut := range frame {
		w := dial(t, srv)
		w.write(append(bytes.Clone(frame), frame[:cut]...))
		if _, err := w.reply(); err != nil {
			t.Fatal(err)
		}
		_ = w.conn.Close()
	}
	if got := other.ok(codec.OpDictGet, "d", "n"); got[0] != int64(len(frame)) {
		t.Errorf("%v of %d requests took effect", got, len(frame))
	}
}

// TestUnknownProtocolClients connects clients that do not know the protocol: they are closed, and
// the server continues.
func TestUnknownProtocolClients(t *testing.T) {
	t.Parallel()
	srv, _ := survives(t)
	rng := rand.New(rand.NewPCG(conformance.Seed(t), 6))
	hello := newClient(nil, *encrypted).Hello(nil)
	long := append(bytes.Clone(hello), make([]byte, 2*secure.MaxClientBytes)...)
	cases := [][]byte{
		[]byte("GET / HTTP/1.1\r\n\r\n"),
		[]byte("*1\r\n$4\r\nPING\r\n"),
		{0x80, 0x05, '.'},
		{0x16, 3, 1, 0, 0},
		{0},
		long,
		append(
			[]byte(secure.Magic),
			0xff,
			0xff,
			0xff,
			1,
			2,
			3,
		),
		append([]byte(secure.Magic), 1, 0xff, 0xff),
		append(bytes.Clone(hello), hello...),
	}
	// a byte of the options may say what no server knows yet
	for i := len(secure.Magic); i < len(hello)-1; i++ {
		damaged := bytes.Clone(hello)
		damaged[i] ^= 0x80
		cases = append(cases, damaged)
	}
	for range 30 {
		b := make([]byte, 1+rng.IntN(100))
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		cases = append(cases, b)
	}
	for _, b := range cases {
		w := dialSilent(t, srv)
		w.write(b)
		_ = w.conn.(interface{ CloseWrite() error }).CloseWrite()
		if !w.closed() {
			t.Errorf("%.40x: the connection stays open", b)
		}
	}
}
