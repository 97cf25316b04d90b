package main

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"cyberdb-fast/loop"
)

const (
	defaultHost = "127.0.0.1"
	defaultPort = 9980
	defaultDir  = "./cyberdb-data"

	maxConnsLimit  = 1 << 20 // the most descriptors that Linux gives one process by default
	maxEventLoops  = 256
	minMemory      = 64 << 20
	maxSocketBytes = 103 // longest path of a Unix socket on every system: the shortest sun_path is 104 bytes with its end
)

// config is what the flags, the environment and the configuration file say.
type config struct {
	host     string
	port     int
	unix     string
	allow    []netip.Prefix
	encrypt  bool
	maxConns int
	idle     time.Duration // 0: never
	memory   int64         // bytes; 0: no limit

	dir        string
	password   passwordSource
	eventLoops int // 0: chosen for the machine
	printLog   bool
	withStdin  bool // ends when standard input does

	file          string // of --config
	version, help bool
}

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
		host: defaultHost, port: defaultPort, maxConns: loop.DefaultMaxConns, dir: defaultDir,
	}
	all := &flagSet{FlagSet: newGroup()}
	all.Usage = func() {}

	f := all.group("Listening")
	f.StringVarP(&cfg.host, "host", "H", cfg.host, "address to listen on; 0.0.0.0 is every one, \"\" is none (needs --unix)")
	f.VarP(&number{&cfg.port, 0, 65535}, "port", "p", "TCP port; 0 lets the system choose")
	f.StringVar(&cfg.unix, "unix", "", "`path` of a Unix socket to listen on as well")
	f.Var(&networks{&cfg.allow}, "allow", "who may connect by TCP, as networks or addresses: 10.0.0.0/8,::1 (default anyone; with --encrypt 127.0.0.1,::1)")
	f.BoolFunc("encrypt", "encrypt all connections; clients do so by cyberdbs: and unixs: URLs", onOff(&cfg.encrypt))

	f = all.group("Limits")
	f.VarP(&number{&cfg.maxConns, 1, maxConnsLimit}, "max-con", "c", "most connections at once")
	f.Var(&idleTime{&cfg.idle}, "timeout", "close a connection that sends nothing for this `time`, 900 (seconds) or 15m (default never)")
	f.Var(&size{&cfg.memory, minMemory}, "max-memory", "refuse to store more once this much memory is used, 512MiB or 4GiB (default no limit)")
	f.Var(&number{&cfg.eventLoops, 0, maxEventLoops}, "event-loops", "event loops; 0 is chosen for the machine")

	f = all.group("Data and password")
	f.StringVar(&cfg.dir, "dir", cfg.dir, "`directory` for what outlives a restart; made if missing")
	f.Var(&textFlag{&cfg.password.flags.file, "file"}, "password-file", "`file` with the password; without any a random one is made and kept in the data directory")
	f.Var(&textFlag{&cfg.password.flags.text, "text"}, "password", "the password; the list of processes shows it to everybody on this machine")

	f = all.group("Other")
	f.StringVar(&cfg.file, "config", "", "`file` of \"flag = value\" lines, and password = ...; flags and environment win over it")
	f.BoolFunc("print-log", "log every request", onOff(&cfg.printLog))
	f.BoolFunc("end-with-stdin", "stop when standard input ends: for programs that run the server as their child", onOff(&cfg.withStdin))
	f.BoolFunc("version", "print the version", onOff(&cfg.version))
	f.BoolFuncP("help", "h", "print this", onOff(&cfg.help))
	for _, group := range all.groups {
		all.AddFlagSet(group.flags)
	}
	return all, cfg
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
	b.WriteString("Usage: cyberdb-fast [flags]\n\nServes dict and list tables. No flag is needed.\n")
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
		return fmt.Errorf("--unix: the path has %d bytes, a socket's may have %d: choose a shorter one", len(c.unix), maxSocketBytes)
	case c.dir == "":
		return fmt.Errorf("--dir: needs the name of a directory")
	}
	return nil
}

// checkReach refuses to be reached from other machines with a password that was made here, unless the settings name who may come.
func (c *config) checkReach(secret password) error {
	if !secret.own || len(c.allow) > 0 || c.host == "" {
		return nil
	}
	addr, err := net.ResolveTCPAddr("tcp", c.tcpAddr())
	if err != nil || addr.IP.IsLoopback() { // a name that is none is found out by listening
		return nil
	}
	return fmt.Errorf("--host %s is reached from other machines, and nobody there knows the password that was made here: "+
		"name who may come with --allow, or give a password with --password-file", c.host)
}

// tcpAddr returns the TCP address to listen on, "" for none.
func (c *config) tcpAddr() string {
	if c.host == "" {
		return ""
	}
	host := strings.TrimSuffix(strings.TrimPrefix(c.host, "["), "]")
	return net.JoinHostPort(host, strconv.Itoa(c.port))
}
