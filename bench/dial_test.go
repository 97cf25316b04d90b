package bench

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"cyberdb-fast/codec/secure"
)

func TestConnectErrors(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	vacant := free.Addr().String()
	free.Close()
	cases := []struct {
		name string
		with func(o *Options)
		want string
	}{
		{"vacant port", func(o *Options) { o.Target.Address = vacant }, "nothing listens at cyberdb://127.0.0.1:"},
		{
			"no such socket",
			func(o *Options) { o.Target.Network, o.Target.Address = "unix", "/nonexistent/socket" },
			"nothing listens at cyberdb+unix:/nonexistent",
		},
		{
			"wrong password",
			func(o *Options) { o.Password = "guess" },
			"wrong password: give the server's in CYBERDB_PASSWORD",
		},
		{"no such host", func(o *Options) { o.Target.Address = "nowhere.invalid:1" }, "address nowhere.invalid:1"},
		{
			"a server that does not encrypt",
			func(o *Options) { o.Target.Encrypt = true },
			"this server does not encrypt",
		},
		{"another protocol", func(o *Options) { o.Target.Scheme = SchemeRedis }, "closed it while it was being opened"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			o := startFake(t, &fakeServer{})
			c.with(&o)
			_, err := Run(context.Background(), o)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Fatalf("error %v, want one line with %q", err, c.want)
			}
		})
	}
}

// TestConnectReportsRefusal shows the server's own text.
func TestConnectReportsRefusal(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			if _, err := conn.Read(make([]byte, 64)); err == nil { // the Hello
				_, _ = conn.Write(
					secure.AppendRefusal(
						nil,
						&secure.Refusal{Code: secure.RefusedTooManyConnections, Text: "10000 connections are open"},
					),
				)
			}
			conn.Close()
		}
	}()
	_, err = Run(
		context.Background(),
		shortRun(Target{Scheme: SchemeNative, Network: "tcp", Address: listener.Addr().String()}),
	)
	if err == nil || !strings.Contains(err.Error(), "10000 connections are open") {
		t.Fatalf("error %v", err)
	}
}

// TestConnectWaitsForRoomInTheBacklog opens many more connections at once than the server's backlog
// holds.
func TestConnectWaitsForRoomInTheBacklog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrUnix{Name: path}), unix.Listen(fd, 1)); err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(fd), path)
	listener, err := net.FileListener(file)
	if err != nil {
		t.Fatal(err)
	}
	file.Close()
	(&fakeServer{}).start(t, listener)
	o := shortRun(Target{Scheme: SchemeNative, Network: "unix", Address: path})
	o.Connections = 300
	r, err := Run(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	if r.Failed() || r.Ops == 0 {
		t.Fatalf("%+v", r)
	}
}
