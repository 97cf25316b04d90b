package bench

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

func TestServerProcessFindsTheListener(t *testing.T) {
	for _, c := range []struct{ network, address string }{
		{"tcp", "127.0.0.1:0"},
		{"tcp", "0.0.0.0:0"},
		{"tcp", "[::1]:0"},
		{"unix", filepath.Join(t.TempDir(), "socket")},
	} {
		listener, err := net.Listen(c.network, c.address)
		if err != nil {
			t.Logf("%s: %v", c.address, err) // a machine without IPv6
			continue
		}
		target := Target{Scheme: SchemeNative, Network: c.network, Address: listener.Addr().String()}
		if host, port, err := net.SplitHostPort(target.Address); err == nil && net.ParseIP(host).IsUnspecified() {
			target.Address = net.JoinHostPort("127.0.0.1", port)
		}
		if pid, err := serverProcess(target); pid != os.Getpid() || err != nil {
			t.Errorf("%s: process %d, %v; want %d", target, pid, err, os.Getpid())
		}
		listener.Close()
		if pid, err := serverProcess(target); !errors.Is(err, errNotLocal) {
			t.Errorf("%s, closed: process %d, %v", target, pid, err)
		}
	}
}

func TestServerProcessOfAnotherMachine(t *testing.T) {
	if pid, err := serverProcess(
		Target{Scheme: SchemeNative, Network: "tcp", Address: "192.0.2.1:9980"},
	); !errors.Is(
		err,
		errNotLocal,
	) {
		t.Errorf("process %d, %v", pid, err)
	}
}

func TestProcessUsage(t *testing.T) {
	before, err := processUsage(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	const more = 64 << 20
	block := make([]byte, more)
	for start := time.Now(); time.Since(start) < 60*time.Millisecond; {
		for i := 0; i < more; i += 4096 {
			block[i]++
		}
	}
	after, err := processUsage(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if cpu := after.cpu - before.cpu; cpu < 20*time.Millisecond || cpu > 10*time.Second {
		t.Errorf("CPU time of a busy loop: %v", cpu)
	}
	if rss := after.rss - before.rss; rss < more/2 || rss > 8*more {
		t.Errorf("resident memory grew by %d for %d bytes written", rss, more)
	}
	if block[0] == 0 {
		t.Error("the block was not written")
	}
	if _, err := processUsage(1 << 30); err == nil {
		t.Error("a process that does not exist has used something")
	}
}

func TestParseEndpoint(t *testing.T) {
	for text, want := range map[string]string{
		"0100007F:26FC":                         "127.0.0.1 9980",
		"00000000:0050":                         "0.0.0.0 80",
		"00000000000000000000000001000000:26FC": "::1 9980",
		"B80D01200000000000000000EF000000:0001": "2001:db8::ef 1",
		"0100007F":                              "bad",
		"0100:26FC":                             "bad",
		"xx00007F:26FC":                         "bad",
	} {
		got := "bad"
		if ip, port, ok := parseEndpoint(text); ok {
			got = ip.String() + " " + strconv.Itoa(port)
		}
		if got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}
