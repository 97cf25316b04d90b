package loop

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"cyberdb-fast/codec"
	"cyberdb-fast/persist"
	"cyberdb-fast/persist/fstest"
	"cyberdb-fast/shardmap"
)

// sessionOf returns the session of a connection.
func sessionOf(t *testing.T, srv *Server, w *wire) (found *session) {
	t.Helper()
	srv.sessions.each(func(s *session) {
		if s.peer.String() == w.conn.LocalAddr().String() {
			found = s
		}
	})
	if found == nil {
		t.Fatal("no session")
	}
	return found
}

// badConn is a connection whose use panics.
type badConn struct{ net.Conn }

func (badConn) RemoteAddr() net.Addr { panic("defect") }

// TestPanicsInBackground: a panic of a goroutine that works for one connection closes that
// connection, one of the server's own closes none. All are counted, and logged with the stack.
func TestPanicsInBackground(t *testing.T) {
	var log bytes.Buffer
	srv := startOnDisk(t, newDisk(), &log, nil)
	w := dial(t, srv)
	defect := func() { panic("defect") }
	for where, run := range map[string]func(s *session){
		"in the background": func(s *session) { s.goBackground(defect) },
		"login":             func(s *session) { (&session{srv: srv, conn: s.conn, peer: s.peer}).takeTurn() },
		"on loop": func(s *session) {
			if _, err := (&bodyWriter{s: s}).onLoop(defect); !errors.Is(err, errGone) {
				t.Error(err)
			}
		},
	} {
		before := srv.Info().Panics
		c := dial(t, srv)
		run(sessionOf(t, srv, c))
		if !c.closed() {
			t.Errorf("%s: the connection stays open", where)
		}
		if n := srv.Info().Panics; n != before+1 {
			t.Errorf("%s: %d panics are counted", where, n-before)
		}
		w.ok(codec.OpPing)
	}
	before := srv.Info().Panics
	ours, theirs := net.Pipe()
	srv.admit(badConn{ours})
	if _, err := theirs.Read(make([]byte, 1)); err == nil {
		t.Error("accept: the connection stays open")
	}
	srv.guardSweeper(defect)
	srv.reclaimPanicked("defect")
	if n := srv.Info().Panics; n != before+3 {
		t.Errorf("%d panics are counted", n-before)
	}
	w.ok(codec.OpPing)
	stopServer(t, srv)
	if n := strings.Count(log.String(), "stack="); n != 6 {
		t.Errorf("%d stacks are logged", n)
	}
}

// TestPanicInSave: a save that panics fails: it is counted, logged, and tried again.
func TestPanicInSave(t *testing.T) {
	t.Parallel()
	var armed atomic.Bool
	srv := keptServer(t, &fstest.Faults{FS: newDisk(), Fail: func(_ int, op, name string) error {
		if armed.Load() && op == "create" && strings.HasSuffix(name, ".part") {
			panic("defect")
		}
		return nil
	}}, nil)
	w := dial(t, srv)
	w.ok(codec.OpCreateDict, "d", false)
	armed.Store(true)
	w.fails(codec.StatusInternal, codec.OpSave)
	if info := srv.Info(); info.Panics != 1 || !strings.Contains(info.Data.SaveError, "internal error") ||
		info.Views != 0 {
		t.Errorf("%+v", info)
	}
	armed.Store(false)
	dial(t, srv).ok(codec.OpSave)
}

// TestPanicInJournal: a panic of the journal's flusher has the effect of a failed write: changes
// are refused, reads and saves continue, and so does the process.
func TestPanicInJournal(t *testing.T) {
	t.Parallel()
	disk := newDisk()
	var armed atomic.Bool
	var log bytes.Buffer
	srv := startOnDisk(t, &fstest.Faults{FS: disk, Fail: func(_ int, op, name string) error {
		if armed.Load() && op == "write" && strings.HasSuffix(name, ".log") {
			panic("defect")
		}
		return nil
	}}, &log, func(d *Data) { d.Fsync = persist.Always })
	w := dial(t, srv)
	w.ok(codec.OpCreateDict, "d", false, "a", 1)
	armed.Store(true)
	w.fails(codec.StatusNotDurable, codec.OpDictSet, "d", "b", 2)
	w.fails(codec.StatusReadOnly, codec.OpDictSet, "d", "c", 3)
	if got := w.ok(codec.OpDictGet, "d", "b"); got[0] != int64(2) {
		t.Error(got)
	}
	if info := srv.Info(); info.Panics != 1 || !strings.Contains(info.Data.JournalError, "defect") {
		t.Errorf("%+v", info)
	}
	w.ok(codec.OpSave)
	var panicked *persist.PanicError
	if err := srv.Stop(context.Background()); !errors.As(err, &panicked) {
		t.Error(err)
	}
	if n := strings.Count(log.String(), "stack="); n != 1 {
		t.Errorf("%d stacks are logged", n)
	}
	again := keptServer(t, disk, nil)
	if table, ok := again.store.Lookup(&shardmap.Call{}, []byte("d")); !ok || table.Len() != 2 {
		t.Error("what was saved is not there")
	}
}
