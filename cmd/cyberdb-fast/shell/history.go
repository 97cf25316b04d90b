package shell

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Bounds of the history.
const (
	historyLines    = 1000
	historyLine     = 4 << 10   // longer lines are not kept
	historyFileSize = 512 << 10 // a longer file is cut to its last lines
)

// history is the file that has the lines of earlier sessions.
type history struct {
	file     *os.File // nil: nothing is kept
	password string
}

// historyPath returns the name of the file, in the user's state directory.
func historyPath() (string, error) {
	dir := os.Getenv("XDG_STATE_HOME")
	if !filepath.IsAbs(dir) {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", err
		}
		dir = filepath.Join(home, ".local", "state")
	}
	return filepath.Join(dir, "cyberdb-fast", "history"), nil
}

// openHistory opens the history and returns its last lines. Without one the shell works all the
// same.
func openHistory(path, password string) (h *history, lines []string, err error) {
	h = &history{password: password}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return h, nil, err
	}
	lines, size, err := lastLines(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return h, nil, err
	}
	if size > historyFileSize {
		if err := rewrite(path, lines); err != nil {
			return h, lines, err
		}
	}
	h.file, err = os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		err = h.file.Chmod(0o600)
	}
	return h, lines, err
}

// lastLines returns the last lines of a file, and its size. It reads no more than the file may
// have.
func lastLines(path string) (lines []string, size int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() {
		return nil, 0, errors.New(path + " is not a regular file")
	}
	size = info.Size()
	from := bufio.NewReader(io.NewSectionReader(f, max(0, size-historyFileSize), historyFileSize))
	for {
		line, err := from.ReadString('\n')
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			lines = append(lines, line)
		}
		if err != nil {
			return lines[max(0, len(lines)-historyLines):], size, nil
		}
	}
}

// rewrite replaces the file by one with these lines.
func rewrite(path string, lines []string) error {
	f, err := os.CreateTemp(filepath.Dir(path), "history-*")
	if err != nil {
		return err
	}
	var text bytes.Buffer
	for _, line := range lines {
		text.WriteString(line + "\n")
	}
	_, err = f.Write(text.Bytes())
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// urlPassword finds the password of a URL.
var urlPassword = regexp.MustCompile(`://[^/@\s]*:[^@\s]*@`)

// keeps reports whether a line may be kept: it is not blank or long, and has no password.
func (h *history) keeps(line string) bool {
	secret := h.password != "" && strings.Contains(line, h.password) || urlPassword.MatchString(line)
	return strings.TrimSpace(line) != "" && len(line) <= historyLine && !secret
}

// add keeps a line that keeps allows.
func (h *history) add(line string) {
	if h.file != nil {
		_, _ = h.file.WriteString(line + "\n") // a full disk does not stop the shell
	}
}

func (h *history) close() {
	if h.file != nil {
		_ = h.file.Close()
	}
}
