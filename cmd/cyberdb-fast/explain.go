package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strings"
	"syscall"

	"cyberdb-fast/codec/legacy"
	"cyberdb-fast/loop"
	"cyberdb-fast/persist"
)

// explainStart turns an error of loop.Start into one line that says what to do.
func explainStart(err error, cfg *config, file *dataFile) error {
	switch {
	case errors.Is(err, loop.ErrData):
		return fmt.Errorf("%w: %s", err, dataAdvice(err, file))
	case errors.Is(err, legacy.ErrPassword), errors.Is(err, legacy.ErrKey):
		return fmt.Errorf("--legacy: %w: choose such a password, or remove --legacy", err)
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return fmt.Errorf("--host %s: no such host; give an address of this machine, such as 127.0.0.1", cfg.host)
	}
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return err
	}
	address, tcp := listenAddress(err, cfg)
	return fmt.Errorf("cannot listen on %s: %w: %s", address, errno, listenAdvice(errno, tcp))
}

// dataAdvice says what to do about files that cannot be used.
func dataAdvice(err error, file *dataFile) string {
	switch {
	case errors.Is(err, persist.ErrDamaged):
		return damageAdvice(err, file)
	case errors.Is(err, persist.ErrMismatch):
		return "restore the file that belongs to the journal; or start with --no-journal, which ignores the " +
			"journal, or with --repair, which quarantines it"
	case errors.Is(err, persist.ErrForeign):
		return "not written by cyberdb-fast; choose another name with --file"
	case errors.Is(err, persist.ErrVersion):
		return "use the program that wrote it, or a later one"
	case errors.Is(err, fs.ErrNotExist) && file.path == "":
		return "make the link lead to a file, or remove it"
	case errors.Is(err, persist.ErrNotRegular):
		return "move it away, or choose another with --file or --dir"
	case errors.Is(err, persist.ErrLocked):
		return "stop that server, or choose another file with --file"
	case persist.NoRoom(err):
		return "free disk space, then start again"
	}
	return "choose another with --file or --dir"
}

// damageAdvice says what to do about a damaged data file, or journal.
func damageAdvice(err error, file *dataFile) string {
	var damage *persist.DamageError
	if errors.As(err, &damage) && strings.HasPrefix(damage.File, file.journal) {
		return "start with --repair to use what is readable of the journal"
	}
	return fmt.Sprintf("restore a copy of the file; or write what is readable to a new file "+
		"with `cyberdb-fast check %s --salvage NEW.cdb`, and start with that", file.path)
}

// listenAddress returns the address that an error of listening is about, and whether it is a TCP
// address.
func listenAddress(err error, cfg *config) (address string, tcp bool) {
	var op *net.OpError
	if errors.As(err, &op) && op.Net != "unix" {
		return cfg.tcpAddr(), true
	}
	return cfg.unix, false
}

func listenAdvice(errno syscall.Errno, tcp bool) string {
	switch {
	case errno == syscall.EADDRINUSE && tcp:
		return "another program uses this port; stop it, or choose another port with --port"
	case errno == syscall.EADDRINUSE:
		return "another server uses this path; stop it, or choose another with --unix"
	case errno == syscall.EADDRNOTAVAIL:
		return "this machine does not have that address; give one of its own with --host, or 0.0.0.0 for all of them"
	case errno == syscall.EACCES && tcp:
		return "ports below 1024 need privileges; choose another with --port"
	case tcp:
		return "choose another address with --host and --port"
	default:
		return "choose a path in a directory that you may write to with --unix"
	}
}
