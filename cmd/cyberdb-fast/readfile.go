package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"cyberdb-fast/persist"
)

// pipeTime is how long the command waits for a small file that is a pipe.
const pipeTime = 10 * time.Second

// readText reads a small file of settings. It may also be a pipe that a shell has made, /dev/fd/63
// of <(command), or standard input.
//
// Errors: persist.ErrNotRegular for a named pipe, a directory, a device or a socket; that it has
// more than limit bytes; those of the system.
func readText(name string, limit int) (string, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if errors.Is(err, unix.ENXIO) {
		return "", persist.NotRegular(name, fs.ModeSocket)
	}
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return "", err
	case info.Mode().Type() == fs.ModeNamedPipe && isShellPipe(name):
		if err := f.SetReadDeadline(time.Now().Add(pipeTime)); err != nil {
			return "", err
		}
	case !info.Mode().IsRegular():
		return "", persist.NotRegular(name, info.Mode())
	}
	text, err := io.ReadAll(io.LimitReader(f, int64(limit)+1))
	if err == nil && len(text) > limit {
		err = fmt.Errorf("%s is longer than %d bytes", name, limit)
	}
	return string(text), err
}

// isShellPipe reports whether a pipe was passed to the process, as opposed to a named one.
func isShellPipe(name string) bool {
	path, err := filepath.Abs(name)
	return err == nil &&
		(path == os.Stdin.Name() || strings.HasPrefix(path, "/dev/fd/") || strings.HasPrefix(path, "/proc/"))
}

// follow returns the path of the file that a symbolic link leads to, or the name itself if it is
// not one.
func follow(name string) (string, error) {
	info, err := os.Lstat(name)
	if err != nil || info.Mode().Type() != fs.ModeSymlink {
		return name, nil //nolint:nilerr // opening it reports the error
	}
	return persist.Resolve(name)
}

// openFile opens a regular file for reading, and returns its size. The name may be a symbolic link.
func openFile(name string) (f persist.File, size int64, err error) {
	path, err := follow(name)
	if err != nil {
		return nil, 0, err
	}
	if f, err = persist.OS.Open(path); err != nil {
		return nil, 0, err
	}
	if size, err = f.Size(); err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, size, nil
}
