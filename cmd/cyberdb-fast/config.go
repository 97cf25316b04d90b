package main

import (
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"cyberdb-fast/loop"
	"cyberdb-fast/persist"
)

const (
	defaultHost = "127.0.0.1"
	defaultPort = 9980
	defaultDir  = "./cyberdb-data"
	defaultFile = "data.cdb"

	defaultCycle = 300 * time.Second

	defaultSlow  = 10 * time.Millisecond
	defaultLarge = 1 << 20

	maxConnsLimit = 1 << 20 // the most descriptors that Linux gives a process by default
	maxEventLoops = 256
	minMemory     = 64 << 20
	// maxSocketBytes is the longest path of a Unix socket on every system: the shortest sun_path
	// has 104 bytes, including its end.
	maxSocketBytes = 103
)

// config has the settings from the flags, the environment and the configuration file.
type config struct {
	host     string
	port     int
	unix     string
	unixMode fs.FileMode
	allow    []netip.Prefix
	encrypt  bool
	legacy   legacyFlags
	maxConns int
	idle     time.Duration // 0: never
	memory   int64         // bytes; 0: no limit
	evictAll bool

	dir           string
	dataFile      string        // in dir, unless it is a path
	cycle         time.Duration // 0: never
	fsync         persist.Policy
	noJournal     bool
	repair        bool
	exitOnIOError bool

	password   passwordSource
	eventLoops int // 0: chosen for the machine
	log        logFlags
	http       string // address; "": none
	cpuProfile string // path; "": none
	withStdin  bool   // stop when standard input ends

	file    string // of --config
	version bool
}

// logFlags say what is logged, and how.
type logFlags struct {
	json                     bool // else text
	level                    slog.Level
	requests                 bool          // all of them
	slow                     time.Duration // 0: none is slow
	largeRequest, largeReply int64         // bytes; 0: none is large
}

// thresholds returns the thresholds of the lists of slow and large requests.
func (f *logFlags) thresholds() loop.Thresholds {
	return loop.Thresholds{
		SlowRequest: f.slow, LargeRequest: int(f.largeRequest), LargeReply: int(f.largeReply),
	}
}

// legacyFlags are about CyberDB's own protocol.
type legacyFlags struct{ on, insecure, opaque bool }

// check checks settings that depend on each other.
func (c *config) check() error {
	switch {
	case c.host == "" && c.unix == "":
		return fmt.Errorf("nothing to listen on: give an address with --host or a socket with --unix")
	case len(c.unix) > maxSocketBytes:
		return fmt.Errorf(
			"--unix: the path has %d bytes, but a socket's may have at most %d: choose a shorter one",
			len(c.unix),
			maxSocketBytes,
		)
	case c.legacy.insecure && !c.legacy.on:
		return fmt.Errorf("--legacy-insecure needs --legacy")
	case c.legacy.opaque && !c.legacy.on:
		return fmt.Errorf("--keep-opaque needs --legacy")
	case c.evictAll && c.memory == 0:
		return fmt.Errorf("--eviction all needs --max-memory")
	case c.dir == "":
		return fmt.Errorf("--dir: needs the name of a directory")
	case c.dataFile == "" || strings.HasSuffix(c.dataFile, "/"):
		return fmt.Errorf("--file: needs the name of a file")
	case c.noJournal && c.fsync == persist.Always:
		return fmt.Errorf("--fsync always needs the journal: remove --no-journal")
	}
	return nil
}

// checkReach returns an error if other machines can connect although the password was generated and
// --allow is not set. It also returns one if they could use CyberDB's own protocol without
// --legacy-insecure.
func (c *config) checkReach(secret password) error {
	if c.legacy.on && !c.legacy.insecure && reachedFromElsewhere(c.tcpAddr()) {
		return fmt.Errorf(
			"--legacy with --host %s: CyberDB's own protocol reveals the password to the network, even with "+
				"--encrypt: "+
				"use 127.0.0.1, or add --legacy-insecure if the network has no eavesdroppers",
			c.host,
		)
	}
	if !secret.own || len(c.allow) > 0 {
		return nil
	}
	open := ""
	switch {
	case reachedFromElsewhere(c.tcpAddr()):
		open = "--host " + c.host
	case reachedFromElsewhere(c.http):
		open = "--http " + c.http
	default:
		return nil
	}
	return fmt.Errorf(
		"%s can be reached from other machines, but the password was generated here: "+
			"list the clients' addresses with --allow, or set a password with --password-file",
		open,
	)
}

// dataPath returns the path of the data file: in the data directory, unless --file is a path.
func (c *config) dataPath(dir *dataDir) string {
	if strings.ContainsRune(c.dataFile, filepath.Separator) {
		return c.dataFile
	}
	return dir.file(c.dataFile)
}

// reachedFromElsewhere reports whether other machines can connect to an address; "" is none.
func reachedFromElsewhere(address string) bool {
	if address == "" {
		return false
	}
	addr, err := net.ResolveTCPAddr("tcp", address)
	return err == nil && !addr.IP.IsLoopback() // listening reports a bad name
}

// legacyWarnings warns about what CyberDB's own protocol does not protect.
func (c *config) legacyWarnings() []string {
	switch {
	case !c.legacy.on:
		return nil
	case c.encrypt:
		return []string{
			"--legacy: CyberDB's encryption is insecure: all messages use one key stream, and one recorded " +
				"connection reveals the password. " +
				"Move clients to the native protocol (docs/MIGRATION.md)",
		}
	}
	return []string{
		"--legacy: CyberDB's clients send the password in clear text with every request. Move them to the " +
			"native protocol (docs/MIGRATION.md)",
	}
}

// tcpAddr returns the TCP address to listen on, "" for none.
func (c *config) tcpAddr() string {
	if c.host == "" {
		return ""
	}
	host := strings.TrimSuffix(strings.TrimPrefix(c.host, "["), "]")
	return net.JoinHostPort(host, strconv.Itoa(c.port))
}
