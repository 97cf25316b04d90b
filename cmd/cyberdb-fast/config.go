package main

import (
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"cyberdb-fast/loop"
	"cyberdb-fast/persist"
)

const (
	defaultHost = "127.0.0.1"
	defaultPort = 9980
	defaultDir  = "./cyberdb-data"
	defaultFile = "data.cdb"

	defaultCycle = 300 * time.Second

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
	printLog   bool
	cpuProfile string // path; "": none
	withStdin  bool   // stop when standard input ends

	file    string // of --config
	version bool
}

// legacyFlags are about CyberDB's own protocol.
type legacyFlags struct{ on, insecure, opaque bool }

// flagSet is the flags, in the groups in which --help shows them.
type flagSet struct {
	*pflag.FlagSet
	groups []flagGroup
}

type flagGroup struct {
	title string
	flags *pflag.FlagSet
}

// newFlags returns the flags and the config that they fill, which has the defaults.
func newFlags() (*flagSet, *config) {
	cfg := &config{
		host:     defaultHost,
		port:     defaultPort,
		unixMode: loop.DefaultUnixMode,
		maxConns: loop.DefaultMaxConns,
		dir:      defaultDir,
		dataFile: defaultFile,
		cycle:    defaultCycle,
		fsync:    persist.EverySecond,
	}
	all := &flagSet{FlagSet: newGroup()}
	all.Usage = func() {}

	all.listening(cfg)
	all.limits(cfg)
	all.data(cfg)
	all.other(cfg)
	for _, group := range all.groups {
		all.AddFlagSet(group.flags)
	}
	return all, cfg
}

// listening adds the flags that say which clients may connect, and how.
func (f *flagSet) listening(cfg *config) {
	g := f.group("Listening")
	g.StringVarP(
		&cfg.host,
		"host",
		"H",
		cfg.host,
		"address to listen on; 0.0.0.0 means all, \"\" means none (needs --unix)",
	)
	g.VarP(&number{&cfg.port, 0, 65535}, "port", "p", "TCP port; 0 lets the system choose")
	g.StringVar(&cfg.unix, "unix", "", "`path` of a Unix socket to listen on as well")
	g.Var(
		&permissions{&cfg.unixMode},
		"unix-mode",
		"permissions of the socket file: 0660 lets its group connect, 0666 all users of this machine",
	)
	g.Var(
		&networks{&cfg.allow},
		"allow",
		"networks and addresses that may connect over TCP: 10.0.0.0/8,::1 (default any; with --encrypt 127.0.0.1,::1)",
	)
	g.BoolFunc("encrypt", "encrypt all connections; clients use cyberdbs: and unixs: URLs", onOff(&cfg.encrypt))

	g.BoolFunc(
		"legacy",
		"also serve CyberDB 0.9.3 (Python) clients on this machine; with --encrypt those that encrypt. Their "+
			"protocol is insecure",
		onOff(&cfg.legacy.on),
	)
	g.BoolFunc(
		"legacy-insecure",
		"... and those on other machines: an eavesdropper on the network learns the password",
		onOff(&cfg.legacy.insecure),
	)

	g.BoolFunc(
		"keep-opaque",
		"... and store objects of their own classes as opaque bytes: reading one runs its code in the client",
		onOff(&cfg.legacy.opaque),
	)
}

// limits adds the flags that limit what clients use.
func (f *flagSet) limits(cfg *config) {
	g := f.group("Limits")
	g.VarP(&number{&cfg.maxConns, 1, maxConnsLimit}, "max-con", "c", "maximum number of connections")
	g.Var(
		&idleTime{&cfg.idle},
		"timeout",
		"close a connection that is idle for this `time`, 900 (seconds) or 15m (default never)",
	)
	g.Var(
		&size{&cfg.memory, minMemory},
		"max-memory",
		"refuse to store more once this much memory is used: 512MiB or 4GiB (default no limit)",
	)
	g.Var(
		&eviction{&cfg.evictAll},
		"eviction",
		"what makes room when --max-memory is used: none, or all: entries of any dicts that are not used",
	)
	g.Var(&number{&cfg.eventLoops, 0, maxEventLoops}, "event-loops", "number of event loops; 0 chooses for the machine")
}

// data adds the flags that say what is stored, and where.
func (f *flagSet) data(cfg *config) {
	g := f.group("Data and password")
	g.StringVar(&cfg.dir, "dir", cfg.dir, "data `directory`; created if missing")
	g.StringVar(
		&cfg.dataFile,
		"file",
		cfg.dataFile,
		"data `file`, loaded at the start and saved to; in --dir unless it is a path",
	)
	g.Var(
		&idleTime{&cfg.cycle},
		"cycle",
		"save this often, 300 (seconds) or 5m, if anything has changed; 0 saves only on demand and at the end",
	)
	g.Var(
		&fsyncPolicy{&cfg.fsync},
		"fsync",
		"when changes are synced to disk: before each reply (always), every second (everysec), or left to the "+
			"system (no)",
	)
	g.BoolFunc(
		"no-journal",
		"write no journal: changes since the last save are lost if the process is killed",
		onOff(&cfg.noJournal),
	)
	g.BoolFunc(
		"repair",
		"start with what is readable of damaged files; the rest is kept under names that end in .damaged",
		onOff(&cfg.repair),
	)
	g.BoolFunc("exit-on-io-error", "exit when the disk fails, instead of serving reads", onOff(&cfg.exitOnIOError))
	g.Var(
		&textFlag{&cfg.password.flags.file, "file"},
		"password-file",
		"`file` with the password; without a password, a random one is generated and stored in the data directory",
	)
	g.Var(
		&textFlag{&cfg.password.flags.text, "text"},
		"password",
		"the password; the process list shows it to all users of this machine",
	)
}

// other adds the other flags.
func (f *flagSet) other(cfg *config) {
	g := f.group("Other")
	g.StringVar(
		&cfg.file,
		"config",
		"",
		"`file` of \"flag = value\" lines, and password = ...; flags and environment override it",
	)
	g.BoolFunc("print-log", "log every request", onOff(&cfg.printLog))
	g.StringVar(&cfg.cpuProfile, "cpu-profile", "", "write a CPU profile to this `file`, for go tool pprof")
	g.BoolFunc(
		"end-with-stdin",
		"stop when standard input ends: for programs that run the server as a child process",
		onOff(&cfg.withStdin),
	)
	g.BoolVarP(&cfg.version, "version", "v", false, "print the version")
	g.BoolP("help", "h", false, "print this help") // cobra looks at it
}

func newGroup() *pflag.FlagSet {
	flags := pflag.NewFlagSet("cyberdb-fast", pflag.ContinueOnError)
	flags.SortFlags = false
	return flags
}

func (f *flagSet) group(title string) *pflag.FlagSet {
	flags := newGroup()
	f.groups = append(f.groups, flagGroup{title, flags})
	return flags
}

// usage returns the text of --help.
func (f *flagSet) usage(root *cobra.Command) string {
	var b strings.Builder
	b.WriteString("Usage: cyberdb-fast [flags]\n       cyberdb-fast COMMAND ...\n\n" +
		"Serves tables that are Python dicts and lists. All flags are optional.\n")
	for _, group := range root.Groups() {
		if names := commandList(root, group.ID); names != "" {
			fmt.Fprintf(&b, "\n%s:\n%s", group.Title, names)
		}
	}
	for _, group := range f.groups {
		fmt.Fprintf(&b, "\n%s:\n%s", group.title, group.flags.FlagUsages())
	}
	b.WriteString("\nEnvironment:\n" +
		"  CYBERDB_PASSWORD        the password\n" +
		"  CYBERDB_PASSWORD_FILE   file with the password\n" +
		"  CREDENTIALS_DIRECTORY   set by systemd: the file cyberdb-password in it has the password\n" +
		"\nFlags override the environment, which overrides the --config file.\n")
	return b.String()
}

// complete adds what the environment and the configuration file set to what the flags have set.
//
// Errors: one line each, which says what to do.
func (f *flagSet) complete(cfg *config, env func(string) (string, bool)) error {
	cfg.password.readEnv(env)
	if f.Changed("config") {
		if err := f.readFile(cfg); err != nil {
			return err
		}
	}
	return cfg.check()
}

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
	if !c.reachedFromElsewhere() {
		return nil
	}
	if c.legacy.on && !c.legacy.insecure {
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
	return fmt.Errorf(
		"--host %s can be reached from other machines, but the password was generated here: "+
			"list the clients' addresses with --allow, or set a password with --password-file",
		c.host,
	)
}

// dataPath returns the path of the data file: in the data directory, unless --file is a path.
func (c *config) dataPath(dir *dataDir) string {
	if strings.ContainsRune(c.dataFile, filepath.Separator) {
		return c.dataFile
	}
	return dir.file(c.dataFile)
}

// reachedFromElsewhere reports whether other machines can connect.
func (c *config) reachedFromElsewhere() bool {
	if c.host == "" {
		return false
	}
	addr, err := net.ResolveTCPAddr("tcp", c.tcpAddr())
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
