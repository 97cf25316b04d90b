package engine

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/codec"
	"cyberdb-fast/shardmap"
)

// silentConnection is a connection that sends no reply.
type silentConnection struct{ client *Client }

func (c silentConnection) Client() *Client                  { return c.client }
func (c silentConnection) Cancel(uint32, *codec.Error) bool { return false }

// readOnly is an Admission that refuses changes if why is set.
type readOnly struct {
	unlimited
	why error
}

func (r *readOnly) Change() error { return r.why }

// TestGiveBack: grants are given back one by one. Those that were given back are counted, one line
// of the log counts those that stay, and a panic does not keep the others.
func TestGiveBack(t *testing.T) {
	t.Parallel()
	failed := errors.New("it failed")
	for name, c := range map[string]struct {
		refused  error
		giveBack giveBack
		returned uint64 // with another grant that can be given back
		panics   uint64
		logged   string
	}{
		"given back":      {nil, func(*Executor) (bool, error) { return true, nil }, 2, 0, ""},
		"had no more":     {nil, func(*Executor) (bool, error) { return false, nil }, 1, 0, ""},
		"an error":        {nil, func(*Executor) (bool, error) { return false, failed }, 1, 0, `grants=1 error="it failed"`},
		"a panic":         {nil, func(*Executor) (bool, error) { panic("it broke") }, 1, 1, "it broke"},
		"no more changes": {failed, func(*Executor) (bool, error) { return true, nil }, 0, 0, `grants=2 error="it failed"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			admission := &readOnly{}
			e := New(Env{
				Store: shardmap.NewStore(), Admission: admission, Logger: slog.New(slog.NewTextHandler(&log, nil)),
			})
			first := e.unsent.add([]byte("gate"), owner{1}, false, c.giveBack)
			other := e.unsent.add([]byte("gate"), owner{2}, false, func(*Executor) (bool, error) { return true, nil })
			admission.why = c.refused
			e.giveBack([]*acquisition{first.of, other.of})
			if n := e.unsent.returned.Load(); n != c.returned || e.Panics() != c.panics {
				t.Errorf("%d are counted, want %d; %d panics, want %d", n, c.returned, e.Panics(), c.panics)
			}
			lines := strings.Count(log.String(), "level=")
			if text := log.String(); !strings.Contains(text, c.logged) || lines != min(len(c.logged), 1) {
				t.Errorf("the log has %q, want %q", text, c.logged)
			}
			if !e.lines.enter([]byte("gate")) {
				t.Error("the gate stays shut")
			}
		})
	}
}

// TestReleasedIsNotGivenBack: what its owner has released before its connection ended does not
// count as given back: a lock, and an item of a queue.
func TestReleasedIsNotGivenBack(t *testing.T) {
	t.Parallel()
	e := New(Env{Store: shardmap.NewStore(), Logger: slog.New(slog.DiscardHandler)})
	if _, err := e.env.Store.Create(&shardmap.Call{}, "jobs", shardmap.KindList, []byte{1, 2}, 2); err != nil {
		t.Fatal(err)
	}
	c := e.NewClient()
	x := e.NewExecutor()
	x.Connection = silentConnection{c}
	of, id := make([]byte, ownerBytes), uint32(0)
	ok := func(op codec.Opcode, args ...[]byte) codec.Reply {
		id++
		req := codec.Request{ID: id, Op: op, Args: bytes.Join(args, nil)}
		out := x.Execute(nil, &req, nil)
		reply, _, err := codec.ParseReply(out)
		if err != nil || reply.Status != codec.StatusOK || x.Outcome != Answered {
			t.Fatalf("%v: outcome %d, %v: %v", op, x.Outcome, reply.Status, err)
		}
		return reply
	}
	text := func(s string) []byte { return msgp.AppendString(nil, s) }
	number := func(n int64) []byte { return msgp.AppendInt64(nil, n) }
	owned := func(i byte) []byte { of[0] = i; return msgp.AppendBytes(nil, of) }
	for i, name := range []string{"released", "kept"} {
		ok(codec.OpLock, text(name), owned(1), number(60_000), number(0), number(1))
		reply := ok(codec.OpListTake, text("jobs"), owned(byte(i)), number(60_000), number(0))
		if name == "released" {
			ok(codec.OpUnlock, text(name), owned(1))
			receipt, _, err := msgp.ReadUint64Bytes(reply.Body)
			if err != nil {
				t.Fatal(err)
			}
			ok(codec.OpListAck, text("jobs"), msgp.AppendUint64(nil, receipt))
		}
	}
	giveBack := c.Close(0)
	if giveBack == nil {
		t.Fatal("nothing is to be given back")
	}
	giveBack()
	if n := e.unsent.returned.Load(); n != 2 {
		t.Errorf("%d are counted as given back, want the lock and the item that were kept", n)
	}
}

// TestRepeatedTakeEnds: a TAKE that is repeated while the first one is executed waits no longer for
// it than its own wait and a moment.
func TestRepeatedTakeEnds(t *testing.T) {
	t.Parallel()
	e := New(Env{Store: shardmap.NewStore(), Logger: slog.New(slog.DiscardHandler)})
	if _, err := e.env.Store.Create(&shardmap.Call{}, "jobs", shardmap.KindList, []byte{1}, 1); err != nil {
		t.Fatal(err)
	}
	claim := make([]byte, ownerBytes)
	for wait, within := range map[int64]int64{0: int64(gateTime), 5000: 5000 + int64(gateTime)} {
		args := msgp.AppendInt64(msgp.AppendBytes(msgp.AppendString(nil, "jobs"), claim), 60_000)
		req := codec.Request{Op: codec.OpListTake, Args: msgp.AppendInt64(args, wait)}
		x := e.NewExecutor()
		gate := append([]byte{claimGate}, claim...)
		if !e.lines.enter(gate) {
			t.Fatal("the gate is shut")
		}
		x.Execute(nil, &req, nil)
		if x.Outcome != Waits || x.Wait.Within != within {
			t.Fatalf("outcome %d, it waits %+v, want %d ms", x.Outcome, x.Wait, within)
		}
		x.Waited, x.Resumed = within, x.Wait
		reply, _, err := codec.ParseReply(x.Execute(nil, &req, nil))
		if err != nil || x.Outcome != Answered || !bytes.Equal(reply.Body, msgp.AppendNil(nil)) {
			t.Errorf("after %d ms: outcome %d, %x: %v", within, x.Outcome, reply.Body, err)
		}
		e.lines.exit(gate)
	}
}
