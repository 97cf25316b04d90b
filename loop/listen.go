package loop

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// listen opens the configured listeners and returns them, TCP first. What it opened is closed again
// if one of them fails. The Unix socket is opened first: a server that can be reached by TCP can be
// reached by its Unix socket.
func listen(cfg *Config) (all []net.Listener, err error) {
	defer func() {
		if err != nil {
			for _, ln := range all {
				_ = ln.Close()
			}
		}
	}()
	if cfg.Unix != "" {
		ln, err := listenUnix(cfg.Unix, cfg.UnixMode)
		if err != nil {
			return nil, fmt.Errorf("listen on %s: %w", cfg.Unix, err)
		}
		all = append(all, ln)
	}
	if cfg.Addr != "" {
		ln, err := new(net.ListenConfig).Listen(context.Background(), "tcp", cfg.Addr)
		if err != nil {
			return all, fmt.Errorf("listen on %s: %w", cfg.Addr, err)
		}
		all = slices.Insert(all, 0, ln)
	}
	return all, nil
}

// listenUnix opens a Unix socket with its mode from the first moment. A socket that no server
// listens on any more is replaced.
func listenUnix(path string, mode fs.FileMode) (net.Listener, error) {
	if err := removeAbandoned(path); err != nil {
		return nil, err
	}
	old := unix.Umask(0o777 &^ int(mode.Perm()))
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	unix.Umask(old)
	if err != nil {
		return nil, err
	}
	ln.SetUnlinkOnClose(false)
	made, err := os.Lstat(path)
	if err != nil { // an abstract socket, or another program has removed the file
		made = nil
	}
	return &unixListener{UnixListener: ln, path: path, made: made}, nil
}

// removeAbandoned removes a socket that no server listens on. Errors: EADDRINUSE if one does.
func removeAbandoned(path string) error {
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Type() != os.ModeSocket {
		return nil //nolint:nilerr // listening says what is wrong with the path
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		_ = conn.Close()
		return unix.EADDRINUSE
	}
	if errors.Is(err, unix.ECONNREFUSED) {
		return removeSame(path, info)
	}
	return nil
}

// unixListener removes its socket's file when it is closed, but not the file of another server that
// has taken the path since.
type unixListener struct {
	*net.UnixListener
	path string
	made fs.FileInfo // the file; nil: there is none
	once sync.Once
}

// Close implements net.Listener. The file goes first: while it is there, a server that starts finds
// this one listening, and does not replace it.
func (l *unixListener) Close() (err error) {
	l.once.Do(func() {
		if l.made != nil {
			err = removeSame(l.path, l.made)
		}
	})
	return errors.Join(err, l.UnixListener.Close())
}

// removeSame removes a file if path still leads to it.
func removeSame(path string, file fs.FileInfo) error {
	now, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(now, file) {
		return nil
	}
	if err != nil {
		return err
	}
	return os.Remove(path)
}

// spareDescriptors are needed besides one for each connection: for listeners, event loops, files,
// the second one of a connection while its event loop takes it, maxEvicting evicted connections,
// and minRefusing that are being refused. Clients cannot use up the others: without one, the
// journal breaks.
const spareDescriptors = 128

// CheckDescriptors raises this process's limit of open files to what maxConns connections need, and
// others more, for what is not the server's.
//
// Errors: names the hard limit and what to do if that is not enough.
func CheckDescriptors(maxConns, others int) error {
	spare := spareDescriptors + others
	need := uint64(maxConns + spare)
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("reading the limit of open files: %w", err)
	}
	if limit.Cur >= need {
		return nil
	}
	if limit.Max < need {
		return fmt.Errorf(
			"%d connections need %d open files, but the limit is %d: raise it (ulimit -n %d) or lower --max-con to %d",
			maxConns,
			need,
			limit.Max,
			need,
			max(int64(limit.Max)-int64(spare), 1),
		)
	}
	limit.Cur = limit.Max
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("raising the limit of open files to %d: %w", limit.Max, err)
	}
	return nil
}

// openFiles returns how many files this process may have open, 0 if that is not known.
func openFiles() uint64 {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return limit.Cur
}

// mayRefuse returns how many connections at once may get the reason for their refusal, in a process
// that may have so many open files: as many as there are descriptors that nothing else needs.
func mayRefuse(maxConns, others int, files uint64) int {
	need := uint64(maxConns + spareDescriptors + others)
	return minRefusing + int(min(max(files, need)-need, maxRefusing-minRefusing))
}
