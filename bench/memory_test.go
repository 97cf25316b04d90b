package bench

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
)

const childVariable = "BENCH_TEST_SERVER"

// TestMain makes the test binary a server of its own when a test has started it as one.
func TestMain(m *testing.M) {
	if os.Getenv(childVariable) == "" {
		os.Exit(m.Run())
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(listener.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // ends with the test
		listener.Close()
	}()
	if err := (&fakeServer{}).serveAll(listener); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// startChild starts a server in its own process and returns options for a short run against
// it.
func startChild(t *testing.T) (o Options, pid int) {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childVariable+"=1")
	child.Stderr = os.Stderr
	stdin, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		if err := child.Wait(); err != nil {
			t.Error(err)
		}
	})
	address, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return shortRun(
		Target{Scheme: SchemeNative, Network: "tcp", Address: strings.TrimSpace(address)},
	), child.Process.Pid
}

func TestRunAccountsForTheServerProcess(t *testing.T) {
	o, pid := startChild(t)
	for _, o.ServerPID = range []int{0, pid} {
		r, err := Run(context.Background(), o)
		if err != nil {
			t.Fatal(err)
		}
		if r.ServerRSS == nil || *r.ServerRSS < 1<<20 || r.ServerCPU == nil || *r.ServerCPU < 0 || *r.ServerCPU > 1000 {
			t.Errorf("--server-pid %d: %+v", o.ServerPID, r)
		}
	}
}

func TestLoadMeasuresEntries(t *testing.T) {
	for _, op := range []Op{OpGet, OpAppend} {
		o, _ := startChild(t)
		o.Op, o.Keys, o.ValueSize = op, 2000, Fixed(10_000)
		r, err := Load(context.Background(), o)
		if err != nil {
			t.Fatal(err)
		}
		perEntry := float64(r.After-r.Before) / float64(o.Keys)
		if r.Entries != o.Keys || perEntry < 2_000 || perEntry > 100_000 || math.Abs(perEntry-r.BytesPerEntry) > 0.01 {
			t.Errorf("%s: %+v for values of %d bytes", op, r, o.ValueSize.Max)
		}
	}
}

func TestIdleMeasuresConnections(t *testing.T) {
	o, _ := startChild(t)
	o.Connections = 200
	r, err := Idle(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	// the server of this test keeps a buffer of 64 KiB for each connection
	if r.BytesPerConnection < 20<<10 || r.BytesPerConnection > 1<<20 || r.Before >= r.After {
		t.Errorf("%+v", r)
	}
	if r.WakeupsPerSecond < 0 || r.CorePercent < 0 || r.Watched < o.Duration.Seconds() {
		t.Errorf("%+v", r.Rest)
	}
}

func TestMemoryOfAServerElsewhere(t *testing.T) {
	o := startFake(t, &fakeServer{}) // in this very process, which counts as nowhere
	if _, err := Load(context.Background(), o); err == nil || !strings.Contains(err.Error(), "--server-pid") {
		t.Errorf("error %v", err)
	}
	if _, err := Idle(context.Background(), o); err == nil || !strings.Contains(err.Error(), "--server-pid") {
		t.Errorf("error %v", err)
	}
}
