package loop

import (
	"fmt"
	"net"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"cyberdb-fast/codec"
)

// withKeys returns how many sessions of the server have the keys of their records.
func withKeys(srv *Server) (n int) {
	srv.sessions.each(func(s *session) {
		if s.auth.marks.has(hasKeys) {
			n++
		}
	})
	return n
}

// atRest waits until idle connections have dropped their keys.
func atRest(t *testing.T, srv *Server) {
	t.Helper()
	within(t, testTimeout, func() error {
		if n := withKeys(srv); n > 0 {
			return fmt.Errorf("%d idle connections have keys", n)
		}
		return nil
	})
}

// TestIdleEncryptedConnection: an encrypted connection that was idle for long continues to work, in
// both directions.
func TestIdleEncryptedConnection(t *testing.T) {
	t.Parallel()
	srv := startServer(t, encrypting)
	w := dial(t, srv)
	w.ok(codec.OpCreateDict, "d", false)
	for i := range 3 {
		if withKeys(srv) != 1 {
			t.Fatal("a connection in use has no keys")
		}
		atRest(t, srv)
		w.ok(codec.OpDictSet, "d", i, "a value that does not end with a block")
		w.ok(codec.OpDictGet, "d", i)
	}
	if n := srv.Info().BadFrames; n != 0 {
		t.Errorf("%d records were damaged", n)
	}
}

// dialBare opens a connection and executes one request. Of the client it leaves the descriptor
// alone, which it returns.
func dialBare(t *testing.T, srv *Server) (fd int) {
	t.Helper()
	conn, err := net.Dial("tcp", srv.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	w := &wire{TB: t, conn: conn}
	if err := w.handshake(testKey, srv.cfg.Encrypt); err != nil {
		t.Fatal(err)
	}
	w.ok(codec.OpPing)
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if e := raw.Control(func(own uintptr) { fd, err = unix.Dup(int(own)) }); e != nil || err != nil {
		t.Fatal(e, err)
	}
	return fd
}

// TestIdleMemory bounds what idle connections take of the heap. What their logins took is collected
// by the server itself.
func TestIdleMemory(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector adds to what is allocated")
	}
	const connections = 1000
	for _, c := range []struct {
		encrypts bool
		most     int // bytes each
	}{{false, 850}, {true, 1150}} {
		t.Run(fmt.Sprintf("encrypts %v", c.encrypts), func(t *testing.T) { // not parallel: the heap is the process's
			srv := startServer(t, func(cfg *Config) { cfg.Encrypt, cfg.MaxConns = c.encrypts, connections })
			clients := make([]int, 0, connections)
			t.Cleanup(func() {
				for _, fd := range clients {
					_ = unix.Close(fd)
				}
			})
			clients = append(clients, dialBare(t, srv)) // what the first one makes is not counted
			atRest(t, srv)
			before := heapInUse()
			for range connections - 1 {
				clients = append(clients, dialBare(t, srv))
			}
			collections := before.NumForcedGC
			atRest(t, srv)
			within(t, testTimeout, func() error {
				var now runtime.MemStats
				if runtime.ReadMemStats(&now); now.NumForcedGC == collections {
					return fmt.Errorf("the server at rest has given nothing back")
				}
				return nil
			})
			after := heapInUse()
			if n := srv.Info().Connections; n != connections {
				t.Fatalf("%d connections", n)
			}
			each := (int(after.HeapAlloc) - int(before.HeapAlloc)) / (connections - 1)
			t.Logf("%d bytes for each connection", each)
			if each > c.most {
				t.Errorf("an idle connection takes %d bytes, more than %d", each, c.most)
			}
		})
	}
}

// heapInUse collects all garbage, and what pools keep.
func heapInUse() (m runtime.MemStats) {
	for range 3 {
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return m
}
