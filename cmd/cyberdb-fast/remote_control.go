package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"cyberdb-fast/client"
)

// controlAnswer is the line with which the server answers on its control socket.
type controlAnswer struct {
	OK      bool    `json:"ok"`
	Error   string  `json:"error"`
	File    string  `json:"file"`
	Tables  int     `json:"tables"`
	Entries uint64  `json:"entries"`
	Bytes   int64   `json:"bytes"`
	Seconds float64 `json:"seconds"`

	// of "where"
	Address   string `json:"address"`
	Unix      string `json:"unix"`
	Encrypted bool   `json:"encrypted"`

	// of "reload" and "configure"
	Changed []string `json:"changed"`
	Restart []string `json:"need_restart"`
}

// addr returns where clients on this machine reach the server.
func (a *controlAnswer) addr() string {
	if a.Address == "" {
		if a.Unix == "" {
			return net.JoinHostPort("127.0.0.1", client.DefaultPort)
		}
		return "unix:" + a.Unix
	}
	host, port, err := net.SplitHostPort(a.Address)
	if err != nil {
		return a.Address
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
		if ip != nil && ip.To4() == nil {
			host = "::1"
		}
	}
	return net.JoinHostPort(host, port)
}

// errNoControl is returned when no server listens on the control socket.
var errNoControl = errors.New("no server runs with this data directory")

// explainNoControl says why nothing answers on the control socket.
func (r *remote) explainNoControl() error {
	if isLocked(filepath.Join(r.dir, lockFile)) {
		return fmt.Errorf("the server of %s has no control socket: it is loading its tables or ends, or its log "+
			"says why", r.dir)
	}
	return fmt.Errorf("%s: %w: name another with --dir", r.dir, errNoControl)
}

// isLocked reports whether a process holds the lock of a file. Trying to take the lock instead
// could keep a server from starting.
func isLocked(name string) bool {
	info, err := os.Stat(name)
	if err != nil {
		return false
	}
	file, ok := info.Sys().(*syscall.Stat_t)
	locks, err := os.ReadFile("/proc/locks")
	if !ok || err != nil {
		return false
	}
	for line := range strings.Lines(string(locks)) {
		if strings.Contains(line, " FLOCK ") && strings.Contains(line, fmt.Sprintf(":%d ", file.Ino)) {
			return true
		}
	}
	return false
}

// control asks the server of the data directory by its control socket. Errors: errNoControl; what
// the server says.
func (r *remote) control(ctx context.Context, request map[string]any) (*controlAnswer, error) {
	path := filepath.Join(r.dir, controlFile)
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", path)
	switch {
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED):
		return nil, r.explainNoControl()
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("the control socket %s: %w: it is for the user alone whose server it is", path,
			innermost(err))
	case err != nil:
		return nil, fmt.Errorf("the control socket %s: %w", path, innermost(err))
	}
	defer conn.Close()
	ended := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) })
	defer ended()
	line, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Write(append(line, '\n')); err != nil {
		return nil, fmt.Errorf("the control socket %s: %w", path, innermost(err))
	}
	reply, err := bufio.NewReader(conn).ReadBytes('\n')
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	var answer controlAnswer
	if err == nil {
		err = json.Unmarshal(reply, &answer)
	}
	if err != nil {
		return nil, fmt.Errorf("the control socket %s gave no answer: %w", path, err)
	}
	if !answer.OK {
		return &answer, errors.New(answer.Error)
	}
	return &answer, nil
}

// ask is control for commands: an interruption is explained.
func (r *remote) ask(request map[string]any) (*controlAnswer, error) {
	answer, err := r.control(r.ctx, request)
	if errors.Is(err, context.Canceled) {
		return nil, errors.New("interrupted: the server may still do what it was asked for")
	}
	return answer, err
}

// where finds the server of the data directory. If no directory is named, and no server runs with
// the default one, it is that of the default port.
func (r *remote) where() (*controlAnswer, error) {
	ctx, cancel := context.WithTimeout(r.ctx, r.timeout)
	defer cancel()
	answer, err := r.control(ctx, map[string]any{"do": "where"})
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return nil, fmt.Errorf("the server of %s does not answer on its control socket within %v", r.dir, r.timeout)
	case errors.Is(err, context.Canceled):
		return nil, errors.New("interrupted")
	case errors.Is(err, errNoControl) && !r.named:
		return &controlAnswer{}, nil
	case err != nil: // another server must not take its place
		return nil, fmt.Errorf("%w; or name the server by its URL", err)
	}
	return answer, nil
}

// absolute returns the path of a file that the server is to write.
func absolute(path string) (string, error) {
	if path == "" {
		return "", usageError(errors.New("the name of a directory is empty"))
	}
	abs, err := filepath.Abs(path)
	if err == nil {
		var real string
		if real, err = filepath.EvalSymlinks(filepath.Dir(abs)); err == nil {
			abs = filepath.Join(real, filepath.Base(abs))
		}
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	return abs, nil
}
