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

	maxConnsLimit = 1 << 20 // the most descriptors that Linux gives one process by default
	maxEventLoops = 256
	minMemory     = 64 << 20
	// longest path of a Unix socket on every system: the shortest sun_path is 104 bytes with its
	// end
	maxSocketBytes = 103
)

// config is what the flags, the environment and the configuration file say.
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
	withStdin  bool   // ends when standard input does

	file          string // of --config
	version, help bool
}

// legacyFlags are about CyberDB's own wire.
type legacyFlags struct{ on, insecure, opaque bool }

// flagSet is the flags in the groups in which --help shows them.
type flagSet struct {
	*pflag.FlagSet
	groups []flagGroup
}

type flagGroup struct {
	title string
	flags *pflag.FlagSet
}

// newFlags returns the flags and the config that they fill, which holds the defaults.
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

// listening adds the flags that say who may connect, and how.
func (f *flagSet) listening(cfg *config) {
	g := f.group("Listening")
	g.StringVarP(
		&cfg.host,
		"host",
		"H",
		cfg.host,
		"address to listen on; 0.0.0.0 is every one, \"\" is none (needs --unix)",
	)
	g.VarP(&number{&cfg.port, 0, 65535}, "port", "p", "TCP port; 0 lets the system choose")
	g.StringVar(&cfg.unix, "unix", "", "`path` of a Unix socket to listen on as well")
	g.Var(
		&permissions{&cfg.unixMode},
		"unix-mode",
		"permissions of that socket's file: 0660 lets its group connect, 0666 everybody on this machine",
	)
	g.Var(
		&networks{&cfg.allow},
		"allow",
		"who may connect by TCP, as networks or addresses: 10.0.0.0/8,::1 (default anyone; with --encrypt 127.0.0.1,::1)",
	)
	g.BoolFunc("encrypt", "encrypt all connections; clients do so by cyberdbs: and unixs: URLs", onOff(&cfg.encrypt))

	g.BoolFunc(
		"legacy",
		"answer programs of CyberDB 0.9.3 (Python) too, on this machine; with --encrypt those that encrypt. CyberDB's own wire protects nothing",
		onOff(&cfg.legacy.on),
	)
	g.BoolFunc(
		"legacy-insecure",
		"... and those on other machines: who listens there learns the password",
		onOff(&cfg.legacy.insecure),
	)

	g.BoolFunc(
		"keep-opaque",
		"... with objects of their own classes, kept unopened: reading one runs its code in the client",
		onOff(&cfg.legacy.opaque),
	)
}

// limits adds the flags that limit what clients use.
func (f *flagSet) limits(cfg *config) {
	g := f.group("Limits")
	g.VarP(&number{&cfg.maxConns, 1, maxConnsLimit}, "max-con", "c", "most connections at once")
	g.Var(
		&idleTime{&cfg.idle},
		"timeout",
		"close a connection that sends nothing for this `time`, 900 (seconds) or 15m (default never)",
	)
	g.Var(
		&size{&cfg.memory, minMemory},
		"max-memory",
		"refuse to store more once this much memory is used, 512MiB or 4GiB (default no limit)",
	)
	g.Var(&number{&cfg.eventLoops, 0, maxEventLoops}, "event-loops", "event loops; 0 is chosen for the machine")
}

// data adds the flags that say what is kept, and where.
func (f *flagSet) data(cfg *config) {
	g := f.group("Data and password")
	g.StringVar(&cfg.dir, "dir", cfg.dir, "`directory` for what outlives a restart; made if missing")
	g.StringVar(
		&cfg.dataFile,
		"file",
		cfg.dataFile,
		"`file` that is loaded at start and saved to, in --dir unless it is a path",
	)
	g.Var(
		&idleTime{&cfg.cycle},
		"cycle",
		"save to the file this often, 300 (seconds) or 5m, if anything has changed; 0 is only on demand and at the end",
	)
	g.Var(
		&fsyncPolicy{&cfg.fsync},
		"fsync",
		"when changes are on disk: before each reply (always), each second (everysec), when the system likes (no)",
	)
	g.BoolFunc(
		"no-journal",
		"keep no journal: what was changed since the last save is lost if the process is killed",
		onOff(&cfg.noJournal),
	)
	g.BoolFunc(
		"repair",
		"start with what is left of damaged files; what is not used is kept under names that end in .damaged",
		onOff(&cfg.repair),
	)
	g.BoolFunc("exit-on-io-error", "end when the disk fails, instead of answering reads", onOff(&cfg.exitOnIOError))
	g.Var(
		&textFlag{&cfg.password.flags.file, "file"},
		"password-file",
		"`file` with the password; without any a random one is made and kept in the data directory",
	)
	g.Var(
		&textFlag{&cfg.password.flags.text, "text"},
		"password",
		"the password; the list of processes shows it to everybody on this machine",
	)
}

// other adds the other flags.
func (f *flagSet) other(cfg *config) {
	g := f.group("Other")
	g.StringVar(
		&cfg.file,
		"config",
		"",
		"`file` of \"flag = value\" lines, and password = ...; flags and environment win over it",
	)
	g.BoolFunc("print-log", "log every request", onOff(&cfg.printLog))
	g.StringVar(&cfg.cpuProfile, "cpu-profile", "", "write a CPU profile to this `file`, for go tool pprof")
	g.BoolFunc(
		"end-with-stdin",
		"stop when standard input ends: for programs that run the server as their child",
		onOff(&cfg.withStdin),
	)
	g.BoolFuncP("version", "v", "print the version", onOff(&cfg.version))
	g.BoolFuncP("help", "h", "print this", onOff(&cfg.help))
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
func (f *flagSet) usage() string {
	var b strings.Builder
	b.WriteString(
		"Usage: cyberdb-fast [flags]\n       " + checkUsage + "\n       " + exportUsage + "\n       " + importUsage + "\n\nServes dict and list tables. No flag is needed.\n",
	)
	for _, group := range f.groups {
		fmt.Fprintf(&b, "\n%s:\n%s", group.title, group.flags.FlagUsages())
	}
	b.WriteString("\nEnvironment:\n" +
		"  CYBERDB_PASSWORD        the password\n" +
		"  CYBERDB_PASSWORD_FILE   file with the password\n" +
		"  CREDENTIALS_DIRECTORY   of systemd: the password is in its file cyberdb-password\n" +
		"\nFlags win over the environment, the environment over the --config file.\n")
	return b.String()
}

// read fills cfg from the command line, the environment and the configuration file.
//
// Errors: one line each, which says what to do.
func (f *flagSet) read(args []string, cfg *config, env func(string) (string, bool)) error {
	if err := f.Parse(args); err != nil {
		return fmt.Errorf("%w; --help lists the flags", err)
	}
	if f.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q: every setting is a flag; --help lists them", f.Arg(0))
	}
	if cfg.help || cfg.version {
		return nil
	}
	cfg.password.readEnv(env)
	if f.Changed("config") {
		if err := f.readFile(cfg); err != nil {
			return err
		}
	}
	return cfg.check()
}

// check looks at settings that depend on each other.
func (c *config) check() error {
	switch {
	case c.host == "" && c.unix == "":
		return fmt.Errorf("nothing to listen on: give an address with --host or a socket with --unix")
	case len(c.unix) > maxSocketBytes:
		return fmt.Errorf(
			"--unix: the path has %d bytes, a socket's may have %d: choose a shorter one",
			len(c.unix),
			maxSocketBytes,
		)
	case c.legacy.insecure && !c.legacy.on:
		return fmt.Errorf("--legacy-insecure: needs --legacy")
	case c.legacy.opaque && !c.legacy.on:
		return fmt.Errorf("--keep-opaque: needs --legacy")
	case c.dir == "":
		return fmt.Errorf("--dir: needs the name of a directory")
	case c.dataFile == "" || strings.HasSuffix(c.dataFile, "/"):
		return fmt.Errorf("--file: needs the name of a file")
	case c.noJournal && c.fsync == persist.Always:
		return fmt.Errorf("--fsync always needs the journal: leave out --no-journal")
	}
	return nil
}

// checkReach refuses to be reached from other machines with a password that was made here, unless
// the settings name who may come, and by CyberDB's own wire, unless they say that it is known to
// protect nothing.
func (c *config) checkReach(secret password) error {
	if !c.reachedFromElsewhere() {
		return nil
	}
	if c.legacy.on && !c.legacy.insecure {
		return fmt.Errorf(
			"--legacy on --host %s: CyberDB's own wire shows the password to everybody on the network, with --encrypt too: "+
				"keep to 127.0.0.1, or add --legacy-insecure if nobody can listen there",
			c.host,
		)
	}
	if !secret.own || len(c.allow) > 0 {
		return nil
	}
	return fmt.Errorf(
		"--host %s is reached from other machines, and nobody there knows the password that was made here: "+
			"name who may come with --allow, or give a password with --password-file",
		c.host,
	)
}

// dataPath returns the path of the data file: in the data directory, unless it is a path.
func (c *config) dataPath(dir *dataDir) string {
	if strings.ContainsRune(c.dataFile, filepath.Separator) {
		return c.dataFile
	}
	return dir.file(c.dataFile)
}

// reachedFromElsewhere says whether other machines can connect.
func (c *config) reachedFromElsewhere() bool {
	if c.host == "" {
		return false
	}
	addr, err := net.ResolveTCPAddr("tcp", c.tcpAddr())
	return err == nil && !addr.IP.IsLoopback() // a name that is none is found out by listening
}

// legacyWarnings says what CyberDB's own wire does not do.
func (c *config) legacyWarnings() []string {
	switch {
	case !c.legacy.on:
		return nil
	case c.encrypt:
		return []string{
			"--legacy: CyberDB's encryption protects nothing: it has one key stream for all messages, and the password can be read from one recording. " +
				"Move clients to the native protocol (docs/MIGRATION.md)",
		}
	}
	return []string{
		"--legacy: CyberDB's clients send the password in clear with every request. Move them to the native protocol (docs/MIGRATION.md)",
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
