package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"cyberdb-fast/loop"
	"cyberdb-fast/persist"
)

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
		log:      logFlags{slow: defaultSlow, largeRequest: defaultLarge, largeReply: defaultLarge},
	}
	return flagsOf(cfg), cfg
}

// flagsOf returns the flags that change a config, with its values.
func flagsOf(cfg *config) *flagSet {
	all := &flagSet{FlagSet: newGroup()}
	all.Usage = func() {}

	all.listening(cfg)
	all.limits(cfg)
	all.data(cfg)
	all.logging(cfg)
	all.other(cfg)
	for _, group := range all.groups {
		all.AddFlagSet(group.flags)
	}
	return all
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
	g.StringVar(&cfg.unix, "unix", cfg.unix, "`path` of a Unix socket to listen on as well")
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
	toggle(g, "encrypt", "encrypt all connections; clients use cyberdbs: and unixs: URLs", &cfg.encrypt)

	g.Var(
		&httpAddress{&cfg.http},
		"http",
		"address of metrics and health checks over HTTP: 127.0.0.1:9981 (default none)",
	)
	toggle(
		g,
		"legacy",
		"also serve CyberDB 0.9.3 (Python) clients on this machine; with --encrypt those that encrypt. Their "+
			"protocol is insecure",
		&cfg.legacy.on,
	)
	toggle(
		g,
		"legacy-insecure",
		"... and those on other machines: an eavesdropper on the network learns the password",
		&cfg.legacy.insecure,
	)

	toggle(
		g,
		"keep-opaque",
		"... and store objects of their own classes as opaque bytes: reading one runs its code in the client",
		&cfg.legacy.opaque,
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
		&choice[bool]{&cfg.evictAll, "tables", []string{"none", "all"}, []bool{false, true}},
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
		newFsyncPolicy(&cfg.fsync),
		"fsync",
		"when changes are synced to disk: before each reply (always), every second (everysec), or left to the "+
			"system (no)",
	)
	toggle(
		g,
		"no-journal",
		"write no journal: changes since the last save are lost if the process is killed",
		&cfg.noJournal,
	)
	toggle(
		g,
		"repair",
		"start with what is readable of damaged files; the rest is kept under names that end in .damaged",
		&cfg.repair,
	)
	toggle(g, "exit-on-io-error", "exit when the disk fails, instead of serving reads", &cfg.exitOnIOError)
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

// logging adds the flags that say what is logged.
func (f *flagSet) logging(cfg *config) {
	g := f.group("Log")
	g.Var(
		&choice[bool]{&cfg.log.json, "format", []string{"text", "json"}, []bool{false, true}},
		"log-format",
		"lines of key=value pairs (text) or of JSON (json)",
	)
	g.Var(newLogLevel(&cfg.log.level), "log-level", "what is logged: debug, info, warn, error, and what is above it")
	toggle(g, "print-log", "log every request", &cfg.log.requests)
	g.Var(
		&threshold{&cfg.log.slow},
		"slow-request",
		"keep requests that execute longer than this `time` in the list of slow ones; 0 keeps none",
	)
	g.Var(
		&size{&cfg.log.largeRequest, 0},
		"large-request",
		"keep requests with more bytes than this in the list of large ones; 0 keeps none",
	)
	g.Var(&size{&cfg.log.largeReply, 0}, "large-reply", "the same for replies")
}

// other adds the other flags.
func (f *flagSet) other(cfg *config) {
	g := f.group("Other")
	g.StringVar(
		&cfg.file,
		"config",
		cfg.file,
		"`file` of \"flag = value\" lines, and password = ...; flags and environment override it",
	)
	g.StringVar(&cfg.cpuProfile, "cpu-profile", cfg.cpuProfile, "write a CPU profile to this `file`, for go tool pprof")
	toggle(
		g,
		"end-with-stdin",
		"stop when standard input ends: for programs that run the server as a child process",
		&cfg.withStdin,
	)
	g.BoolVarP(&cfg.version, "version", "v", cfg.version, "print the version")
	g.BoolP("help", "h", false, "print this help") // cobra looks at it
}

// toggle adds a flag without a value, or with =true or =false.
func toggle(g *pflag.FlagSet, name, usage string, to *bool) {
	g.VarPF(&onOff{to}, name, "", usage).NoOptDefVal = "true"
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
		fmt.Fprintf(&b, "\n%s:\n%s", group.title, flagUsages(group.flags))
	}
	b.WriteString("\nEnvironment:\n")
	for _, v := range variables {
		fmt.Fprintf(&b, "  %-24s%s\n", v.name, v.meaning)
	}
	b.WriteString("\nFlags override the environment, which overrides the --config file.\n")
	return b.String()
}

// flagUsages returns the lines of flags in a help text. pflag adds [=true|false] to the names of
// switches, which clutters them.
func flagUsages(flags *pflag.FlagSet) string {
	shown := newGroup()
	flags.VisitAll(func(flag *pflag.Flag) {
		line := *flag
		line.Value = plainValue{flag.Value}
		if line.DefValue == "0s" || line.DefValue == "[]" { // pflag leaves out other zeros
			line.DefValue = ""
		}
		shown.AddFlag(&line)
	})
	return shown.FlagUsages()
}

// plainValue is a value that pflag does not recognize as one of a switch.
type plainValue struct{ pflag.Value }
