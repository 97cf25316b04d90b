package engine

import (
	"encoding/binary"
	"log/slog"
	"testing"

	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/shardmap"
)

// benchDoor executes rounds of requests as an event loop does those of one connection: their
// replies are written together.
type benchDoor struct {
	*testing.B
	x      *Executor
	client *Client
	out    []byte
	ids    uint32
}

// Client implements Connection.
func (d *benchDoor) Client() *Client { return d.client }

// Cancel implements Connection.
func (*benchDoor) Cancel(uint32, *codec.Error) bool { return false }

func newBenchDoor(b *testing.B) *benchDoor {
	e := New(Env{Store: shardmap.NewStore(), Logger: slog.New(slog.DiscardHandler)})
	d := &benchDoor{B: b, x: e.NewExecutor(), client: e.NewClient()}
	d.x.Connection = d
	return d
}

// execute executes a request, and returns the body of its reply, a view into d.out.
func (d *benchDoor) execute(op codec.Opcode, args []byte) []byte {
	d.ids++
	frame := codec.AppendRequest(nil, &codec.Request{ID: d.ids, Op: op, Args: args})
	req, _, err := codec.ParseRequest(frame)
	at := len(d.out)
	if d.out = d.x.Execute(d.out, &req, err); d.x.Status != codec.StatusOK || d.x.Outcome != Answered {
		d.Fatalf("%v: %v, %s", op, d.x.Status, d.out[at:])
	}
	return d.out[at+codec.HeaderBytes:]
}

// write ends a round.
func (d *benchDoor) write() {
	d.client.Sent(d.out, len(d.out), 0)
	d.out = d.out[:0]
}

func encode(args ...any) (b []byte) {
	for _, arg := range args {
		b, _ = govalue.Append(b, arg)
	}
	return b
}

// benchRound is how many requests of a connection are executed together.
const benchRound = 25

// BenchmarkAppendPopLeft is what BenchmarkTakeAck is compared with: an element in, an element out.
func BenchmarkAppendPopLeft(b *testing.B) {
	d := newBenchDoor(b)
	d.execute(codec.OpCreateList, encode("q", false))
	add, pop := encode("q", "a value of some thirty-two bytes"), encode("q")
	for range 1000 {
		d.execute(codec.OpListAppend, add)
	}
	b.ReportAllocs()
	for n := 0; b.Loop(); {
		d.execute(codec.OpListAppend, add)
		d.execute(codec.OpListPopLeft, pop)
		if n++; n%benchRound == 0 {
			d.write()
		}
	}
}

// BenchmarkTakeAck takes items of a queue and acknowledges them.
func BenchmarkTakeAck(b *testing.B) {
	d := newBenchDoor(b)
	d.execute(codec.OpCreateList, encode("q", false))
	add := encode("q", "a value of some thirty-two bytes")
	for range b.N + 1000 {
		d.execute(codec.OpListAppend, add)
		d.out = d.out[:0]
	}
	var receipts [benchRound]uint64
	var claim [16]byte
	name := encode("q")
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; {
		for i := range receipts {
			n++
			binary.LittleEndian.PutUint64(claim[:], uint64(n)*0x9e3779b97f4a7c15)
			args := msgp.AppendBytes(name[:len(name):len(name)], claim[:])
			args = msgp.AppendInt(msgp.AppendInt(args, 60_000), 0)
			receipts[i], _, _ = msgp.ReadUint64Bytes(d.execute(codec.OpListTake, args))
		}
		d.write()
		for _, receipt := range receipts {
			d.execute(codec.OpListAck, msgp.AppendUint64(name[:len(name):len(name)], receipt))
		}
		d.write()
	}
}

// BenchmarkLockUnlock takes a lock and releases it.
func BenchmarkLockUnlock(b *testing.B) {
	d := newBenchDoor(b)
	var of [16]byte
	b.ReportAllocs()
	for n := 0; b.Loop(); {
		n++
		binary.LittleEndian.PutUint64(of[:], uint64(n)*0x9e3779b97f4a7c15)
		args := msgp.AppendBytes(encode("a lock"), of[:])
		d.execute(codec.OpLock, msgp.AppendInt(msgp.AppendInt(msgp.AppendInt(args, 60_000), 0), 1))
		d.write()
		d.execute(codec.OpUnlock, args)
		d.write()
	}
}
