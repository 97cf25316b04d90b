package loop

import (
	"errors"
	"io/fs"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/secure"
)

func TestUnixSocket(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	onlyUnix := func(cfg *Config) { cfg.Addr, cfg.Unix, cfg.UnixMode = "", path, 0o620 }
	srv := startServer(t, onlyUnix)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o620 || info.Mode().Type() != os.ModeSocket {
		t.Fatalf("%v, %v", info.Mode(), err)
	}
	w := dial(t, srv)
	w.ok(codec.OpCreateList, "l", false, 1)
	if got := w.ok(codec.OpListAll, "l"); len(got) != 1 {
		t.Errorf("got %v", got)
	}
	cfg := Config{Password: testPassword, KDF: testKDF, MaxConns: 1}
	onlyUnix(&cfg)
	if second, err := Start(cfg); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a second server on the same socket: %v, %v", second, err)
	}
}

// TestUnixSocketIsThereWithTCP: a client that reaches a server by TCP finds its Unix socket.
func TestUnixSocketIsThereWithTCP(t *testing.T) {
	t.Parallel()
	for range 20 {
		free, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addr, path := free.Addr().String(), filepath.Join(t.TempDir(), "s")
		_ = free.Close()
		found := make(chan error, 1)
		go func() {
			conn, err := net.Dial("tcp", addr)
			for end := time.Now().Add(time.Minute); err != nil && time.Now().Before(end); {
				conn, err = net.Dial("tcp", addr)
			}
			if err == nil {
				_, err = os.Lstat(path)
				_ = conn.Close()
			}
			found <- err
		}()
		all, err := listen(&Config{Addr: addr, Unix: path, UnixMode: 0o600})
		if err != nil {
			t.Fatal(err)
		}
		if len(all) != 2 || all[0].Addr().Network() != "tcp" || all[1].Addr().Network() != "unix" {
			t.Errorf("listeners %v", all)
		}
		if err := <-found; err != nil {
			t.Error(err)
		}
		for _, ln := range all {
			_ = ln.Close()
		}
	}
}

// TestUnixSocketOfAFailedStart: a server whose port is taken leaves no socket, and that of the
// other server where it is.
func TestUnixSocketOfAFailedStart(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	path := filepath.Join(t.TempDir(), "s")
	if _, err := listen(
		&Config{Addr: taken.Addr().String(), Unix: path, UnixMode: 0o600},
	); !errors.Is(
		err,
		syscall.EADDRINUSE,
	) {
		t.Fatalf("got %v", err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket: %v", err)
	}
}

// TestStaleUnixSocket finds the socket of a server that is no more.
func TestStaleUnixSocket(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = ln.Close()
	dial(t, startServer(t, func(cfg *Config) { cfg.Addr, cfg.Unix = "", path })).ok(codec.OpPing)
}

// TestNoSocketReplaced: a file that is no socket is not removed.
func TestNoSocketReplaced(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(Config{Unix: path, MaxConns: 1, KDF: testKDF}); err == nil {
		t.Error("started on a file that is there")
	}
	if b, err := os.ReadFile(path); string(b) != "precious" || err != nil {
		t.Errorf("the file holds %q, %v", b, err)
	}
}

func TestAllowList(t *testing.T) {
	t.Parallel()
	allow := func(prefix string) *Server {
		return startServer(t, func(cfg *Config) { cfg.Allow = []netip.Prefix{netip.MustParsePrefix(prefix)} })
	}
	dial(t, allow("127.0.0.0/8")).ok(codec.OpPing)
	srv := allow("10.0.0.0/8")
	refusedWith(t, secure.RefusedAddress, func() (*wire, error) { return tryDial(t, srv, testKey) })
	if n := srv.Info().Refused; n != 1 {
		t.Errorf("INFO counts %d refused", n)
	}
}

// TestMayRefuse: connections that are being refused take no descriptor that others need.
func TestMayRefuse(t *testing.T) {
	for files, want := range map[uint64]int{0: 16, 1128: 16, 1178: 66, 1303: 191, 1304: 192, 1 << 20: 192, math.MaxUint64: 192} {
		if got := mayRefuse(1000, 0, files); got != want {
			t.Errorf("1000 connections, %d files: %d may be refused, want %d", files, got, want)
		}
	}
}

// TestSocketOfSuccessor: a server that stops does not remove sockets that other servers have
// created at its path.
func TestSocketOfSuccessor(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	listening := filepath.Join(dir, "s")
	start := func(data string) *Server {
		srv, err := Start(Config{
			Unix: listening, MaxConns: 10, Password: testPassword, KDF: testKDF, Encrypt: *encrypted,
			Logger: slog.New(slog.DiscardHandler),
			Data:   Data{File: filepath.Join(dir, data), Control: filepath.Join(dir, "control.sock")},
		})
		if err != nil {
			t.Fatal(err)
		}
		return srv
	}
	sockets := []string{listening, filepath.Join(dir, "control.sock")}
	first := start("first.cdb")
	for _, path := range sockets { // a careless cleaner
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	second := start("second.cdb")
	stopServer(t, first)
	for _, path := range sockets {
		conn, err := net.Dial("unix", path)
		if err != nil {
			t.Errorf("after the first server has stopped: %v", err)
			continue
		}
		_ = conn.Close()
	}
	stopServer(t, second)
	for _, path := range sockets {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the second server has left %s: %v", path, err)
		}
	}
}
