package bench

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/secure"
)

func TestNextIDNamesItsSlotAndIsNeverZero(t *testing.T) {
	for shift := range uint(17) {
		slot := 1<<shift - 1
		for _, start := range []uint32{0, 1 << 20, ^uint32(0) - 3<<shift} {
			id := start&^uint32(slot) | uint32(slot)
			for range 8 {
				next := nextID(id, slot, shift)
				if next == 0 || next == id || int(next&(1<<shift-1)) != slot || next>>shift == 0 {
					t.Fatalf("shift %d: %#x after %#x", shift, next, id)
				}
				id = next
			}
		}
	}
}

// loopback is a loop with one connection whose other end the test holds.
type loopback struct {
	loop    *eventLoop
	conn    *conn
	peer    socket
	input   []byte
	replies []byte
	sealed  []byte
}

func newLoopback(t testing.TB, pipeline int, encrypt bool) *loopback {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	items := newItems(Fixed(16), Fixed(32), 1)
	phase := &atomic.Int32{}
	phase.Store(int32(phaseMeasure))
	wire := newNativeWire(newTables("bench", 1, 1000), fakePassword, encrypt, items)
	loop, err := newEventLoop(&loopSpec{
		wire: wire, items: items, keys: 1000, pipeline: pipeline, interval: time.Second, phase: phase,
	})
	if err != nil {
		t.Fatal(err)
	}
	near, far := socket{fd: fds[0]}, socket{fd: fds[1]}
	if encrypt {
		shakeHands(t, wire, &near, &far)
	}
	b := &loopback{loop: loop, conn: newConn(near, pipeline), peer: far, input: make([]byte, 64<<10)}
	b.conn.stream = randomStream(OpMixed, 1000, 1, 0)
	if err := loop.adopt(b.conn); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		loop.close()
		unix.Close(b.peer.fd)
	})
	loop.begin()
	return b
}

// shakeHands gives both ends of a connection what encrypts it.
func shakeHands(t testing.TB, w *nativeWire, near, far *socket) {
	t.Helper()
	key, err := fakeKey()
	if err != nil {
		t.Fatal(err)
	}
	side, err := w.open()
	if err != nil {
		t.Fatal(err)
	}
	server := secure.NewServer(&secure.ServerConfig{Key: key, KDF: fakeKDF, Encrypt: true}, secure.NewEphemeral())
	for done, messages := false, side.begin(nil); !done; {
		_, answer, err := answerOpening(server, messages)
		if err != nil {
			t.Fatal(err)
		}
		if _, messages, done, err = side.advance(answer, nil); err != nil {
			t.Fatal(err)
		}
	}
	near.seal, near.opener = side.(encrypter).records()
	far.seal, far.opener = server.Records()
}

// answer reads the requests and writes right replies; it allocates nothing once its buffers have
// grown.
func (b *loopback) answer(t testing.TB) {
	n, errno := read(b.peer.fd, b.input)
	if errno != 0 {
		t.Fatal(errno)
	}
	input := b.input[:n]
	if b.peer.opener != nil {
		plain, used, err := b.peer.opener.Open(input)
		if err != nil || used != n {
			t.Fatalf("a record of %d bytes in %d: %v", used, n, err)
		}
		input = plain
	}
	b.replies = b.replies[:0]
	for len(input) > 0 {
		req, n, err := codec.ParseRequest(input)
		if err != nil {
			t.Fatal(err)
		}
		input = input[n:]
		at := 0
		b.replies, at = codec.BeginReply(b.replies, req.ID, codec.StatusOK)
		if req.Op == codec.OpDictGet {
			slot := &b.conn.slots[req.ID&(1<<b.loop.idShift-1)]
			b.replies = b.loop.items.appendValue(append(b.replies, 0xd9, 32), slot.item)
		}
		codec.EndFrame(b.replies, at)
	}
	out := b.replies
	if b.peer.seal != nil {
		var err error
		if b.sealed, err = b.peer.seal.Seal(b.sealed[:0], out); err != nil {
			t.Fatal(err)
		}
		out = b.sealed
	}
	if n, errno := write(b.peer.fd, out); n != len(out) {
		t.Fatal(n, errno)
	}
}

func TestEventsAllocateNothing(t *testing.T) {
	for _, encrypt := range []bool{false, true} {
		b := newLoopback(t, 16, encrypt)
		turn := func() {
			b.answer(t)
			b.loop.onReadable(b.conn)
		}
		for range 10 {
			turn()
		}
		if allocs := testing.AllocsPerRun(200, turn); allocs != 0 {
			t.Errorf("encrypt %v: %v allocations a turn", encrypt, allocs)
		}
		if b.loop.tally.errors != 0 || b.loop.tally.misses != 0 || b.loop.tally.ops < 16*200 {
			t.Errorf("encrypt %v: %d operations, errors %q", encrypt, b.loop.tally.ops, b.loop.tally.messages)
		}
	}
}

// BenchmarkTurn is one turn of 16 operations, the making of the replies and four system calls
// included.
func BenchmarkTurn(b *testing.B) {
	for _, encrypt := range []bool{false, true} {
		b.Run(fmt.Sprint("encrypt=", encrypt), func(b *testing.B) {
			l := newLoopback(b, 16, encrypt)
			b.ReportAllocs()
			for b.Loop() {
				l.answer(b)
				l.loop.onReadable(l.conn)
			}
		})
	}
}

// BenchmarkOperation is one GET without the system calls: making the request, parsing and checking
// the reply.
func BenchmarkOperation(b *testing.B) {
	for _, scheme := range []string{SchemeNative, SchemeRedis, SchemeMemcached, SchemeLegacy} {
		b.Run(scheme, func(b *testing.B) {
			o := DefaultOptions()
			o.Target.Scheme = scheme
			items := newItems(Fixed(16), Fixed(32), 1)
			w, err := o.Target.wire(&o, items)
			if err != nil {
				b.Fatal(err)
			}
			value := string(items.appendValue(nil, 0))
			answer := map[string][]byte{
				SchemeNative:    codec.AppendReply(nil, &codec.Reply{ID: 1, Body: append([]byte{0xd9, 32}, value...)}),
				SchemeRedis:     []byte("$32\r\n" + value + "\r\n"),
				SchemeMemcached: []byte("VALUE 0123456789abcdef 0 32\r\n" + value + "\r\nEND\r\n"),
				SchemeLegacy:    []byte("\x80\x04}\x94(\x8c\x04code\x94K\x01\x8c\x07content\x94\x8c\x20" + value + "\x94u."),
			}[scheme]
			var out []byte
			var r reply
			b.ReportAllocs()
			for b.Loop() {
				out = w.appendRequest(out[:0], OpGet, 7, 1)
				if n, err := w.parse(answer, &r); n == 0 || err != nil || !items.isValue(r.text, 0) {
					b.Fatal(n, err)
				}
			}
		})
	}
}
