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
	controlConns     = 16       // at once
	controlLineBytes = 64 << 10 // the longest request
	controlMode      = 0o600
	controlTime      = 30 * time.Second // for a request to arrive, or a reply to leave
	// the same, when another client waits for the connection, or the server stops
	controlGrace = time.Second
)

// controlSocket takes requests that may name files: from the owner of the process, on this machine,
// and never from a client. Each request is a line of JSON, and so is its reply.
type controlSocket struct {
	srv   *Server
	ln    net.Listener
	slots chan struct{}

	mu      sync.Mutex
	closed  bool
	waiting map[net.Conn]time.Time // since when a connection waits for its client to send or to read
	all     sync.WaitGroup
}

// controlRequest is one line.
type controlRequest struct {
	Do   string `json:"do"`   // "save", "load", "where", "reload" or "configure"
	Path string `json:"path"` // of a .cdb file, relative to the data directory; "": the server's own
	// Replace of "load": the file's tables replace all tables. Of "save": a file of another
	// database may be overwritten.
	Replace bool `json:"replace"`
	// Settings of "configure": values by the names of flags.
	Settings map[string]string `json:"settings"`
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

// openControl opens the control socket that the settings name; without one the server serves all
// the same, and nil is returned.
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
		srv.log.Warn(
			"no control socket: saving to and loading from other files is not possible",
			slog.String("path", path),
			slog.Any("error", err),
		)
		return nil
	}
	c := &controlSocket{
		srv:     srv,
		ln:      ln,
		slots:   make(chan struct{}, controlConns),
		waiting: make(map[net.Conn]time.Time),
	}
	c.all.Go(c.accept)
	return c
}

// close ends the socket, once what is under way is done, or the server's end is cut short.
func (c *controlSocket) close() {
	if c == nil {
		return
	}
	_ = c.ln.Close()
	c.mu.Lock()
	c.closed = true
	for conn := range c.waiting {
		_ = conn.SetReadDeadline(time.Now())
		_ = conn.SetWriteDeadline(time.Now().Add(controlGrace))
	}
	c.mu.Unlock()
	done := make(chan struct{})
	go func() {
		c.all.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-c.srv.hurry.asked:
	}
}

func (c *controlSocket) accept() {
	for {
		conn, err := c.ln.Accept()
		if err != nil {
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
		if !c.takeSlot() {
			_ = conn.Close()
			return
		}
		c.all.Go(func() {
			defer func() { <-c.slots }()
			defer c.srv.recovered("panic on the control socket")
			c.serve(conn)
		})
	}
}

// serve answers the requests of one connection until it ends, is silent or does not read for long,
// or says what is no request.
func (c *controlSocket) serve(conn net.Conn) {
	defer conn.Close()
	defer c.awaited(conn)
	lines := bufio.NewScanner(conn)
	lines.Buffer(nil, controlLineBytes)
	for c.await(conn) && lines.Scan() {
		c.awaited(conn)
		reply, problem := c.answer(lines.Bytes())
		if !c.send(conn, reply) || problem {
			return
		}
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		c.send(conn, &controlReply{Error: fmt.Sprintf("a request has at most %d bytes", controlLineBytes)})
	}
}

// takeSlot takes a slot for a connection. If all are taken, the one whose client has been waited
// for the longest is closed, after controlGrace. false: the server ends.
func (c *controlSocket) takeSlot() bool {
	for {
		select {
		case c.slots <- struct{}{}:
			return true
		default:
			c.evict()
		}
		select {
		case c.slots <- struct{}{}:
			return true
		case <-time.After(controlGrace / 4):
		case <-c.srv.sweeps:
			return false
		}
	}
}

// evict closes the connection that has waited for its client the longest, if that is longer than
// controlGrace.
func (c *controlSocket) evict() {
	c.mu.Lock()
	defer c.mu.Unlock()
	var oldest net.Conn
	for conn, since := range c.waiting {
		if oldest == nil || since.Before(c.waiting[oldest]) {
			oldest = conn
		}
	}
	if oldest != nil && time.Since(c.waiting[oldest]) > controlGrace {
		_ = oldest.Close()
		delete(c.waiting, oldest)
	}
}

// await gives the client its time to send a request, or to read a reply; false: the server ends,
// and the time is short.
func (c *controlSocket) await(conn net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	timeout := controlTime
	if c.closed {
		timeout = controlGrace
	}
	c.waiting[conn] = time.Now()
	return conn.SetDeadline(time.Now().Add(timeout)) == nil && !c.closed
}

// awaited says that the connection does not wait for its client.
func (c *controlSocket) awaited(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.waiting, conn)
}

func (c *controlSocket) send(conn net.Conn, reply any) bool {
	line, err := sonic.Marshal(reply)
	if err != nil {
		return false
	}
	_ = c.await(conn) // the write tells
	_, err = conn.Write(append(line, '\n'))
	return err == nil
}

// answer does what one line asks for; problem: it is no request.
func (c *controlSocket) answer(line []byte) (reply any, problem bool) {
	var req controlRequest
	if err := sonic.ConfigStd.Unmarshal(line, &req); err != nil {
		return &controlReply{Error: `a request is one line of JSON: {"do":"save","path":"other.cdb"}`}, true
	}
	defer func() {
		if p := recover(); p != nil {
			_ = c.srv.reportPanic("panic on the control socket", p, nil)
			reply = &controlReply{Error: fmt.Sprintf("internal error: %v", p)}
		}
	}()
	if reply, known := c.settings(&req); known {
		return reply, false
	}
	return c.transfer(&req), false
}

// transfer saves to a file, or loads one.
func (c *controlSocket) transfer(req *controlRequest) *controlReply {
	start := time.Now()
	file, info, err := c.do(req)
	c.srv.clock.start() // the saver is to see what was loaded
	if err != nil {
		c.srv.log.Warn("control", slog.String("do", req.Do), slog.String("file", file), slog.Any("error", err))
		return &controlReply{File: file, Error: err.Error()}
	}
	c.srv.log.Info(
		"control",
		slog.String("do", req.Do),
		slog.String("file", file),
		took(start),
	)
	return &controlReply{
		OK:      true,
		File:    file,
		Tables:  info.Tables,
		Entries: info.Items,
		Bytes:   info.Bytes,
		Seconds: time.Since(start).Seconds(),
	}
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
		err = fmt.Errorf("%q is not known: a request says save, load, where, reload or configure", req.Do)
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
