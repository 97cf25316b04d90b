package harness

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Config is how to start a server.
type Config struct {
	Binary   string // path, or a name in PATH
	Dir      string // its data directory
	Password string
	Flags    []string // more flags; they override the port and the directory
	Files    int      // its limit of open files; 0: that of this process

	// This package reads Stdout and Stderr if they are nil. With another Stdout, it chooses the
	// port.
	Stdout, Stderr *os.File

	Input    bool // standard input is a pipe, open until CloseInput; otherwise /dev/null
	Session  bool // the server has a session of its own
	Terminal bool // a session and a controlling terminal, until HangUp

	Change func(*exec.Cmd) // called last before the start; may be nil
}

// Server is a server in its own process.
type Server struct {
	// Constant after Launch.
	cmd      *exec.Cmd
	port     string         // the chosen one; "": the server reports it
	input    io.WriteCloser // nil without Config.Input
	terminal *os.File       // the other side of its terminal; nil without Config.Terminal
	log      lockedBuffer

	listening chan struct{} // closed once the server has reported its address
	addr      string        // valid then, or with a chosen port
	before    []string      // valid then: the lines of standard output before its address
	done      chan struct{} // closed when the process has ended
	err       error         // its exit error; valid then
}

// lockedBuffer is a buffer that is safe for concurrent use.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
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

// Start starts a server and returns when it listens. Errors: it ended, or did not listen within the
// time; they include its log.
func Start(c Config, within time.Duration) (*Server, error) {
	s, err := Launch(c)
	if err != nil {
		return nil, err
	}
	if err := s.AwaitListening(within); err != nil {
		s.Kill()
		return nil, fmt.Errorf("%w\n%s", err, s.Log())
	}
	return s, nil
}

// Launch starts a server and does not wait until it listens.
func Launch(c Config) (*Server, error) {
	s := &Server{listening: make(chan struct{}), done: make(chan struct{})}
	port := "0"
	if c.Stdout != nil {
		var err error
		if port, err = FreePort(); err != nil {
			return nil, err
		}
		s.port, s.addr = port, net.JoinHostPort("127.0.0.1", port)
	}
	s.cmd = c.command(port)
	ours, theirs, err := s.connect(c)
	if err == nil {
		if c.Change != nil {
			c.Change(s.cmd)
		}
		err = s.cmd.Start()
	}
	closeAll(theirs)
	if err != nil {
		closeAll(ours)
		return nil, fmt.Errorf("start of a server: %w", err)
	}
	go func() {
		s.err = s.cmd.Wait()
		closeAll(ours)
		close(s.done)
	}()
	return s, nil
}

// command returns the command that starts the server, with its limit of open files.
func (c *Config) command(port string) *exec.Cmd {
	args := append([]string{c.Binary, "--port", port, "--dir", c.Dir}, c.Flags...)
	if c.Files > 0 {
		args = append([]string{"sh", "-c", `ulimit -n "$0" && exec "$@"`, strconv.Itoa(c.Files)}, args...)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "CYBERDB_PASSWORD="+c.Password)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setsid: c.Session || c.Terminal}
	return cmd
}

// connect gives the command its streams and its terminal. Close theirs once it has been started,
// and ours when it has ended or could not be started.
func (s *Server) connect(c Config) (ours, theirs []*os.File, err error) {
	s.cmd.Stderr = &s.log
	if c.Stderr != nil {
		s.cmd.Stderr = c.Stderr
	}
	if c.Stdout != nil {
		s.cmd.Stdout = c.Stdout
	} else {
		out, banner, err := os.Pipe()
		if err != nil {
			return ours, theirs, err
		}
		s.cmd.Stdout = banner
		ours, theirs = append(ours, out), append(theirs, banner)
		go s.readBanner(out)
	}
	if c.Terminal {
		master, slave, err := OpenTerminal()
		if err != nil {
			return ours, theirs, err
		}
		s.terminal, s.cmd.ExtraFiles = master, []*os.File{slave}
		ours, theirs = append(ours, master), append(theirs, slave)
		const first = 3 // descriptor of ExtraFiles[0]
		s.cmd.SysProcAttr.Setctty, s.cmd.SysProcAttr.Ctty = true, first
	}
	if c.Input {
		s.input, err = s.cmd.StdinPipe()
	}
	return ours, theirs, err
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}

// FreePort returns a TCP port of the loopback address at which nothing listens now.
func FreePort() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer func() { _ = ln.Close() }()
	_, port, err := net.SplitHostPort(ln.Addr().String())
	return port, err
}

// readBanner reads the server's standard output to its end.
func (s *Server) readBanner(out io.Reader) {
	lines, said := bufio.NewScanner(out), false
	for lines.Scan() {
		if fields := strings.Fields(lines.Text()); !said && len(fields) > 1 && fields[0] == "listening" {
			s.addr, said = fields[1], true
			close(s.listening)
		} else if !said {
			s.before = append(s.before, lines.Text())
		}
	}
}

// AwaitListening returns when the server listens. Errors: it has ended, or does not listen within
// the time.
func (s *Server) AwaitListening(within time.Duration) error {
	late := time.NewTimer(within)
	defer late.Stop()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		select {
		case <-s.listening:
			return nil
		case <-s.done:
			return fmt.Errorf("the server did not start: %v", s.cmd.ProcessState)
		case <-late.C:
			return fmt.Errorf("the server does not listen after %v", within)
		case <-again.C:
			if s.port != "" && accepts(s.addr) {
				return nil
			}
		}
	}
}

// accepts reports whether something accepts connections at the address.
func accepts(addr string) bool {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

// Addr returns the server's TCP address once it listens; with a Stdout of the caller's, always.
func (s *Server) Addr() string { return s.addr }

// Before returns the lines that the server wrote to its standard output before it reported its
// address, once it listens; none with a Stdout of the caller's.
func (s *Server) Before() []string { return s.before }

// Log returns the server's standard error so far; "" with a Stderr of the caller's.
func (s *Server) Log() string { return s.log.String() }

// PID returns the process's number.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Signal sends the process a signal. Errors: it has ended.
func (s *Server) Signal(sig syscall.Signal) error { return s.cmd.Process.Signal(sig) }

// SignalGroup sends a signal to all processes of the server's session (Config.Session,
// Config.Terminal).
func (s *Server) SignalGroup(sig syscall.Signal) error { return syscall.Kill(-s.PID(), sig) }

// CloseInput ends the server's standard input.
func (s *Server) CloseInput() error { return s.input.Close() }

// HangUp hangs up the server's terminal.
func (s *Server) HangUp() error { return s.terminal.Close() }

// Stop shuts the server down. Errors: it did not end within the time and was killed, or it ended
// with an error; they include its log.
func (s *Server) Stop(within time.Duration) error {
	if err := s.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("the server: %w", err)
	}
	if !s.EndsWithin(within) {
		s.Kill()
		return fmt.Errorf("the server did not stop in %v", within)
	}
	if s.err != nil {
		return fmt.Errorf("the server ended with %w\n%s", s.err, s.Log())
	}
	return nil
}

// EndsWithin waits for the server to end and reports whether it has.
func (s *Server) EndsWithin(d time.Duration) bool {
	late := time.NewTimer(d)
	defer late.Stop()
	select {
	case <-s.done:
		return true
	case <-late.C:
	}
	select {
	case <-s.done: // both were ready
		return true
	default:
		return false
	}
}

// Kill ends the server by SIGKILL and waits for its end.
func (s *Server) Kill() {
	_ = s.cmd.Process.Kill()
	<-s.done
}

// ExitCode returns the exit code of a server that has ended; -1: a signal ended it.
func (s *Server) ExitCode() int { return s.cmd.ProcessState.ExitCode() }
