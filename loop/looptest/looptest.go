// Package looptest starts a real server inside the test process, for the tests of programs that use
// package client.
//
//	func TestSignUp(t *testing.T) {
//		c := looptest.Client(t)
//		users := client.DictOf[string, User](c, "users")
//		...
//	}
//
// The server listens on a free port of the loopback interface and is empty; each call of Start
// makes another one.
package looptest

import (
	"context"
	"io"
	"log/slog"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"cyberdb-fast/client"
	"cyberdb-fast/codec/secure"
	"cyberdb-fast/loop"
)

// Password is that of the servers that this package starts.
const Password = "looptest"

// stopTimeout is how long Stop waits for the requests that have arrived.
const stopTimeout = 5 * time.Second

// Server is a server in this process.
type Server struct {
	addr    string
	encrypt bool
	dir     string       // "": the tables are in memory only
	loop    *loop.Server // nil while it is stopped
}

// New starts a server; Stop ends it. In a test, Start is simpler.
func New() (*Server, error) { return (&Server{}).start() }

// NewEncrypted is New for a server that encrypts.
func NewEncrypted() (*Server, error) { return (&Server{encrypt: true}).start() }

// NewOnDisk is New for a server that keeps its tables in a directory, with a journal: they are
// there again after Restart.
func NewOnDisk(dir string) (*Server, error) { return (&Server{dir: dir}).start() }

func (s *Server) start() (*Server, error) {
	s.addr = "127.0.0.1:0"
	if err := s.Restart(); err != nil {
		return nil, err
	}
	return s, nil
}

// Start starts a server that ends with the test.
func Start(tb testing.TB) *Server {
	tb.Helper()
	return endWith(tb, New)
}

// StartEncrypted is Start for a server that encrypts.
func StartEncrypted(tb testing.TB) *Server {
	tb.Helper()
	return endWith(tb, NewEncrypted)
}

// StartOnDisk is Start for a server that keeps its tables in a directory of the test, with a
// journal: they are there again after Restart.
func StartOnDisk(tb testing.TB) *Server {
	tb.Helper()
	dir := tb.TempDir()
	return endWith(tb, func() (*Server, error) { return NewOnDisk(dir) })
}

func endWith(tb testing.TB, start func() (*Server, error)) *Server {
	tb.Helper()
	s, err := start()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Stop)
	return s
}

// Client starts a server and returns a client of it; both end with the test.
func Client(tb testing.TB) *client.Client {
	tb.Helper()
	return Start(tb).Client(tb, nil)
}

// Client returns a client of s that is closed at the end of the test. Of options, which may be nil,
// Addr, Password and Encrypt are s's, and DialTimeout is a minute by default: tests run on busy
// machines.
func (s *Server) Client(tb testing.TB, options *client.Options) *client.Client {
	tb.Helper()
	var o client.Options
	if options != nil {
		o = *options
	}
	if o.DialTimeout == 0 {
		o.DialTimeout = time.Minute
	}
	c, err := client.Open(tb.Context(), s.URL(), &o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = c.Close() })
	return c
}

// Addr returns where s listens, "127.0.0.1:40123".
func (s *Server) Addr() string { return s.addr }

// URL returns what client.Open takes to reach s.
func (s *Server) URL() string {
	scheme := "cyberdb"
	if s.encrypt {
		scheme = "cyberdbs"
	}
	return (&url.URL{Scheme: scheme, User: url.UserPassword("", Password), Host: s.addr}).String()
}

// Stop ends the server, its connections and, unless they are on disk, its tables. It does nothing
// if the server is stopped already.
func (s *Server) Stop() {
	if s.loop == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	_ = s.loop.Stop(ctx)
	s.loop = nil
}

// Restart stops the server and starts it again at the same address, empty or with the tables that
// it has on disk: for tests of an outage.
func (s *Server) Restart() error {
	s.Stop()
	var data loop.Data
	if s.dir != "" {
		data.File = filepath.Join(s.dir, "data.cdb")
	}
	srv, err := loop.Start(loop.Config{
		Data:     data,
		Addr:     s.addr,
		Password: Password,
		// A fixed salt: clients derive a key for a new one at most once a minute.
		KDF:        secure.KDF{LogN: secure.MinLogN},
		Encrypt:    s.encrypt,
		EventLoops: 1,
		Logger:     slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		return err
	}
	s.loop, s.addr = srv, srv.Addr().String()
	return nil
}
