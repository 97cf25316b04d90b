package loop

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bytedance/sonic"
	"github.com/tinylib/msgp/msgp"
	"golang.org/x/sys/unix"

	"cyberdb-fast/codec"
	"cyberdb-fast/persist"
)

// The test binary starts itself again as a server or as a crowd of clients, because one process has
// only so many descriptors and one heap.
const (
	roleEnv        = "CYBERDB_TEST_ROLE"
	maxConnsEnv    = "CYBERDB_TEST_MAX_CONNS"
	descriptorsEnv = "CYBERDB_TEST_DESCRIPTORS"
	addrEnv        = "CYBERDB_TEST_ADDR"
	dataEnv        = "CYBERDB_TEST_DATA"  // path of the data file; "": the server keeps nothing
	faultEnv       = "CYBERDB_TEST_FAULT" // of a build with the tag "broken"; "": none
)

func TestMain(m *testing.M) {
	flag.Parse()
	var err error
	switch os.Getenv(roleEnv) {
	case "":
		os.Exit(m.Run())
	case "server":
		err = serveProcess()
	case "clients":
		err = crowdProcess()
	case "replayer":
		err = replayProcess()
	case "expiry":
		err = expiryProcess()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// serveProcess is a server that prints its address in one line and ends with its standard input.
// For the lines "take all" and "give back" it uses up all descriptors, and closes them again.
func serveProcess() error {
	maxConns, err := strconv.Atoi(os.Getenv(maxConnsEnv))
	if err != nil {
		return err
	}
	if err := breakProcess(); err != nil {
		return err
	}
	cfg := Config{
		Addr: "127.0.0.1:0", MaxConns: maxConns, Password: testPassword, KDF: testKDF, Encrypt: *encrypted,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	}
	if file := os.Getenv(dataEnv); file != "" {
		cfg.Data = Data{File: file, Fsync: persist.Always}
	}
	srv, err := Start(cfg)
	if err != nil {
		return err
	}
	if text := os.Getenv(descriptorsEnv); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return err
		}
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: n, Max: n}); err != nil {
			return err
		}
	}
	fmt.Println(srv.Addr())
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		if err := holdDescriptors(lines.Text() == "take all"); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return srv.Stop(ctx)
}

var openDescriptors []*os.File

func holdDescriptors(take bool) error {
	for take {
		f, err := os.Open(os.DevNull)
		if errors.Is(err, unix.EMFILE) {
			break
		}
		if err != nil {
			return err
		}
		openDescriptors = append(openDescriptors, f)
	}
	if _, err := fmt.Println(len(openDescriptors), "descriptors in use:", take); err != nil {
		return err
	}
	if !take {
		for _, f := range openDescriptors {
			_ = f.Close()
		}
		openDescriptors = nil
	}
	return nil
}

// process is a child process that answers lines with lines.
type process struct {
	testing.TB
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Scanner
	log  lockedBuffer // standard error
	done bool
}

// lockedBuffer is a buffer that several goroutines may use.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// startProcess starts the test binary in a role and ends it when the test ends.
func startProcess(t testing.TB, role string, env ...string) *process {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{TB: t, cmd: exec.Command(binary, fmt.Sprintf("-encrypted=%v", *encrypted))}
	p.cmd.Env = append(append(p.cmd.Environ(), roleEnv+"="+role), env...)
	p.cmd.Stderr = &p.log
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.out = bufio.NewScanner(out)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.end)
	return p
}

// kill ends the process at once.
func (p *process) kill() {
	p.done = true
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// breakProcess switches on the fault that the process is to have.
func breakProcess() error {
	if fault := os.Getenv(faultEnv); fault != "" {
		return breakServer(fault)
	}
	return nil
}

func (p *process) end() {
	p.Helper()
	if p.done {
		return
	}
	p.done = true
	_ = p.in.Close()
	ended := time.AfterFunc(30*time.Second, func() { _ = p.cmd.Process.Kill() })
	defer ended.Stop()
	if err := p.cmd.Wait(); err != nil {
		p.Errorf("the %s process: %v\n%s", p.cmd.Env[len(p.cmd.Env)-1], err, p.log.String())
	}
}

// line reads the process's next line.
func (p *process) line() string {
	p.Helper()
	if !p.out.Scan() {
		p.Fatalf("a process has ended:\n%s", p.log.String())
	}
	return p.out.Text()
}

// serverProcess is a server in its own process.
type serverProcess struct {
	*process
	addr string
}

// startServerProcess starts a server that has no more than the given number of descriptors, if that
// is not 0.
func startServerProcess(t testing.TB, maxConns, descriptors int) serverProcess {
	t.Helper()
	env := []string{maxConnsEnv + "=" + strconv.Itoa(maxConns)}
	if descriptors > 0 {
		env = append(env, descriptorsEnv+"="+strconv.Itoa(descriptors))
	}
	p := startProcess(t, "server", env...)
	return serverProcess{p, p.line()}
}

// dial connects and authenticates.
func (p serverProcess) dial() *wire {
	p.Helper()
	w, err := p.tryDial()
	if err != nil {
		p.Fatalf("%v\n%s", err, p.log.String())
	}
	return w
}

func (p serverProcess) tryDial() (*wire, error) {
	w, err := dialAddr(p.addr)
	if w != nil {
		w.TB = p.TB
		p.Cleanup(func() { _ = w.conn.Close() })
	}
	return w, err
}

// dialAddr connects and authenticates, without a test.
func dialAddr(addr string) (*wire, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	w := &wire{conn: conn}
	return w, w.handshake(testKey, *encrypted)
}

// infoOf asks a server for its figures.
func infoOf(w *wire) (info Info) {
	w.Helper()
	text := w.ok(codec.OpInfo)[0].(string)
	if err := sonic.UnmarshalString(text, &info); err != nil {
		w.Fatal(err)
	}
	return info
}

// crowdProcess opens as many connections as its first line says, and keeps them open. For each line
// "round" every connection makes a request whose reply only it can get.
func crowdProcess() error {
	lines := bufio.NewScanner(os.Stdin)
	var crowd []*wire
	for lines.Scan() {
		command, count, _ := strings.Cut(lines.Text(), " ")
		var err error
		switch command {
		case "open":
			var n int
			if n, err = strconv.Atoi(count); err == nil {
				crowd, err = openCrowd(n)
			}
		case "round":
			err = eachOf(len(crowd), func(i int) error { return ownRequest(crowd[i], i) })
		default:
			err = errors.New("no such command: " + command)
		}
		if err != nil {
			return err
		}
		fmt.Println("done", len(crowd))
	}
	return nil
}

func openCrowd(n int) ([]*wire, error) {
	crowd := make([]*wire, n)
	return crowd, eachOf(n, func(i int) (err error) {
		crowd[i], err = dialAddr(os.Getenv(addrEnv))
		return err
	})
}

// eachOf calls f for 0 to n-1, a hundred at once.
func eachOf(n int, f func(i int) error) error {
	slots := make(chan struct{}, 100)
	failures := make([]error, n)
	for i := range n {
		slots <- struct{}{}
		go func() {
			defer func() { <-slots }()
			if err := f(i); err != nil {
				failures[i] = fmt.Errorf("connection %d: %w", i, err)
			}
		}()
	}
	for range cap(slots) {
		slots <- struct{}{}
	}
	return errors.Join(failures...)
}

// ownRequest increments a key of the connection's own, over and over the same connection.
func ownRequest(w *wire, i int) error {
	w.id++
	args := msgp.AppendString(nil, "crowd")
	args = msgp.AppendInt(args, i)
	args = msgp.AppendInt(args, 1)
	request := codec.AppendRequest(nil, &codec.Request{ID: w.id, Op: codec.OpDictIncrement, Args: args})
	if _, err := w.conn.Write(request); err != nil {
		return err
	}
	reply, err := w.reply()
	if err != nil {
		return err
	}
	if want := msgp.AppendInt(
		nil,
		int(w.id),
	); reply.ID != w.id || reply.Status != codec.StatusOK ||
		!bytes.Equal(reply.Body, want) {
		return fmt.Errorf("reply %d: %v %x, want %x", reply.ID, reply.Status, reply.Body, want)
	}
	return nil
}
