package loop

import (
	"bufio"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/bytedance/sonic"
	"golang.org/x/sys/unix"

	"cyberdb-fast/persist"
)

const (
	controlConns     = 4        // at once; one more waits to be accepted
	controlLineBytes = 64 << 10 // the longest request
	controlMode      = 0o600
	controlTime      = 30 * time.Second // for a request to arrive, or a reply to leave
)

// controlSocket takes requests that may name files: from the owner of the process, on this machine, and never from a client. Each request is a line
// of JSON, and so is its reply.
type controlSocket struct {
	srv   *Server
	ln    net.Listener
	slots chan struct{}

	mu     sync.Mutex
	closed bool
	conns  map[net.Conn]struct{}
	all    sync.WaitGroup
}

// controlRequest is one line.
type controlRequest struct {
	Do   string `json:"do"`   // "save" or "load"
	Path string `json:"path"` // of a .cdb file, relative to the data directory; "": the server's own
	// Replace of "load": the tables of the file take the place of all that there are. Of "save": a file
	// of another database is written over.
	Replace bool `json:"replace"`
}

// controlReply is the line that answers it.
type controlReply struct {
	OK      bool    `json:"ok"`
	Error   string  `json:"error,omitempty"`
	File    string  `json:"file,omitempty"`
	Tables  int     `json:"tables,omitempty"`
	Entries uint64  `json:"entries,omitempty"`
	Bytes   int64   `json:"bytes,omitempty"`
	Seconds float64 `json:"seconds,omitempty"`
}

// openControl opens the control socket that the settings name; without one the server serves all the same, and nil is returned.
func openControl(srv *Server) *controlSocket {
	path := srv.cfg.Data.Control
	if path == "" {
		return nil
	}
	ln, err := listenUnix(path, controlMode)
	if errors.Is(err, unix.EINVAL) {
		err = fmt.Errorf("%w: the path has %d bytes, which is too long for a socket", err, len(path))
	}
	if err != nil {
		srv.log.Warn("no control socket: saving to and loading from other files is not possible", slog.String("path", path), slog.Any("error", err))
		return nil
	}
	c := &controlSocket{srv: srv, ln: ln, slots: make(chan struct{}, controlConns), conns: make(map[net.Conn]struct{})}
	c.all.Go(c.accept)
	return c
}

// close ends the socket, once what is under way is done.
func (c *controlSocket) close() {
	if c == nil {
		return
	}
	_ = c.ln.Close()
	c.mu.Lock()
	c.closed = true
	for conn := range c.conns {
		_ = conn.SetReadDeadline(time.Now())
	}
	c.mu.Unlock()
	c.all.Wait()
}

func (c *controlSocket) accept() {
	for {
		c.slots <- struct{}{}
		conn, err := c.ln.Accept()
		if err != nil {
			<-c.slots
			if errors.Is(err, net.ErrClosed) {
				return
			}
			select { // out of descriptors, perhaps
			case <-c.srv.sweeps:
				return
			case <-time.After(time.Second):
			}
			continue
		}
		c.all.Go(func() {
			defer func() { <-c.slots }()
			defer c.srv.recovered("panic on the control socket")
			c.serve(conn)
		})
	}
}

// serve answers the requests of one connection until it ends, is silent for long, or says what is no request.
func (c *controlSocket) serve(conn net.Conn) {
	defer conn.Close()
	defer c.forget(conn)
	lines := bufio.NewScanner(conn)
	lines.Buffer(nil, controlLineBytes)
	for c.expect(conn) && lines.Scan() {
		reply, problem := c.answer(lines.Bytes())
		if !c.send(conn, &reply) || problem {
			return
		}
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		c.send(conn, &controlReply{Error: fmt.Sprintf("a request has at most %d bytes", controlLineBytes)})
	}
}

// expect gives the next request its time; false: the server ends.
func (c *controlSocket) expect(conn net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.conns[conn] = struct{}{}
	return conn.SetReadDeadline(time.Now().Add(controlTime)) == nil
}

func (c *controlSocket) forget(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.conns, conn)
}

func (c *controlSocket) send(conn net.Conn, reply *controlReply) bool {
	line, err := sonic.Marshal(reply)
	if err != nil {
		return false
	}
	_ = conn.SetWriteDeadline(time.Now().Add(controlTime)) // the write tells
	_, err = conn.Write(append(line, '\n'))
	return err == nil
}

// answer does what one line asks for; problem: it is no request.
func (c *controlSocket) answer(line []byte) (reply controlReply, problem bool) {
	var req controlRequest
	if err := sonic.ConfigStd.Unmarshal(line, &req); err != nil {
		return controlReply{Error: `a request is one line of JSON: {"do":"save","path":"other.cdb"}`}, true
	}
	start := time.Now()
	defer func() {
		if p := recover(); p != nil {
			_ = c.srv.defect("panic on the control socket", p, nil)
			reply = controlReply{Error: fmt.Sprintf("internal error: %v", p)}
		}
	}()
	file, info, err := c.do(&req)
	if err != nil {
		c.srv.log.Warn("control", slog.String("do", req.Do), slog.String("file", file), slog.Any("error", err))
		return controlReply{File: file, Error: err.Error()}, false
	}
	c.srv.log.Info("control", slog.String("do", req.Do), slog.String("file", file), slog.Duration("took", time.Since(start)))
	return controlReply{OK: true, File: file, Tables: info.Tables, Entries: info.Items, Bytes: info.Bytes, Seconds: time.Since(start).Seconds()}, false
}

func (c *controlSocket) do(req *controlRequest) (file string, info persist.FileInfo, err error) {
	name, file, err := c.file(req.Path)
	if err != nil {
		return req.Path, info, err
	}
	s := &c.srv.saver
	switch {
	case req.Do == "save" && file == c.srv.cfg.Data.File:
		if err = s.save(); err == nil {
			s.mu.Lock()
			info = s.file
			s.mu.Unlock()
		}
	case req.Do == "save":
		info, err = s.saveTo(name, file, req.Replace)
	case req.Do == "load":
		info, err = s.load(file, req.Replace)
	default:
		err = fmt.Errorf("%q is not known: a request says save or load", req.Do)
	}
	return file, info, err
}

// file returns the name that a request gives, as a path, and the file that it leads to.
func (c *controlSocket) file(path string) (name, file string, err error) {
	data := &c.srv.cfg.Data
	if path == "" {
		return data.File, data.File, nil
	}
	if !strings.HasSuffix(path, ".cdb") || strings.ContainsRune(path, 0) {
		return "", "", fmt.Errorf("%q: the name of a file to save to or load from ends in .cdb", path)
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(data.Control), path)
	}
	if file, err = persist.Resolve(path); err != nil {
		return "", "", err
	}
	if own, err := persist.Resolve(data.File); err == nil && file == own {
		file = data.File
	}
	return path, file, nil
}
