package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/bytedance/sonic"
	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/codec"
	"cyberdb-fast/loop"
)

const password = "correct horse battery staple"

// server is the real server, in a process of its own.
type server struct {
	cmd  *exec.Cmd
	addr string // TCP
	log  lockedBuffer
	done chan struct{} // closed when the process has ended
	err  error         // how it ended; valid then
}

// lockedBuffer is a buffer that several goroutines may use.
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

// startServer starts the binary with a free port, and with a limit of open files if that is not 0.
func startServer(binary, dir string, flags []string, files int, readers streams) (*server, error) {
	srv := &server{done: make(chan struct{})}
	args := append([]string{binary, "--port", "0", "--dir", dir}, flags...)
	if files > 0 {
		args = append([]string{"sh", "-c", `ulimit -n "$0" && exec "$@"`, strconv.Itoa(files)}, args...)
	}
	srv.cmd = exec.Command(args[0], args[1:]...)
	srv.cmd.Env = append(os.Environ(), "CYBERDB_PASSWORD="+password)
	srv.cmd.Stderr = &srv.log
	srv.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if readers == hungScreen {
		return srv, srv.startUnseen()
	}
	release, err := readers.apply(srv.cmd)
	if err != nil {
		return nil, err
	}
	out, err := srv.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := srv.cmd.Start(); err != nil {
		return nil, err
	}
	banner := bufio.NewScanner(out)
	for srv.addr == "" && banner.Scan() {
		if fields := strings.Fields(banner.Text()); len(fields) > 1 && fields[0] == "listening" {
			srv.addr = fields[1]
		}
	}
	go func() {
		_, _ = io.Copy(io.Discard, out)
		srv.await(release)
	}()
	if srv.addr == "" {
		<-srv.done
		return nil, fmt.Errorf("the server did not start: %w\n%s", srv.err, srv.log.String())
	}
	return srv, nil
}

// await waits for the end of the process.
func (srv *server) await(release func()) {
	srv.err = srv.cmd.Wait()
	release()
	close(srv.done)
}

// stop ends the server in order.
func (srv *server) stop() error {
	if err := srv.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("the server: %w", err)
	}
	select {
	case <-srv.done:
		return srv.err
	case <-time.After(patience):
		srv.kill()
		return fmt.Errorf("the server did not stop in %v", patience)
	}
}

func (srv *server) kill() {
	_ = srv.cmd.Process.Kill()
	<-srv.done
}

// usage is what a server has and uses, as it says itself and as the kernel says.
type usage struct {
	loop.Info
	descriptors int
	resident    int64 // bytes
	peak        int64 // bytes; the most that was resident
}

// memory returns the bytes that the server has in use.
func (u *usage) memory() int64 { return int64(u.HeapBytes) + int64(u.SlabBytes-u.SlabFreeBytes) }

// usage asks the server, by an ordinary connection, and the kernel.
func (srv *server) usage(c *conn) (u usage, err error) {
	if u.Info, err = info(c); err != nil {
		return u, err
	}
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", srv.cmd.Process.Pid))
	if err != nil {
		return u, err
	}
	u.descriptors = len(files)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", srv.cmd.Process.Pid))
	if err != nil {
		return u, err
	}
	for line := range strings.Lines(string(status)) {
		for name, to := range map[string]*int64{"VmRSS:": &u.resident, "VmHWM:": &u.peak} {
			if rest, found := strings.CutPrefix(line, name); found {
				kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
				if err != nil {
					return u, err
				}
				*to = kib << 10
			}
		}
	}
	return u, nil
}

func info(c *conn) (figures loop.Info, err error) {
	reply, err := c.call(codec.OpInfo)
	if err != nil {
		return figures, err
	}
	if reply.Status != codec.StatusOK {
		return figures, errors.New("INFO fails")
	}
	text, _, err := msgp.ReadStringBytes(reply.Body)
	if err != nil {
		return figures, err
	}
	return figures, sonic.UnmarshalString(text, &figures)
}
