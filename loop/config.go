package loop

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"log/slog"
	"net/netip"
	"runtime"
	"time"

	"cyberdb-fast/codec/secure"
	"cyberdb-fast/loop/engine"
	"cyberdb-fast/persist"
	"cyberdb-fast/shardmap"
)

// Defaults of Config.
const (
	DefaultMaxConns = 10000
	DefaultUnixMode = fs.FileMode(0o600)
)

// Loopback is the default of Config.Allow for a server that encrypts: this machine.
var Loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("::1/128")}

// Config says how a server listens and which clients it serves. The zero value of a field means its
// default; Addr or Unix must be set.
type Config struct {
	Addr     string      // TCP address, "127.0.0.1:9980"; port 0 lets the system choose; "": no TCP
	Unix     string      // path of a Unix socket; "": none
	UnixMode fs.FileMode // permissions of the socket; default 0600

	MaxConns    int            // most connections at once; default DefaultMaxConns
	Allow       []netip.Prefix // networks that may connect by TCP; empty: all, but with Encrypt only this machine
	IdleTimeout time.Duration  // a connection without a request for this long is closed; 0: never

	// MaxMemoryBytes is how much memory the server may use, for the tables and for everything else,
	// before it refuses requests that add data (codec.StatusOverloaded); 0: no limit. It limits the
	// process's garbage collector too.
	MaxMemoryBytes int64
	// EvictAll evicts entries of any dicts, those that are not used, before MaxMemoryBytes is
	// reached. Lists stay: when there is nothing else, requests are refused.
	EvictAll bool

	Password string // every client must know it
	// salt and cost of the key made from Password; zero: a random salt at secure.DefaultLogN
	KDF     secure.KDF
	Encrypt bool // connections are encrypted; clients must want the same

	// Legacy answers CyberDB's own wire as well, encrypted if Encrypt is set. That wire protects
	// nothing: only clients on this machine may speak it, unless LegacyInsecure is set.
	Legacy, LegacyInsecure bool
	// LegacyOpaque keeps objects of classes that VALUES.md does not list, from clients of CyberDB's
	// wire, unopened, and gives them back. Python executes such an object's code when it reads the
	// object: a client that knows the password can then run code in the others.
	LegacyOpaque bool

	EventLoops int          // number of event loops; 0: chosen for the machine
	Logger     *slog.Logger // default: slog.Default()
	LogRequest bool         // log every request when it is answered: peer, opcode, table, status
	Version    string       // shown by INFO
	Thresholds Thresholds   // of the logs of slow and large requests; Server.SetThresholds changes them

	OtherDescriptors int // open files that the rest of the program may need besides the server's

	DroppedLogLines func() uint64 // how many lines Logger has dropped, for INFO; nil: it drops none

	// Data says where the tables are kept on disk, and how. Without Data.File they are kept in
	// memory only.
	Data Data

	// Change changes settings of the running server, by the names of flags, as a line of the
	// control socket asks; nil settings: to those that files now have. Nil: such lines are refused.
	Change func(srv *Server, settings map[string]string) (Changes, error)

	// NewLog makes a log of what requests change, for an engine.Replayer: one for each event loop,
	// and as many as there are long requests at a time. Nil: nothing is logged but to the journal.
	// It is not called if there is a journal. With NewLog the first LSN is 1, as an
	// engine.Replayer on an empty store expects; without it, that of a new database is random.
	NewLog func() shardmap.Log

	// Commands replaces the protocol's command table, for a program that removes commands: an
	// opcode whose row is empty is unknown. The server copies it. Nil: engine.Protocol().
	Commands *engine.Commands
}

// Data says how tables outlive the server: in a .cdb file, saved now and then, and in a journal of
// every change since.
type Data struct {
	File    string // path of the .cdb file
	Journal string // path of the journal's directory; default: JournalDir(File)
	// the file is saved this often, if anything has changed; 0: only on demand and at the end
	Cycle         time.Duration
	Fsync         persist.Policy // when the journal is synced
	SegmentBytes  int64          // of the journal's files; default: persist.Options.SegmentBytes
	NoJournal     bool           // what is changed after a save is lost with the process
	Repair        bool           // start with what is left of damaged files, and quarantine what is not used
	ExitOnIOError bool           // end, instead of serving reads, when the journal cannot be written any more

	// Control is the path of a Unix socket, for the owner of the process alone, that takes requests
	// to save to and load from other files; "": none.
	Control string

	FS       persist.FS                           // default: persist.OS
	Progress func(file string, done, total int64) // of loading, in bytes; nil: it is not reported
}

// JournalDir returns the directory of the journal that belongs to a .cdb file.
func JournalDir(file string) string { return persist.JournalName(file) }

func (cfg Config) withDefaults() (Config, error) {
	if cfg.Addr == "" && cfg.Unix == "" {
		return cfg, errors.New("neither a TCP address nor a Unix socket to listen on")
	}
	if cfg.UnixMode == 0 {
		cfg.UnixMode = DefaultUnixMode
	}
	if cfg.MaxConns == 0 {
		cfg.MaxConns = DefaultMaxConns
	}
	if cfg.EventLoops == 0 {
		cfg.EventLoops = DefaultEventLoops()
	}
	if cfg.Data.FS == nil {
		cfg.Data.FS = persist.OS
	}
	if cfg.Data.Journal == "" {
		cfg.Data.Journal = JournalDir(cfg.Data.File)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.DroppedLogLines == nil {
		cfg.DroppedLogLines = func() uint64 { return 0 }
	}
	if cfg.KDF == (secure.KDF{}) {
		cfg.KDF.LogN = secure.DefaultLogN
		_, _ = rand.Read(cfg.KDF.Salt[:]) // never fails: crypto/rand ends the process instead
	}
	return cfg, nil
}

// DefaultEventLoops returns the default of Config.EventLoops: one for two processors, at most 16.
// The other half of the processors is for the kernel, long requests and, often, the clients. On two
// processors that server and clients shared, requests sent one at a time reached 0.70 of Redis's
// throughput with two loops and 0.94 with one (BENCHMARKS.md).
func DefaultEventLoops() int { return min(max(runtime.NumCPU()/2, 1), 16) }
