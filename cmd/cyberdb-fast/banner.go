package main

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"cyberdb-fast/loop"
	"cyberdb-fast/persist"
)

// banner has what the first lines on the screen show.
type banner struct {
	version string
	tcp     netip.AddrPort // not valid: no TCP
	unix    string
	// allow lists the networks that may connect over TCP. If it is empty, any machine may, or with
	// onlyHere this machine.
	allow       []netip.Prefix
	interfaces  []netip.Addr // addresses of this machine other than loopback
	anyone      bool         // no list of networks that may connect
	onlyHere    bool         // no list, and only this machine may connect
	encrypt     bool
	maxConns    int
	eventLoops  int
	descriptors uint64
	idle        time.Duration
	dir         string
	data        string // where the tables are stored
	secret      password
	metrics     string // URL; "": none
	terminal    bool   // the lines go to a terminal, the only place where a password may be shown
}

func bannerOf(cfg *config, now *started, dir *dataDir, file *dataFile, terminal bool) banner {
	srv := now.srv
	b := banner{
		version:    versionLine(),
		encrypt:    cfg.encrypt,
		anyone:     len(cfg.allow) == 0 && !cfg.encrypt,
		onlyHere:   len(cfg.allow) == 0 && cfg.encrypt,
		allow:      cfg.allow,
		interfaces: interfaceAddresses(),
		maxConns:   cfg.maxConns,
		eventLoops: srv.EventLoops(),
		idle:       cfg.idle,
		dir:        dir.path,
		data:       dataText(cfg, file.path),
		secret:     now.secret,
		metrics:    metricsURL(now.pages),
		terminal:   terminal,
	}
	if srv.Info().Persistence == loop.ReadOnly {
		b.data = file.path + ", read-only: the disk was full at the start; free disk space, then restart"
	}
	if path, err := filepath.Abs(cfg.unix); err == nil && cfg.unix != "" {
		b.unix = path
	}
	if tcp, ok := srv.Addr().(*net.TCPAddr); ok {
		b.tcp = tcp.AddrPort()
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err == nil {
		b.descriptors = uint64(limit.Cur) //nolint:unconvert // signed on some systems
	}
	return b
}

// writeBanner prints the lines. It is no error if they cannot be written.
func writeBanner(w io.Writer, b banner) {
	var s strings.Builder
	line := func(title, format string, args ...any) {
		fmt.Fprintf(&s, "  %-10s"+format+"\n", append([]any{title}, args...)...)
	}
	fmt.Fprintln(&s, b.version)
	line("listening", "%s", b.addresses())
	line("limits", "%s connections, %d event loops, %s file descriptors, idle connections are %s",
		grouped(uint64(b.maxConns)), b.eventLoops, grouped(b.descriptors), b.idleText())
	line("data", "%s", b.data)
	line("security", "%s", b.securityText())
	line("password", "%s", b.passwordText())
	if b.metrics != "" {
		line("metrics", "%s", b.metrics)
	}
	fmt.Fprintln(&s)
	line("connect", "%s", b.connectURL())
	line("try it", "%sgo run ./examples/quickstart '%s'", b.passwordVariable(), b.connectURL())
	line("in Go", "db, err := client.Open(ctx, url, nil) // url is the connect line")
	line("in Python", "import cyberdb_fast; client = cyberdb_fast.connect(\"%s\")", b.connectURL())
	if hint := b.passwordHint(); hint != "" {
		line("", "%s", hint)
	}
	_, _ = io.WriteString(w, s.String())
}

// dataText says where the tables are stored, and what a crash or a power cut loses.
func dataText(cfg *config, file string) string {
	text := file + ", saved "
	if cfg.cycle > 0 {
		text += "every " + cfg.cycle.String() + " and "
	}
	text += "at the end; "
	switch {
	case cfg.noJournal:
		return text + "without a journal: a crash loses the changes since the last save"
	case cfg.fsync == persist.Always:
		return text + "journal: acknowledged changes are on disk"
	case cfg.fsync == persist.Never:
		return text + "journal: a power cut loses what the system has not written yet"
	}
	return text + "journal: a power cut loses at most the last second, plus the duration of one sync"
}

func (b *banner) addresses() string {
	var all []string
	if b.tcp.IsValid() {
		all = append(all, b.tcp.String())
	}
	if b.unix != "" {
		all = append(all, b.unix)
	}
	return strings.Join(all, " and ")
}

func (b *banner) idleText() string {
	if b.idle == 0 {
		return "kept open"
	}
	return "closed after " + b.idle.String()
}

// securityText says what is protected, and warns if other machines may connect.
func (b *banner) securityText() string {
	text := "clients authenticate with the password; connections are not encrypted"
	if b.encrypt {
		text = "clients authenticate with the password; connections are encrypted"
	}
	switch {
	case !b.tcp.IsValid():
	case b.shutsOutThisMachine():
		text += "; --allow excludes this machine: add 127.0.0.1 to connect from here"
	case b.tcp.Addr().IsLoopback():
	case b.onlyHere:
		text += "; only this machine may connect; allow others with --allow"
	case b.anyone:
		text += "; any machine that reaches this address may try: see --allow"
	case !b.encrypt:
		text += "; use only networks without eavesdroppers, or --encrypt"
	}
	return text
}

func (b *banner) passwordText() string {
	switch {
	case b.secret.file == "":
		return "the one in the settings; clients read it from CYBERDB_PASSWORD"
	case b.showsPassword():
		return fmt.Sprintf("random, stored in %s", b.secret.file)
	default:
		return fmt.Sprintf("in %s, not shown here", b.secret.file)
	}
}

// passwordHint says where programs find the password if the connect line does not show it.
func (b *banner) passwordHint() string {
	switch {
	case b.showsPassword():
		return ""
	case b.secret.file == "":
		return "both read the password from CYBERDB_PASSWORD"
	}
	return "both read the password from the file that CYBERDB_PASSWORD_FILE names: " + b.secret.file
}

// passwordVariable returns the prefix of a shell command that gives it the password if the connect
// line does not show it.
func (b *banner) passwordVariable() string {
	if b.secret.file == "" || b.showsPassword() {
		return ""
	}
	return "CYBERDB_PASSWORD_FILE='" + strings.ReplaceAll(b.secret.file, "'", `'\''`) + "' "
}

// showsPassword is true for a generated password on a terminal. Elsewhere, such as in a service's
// log, the password would be stored.
func (b *banner) showsPassword() bool { return b.secret.own && b.terminal }

// connectURL returns the URL for a client on this machine, with the password if that may be shown.
func (b *banner) connectURL() string {
	u := url.URL{Scheme: "cyberdb", Host: b.reachable()}
	if !b.tcp.IsValid() || b.unix != "" && b.shutsOutThisMachine() {
		u = url.URL{Scheme: "unix", Path: b.unix}
	}
	if b.encrypt {
		u.Scheme += "s"
	}
	if b.showsPassword() {
		u.User = url.UserPassword("", b.secret.text)
	}
	return u.String()
}

// reachable returns the TCP address for a client on this machine. For a server on all addresses
// that is the first one from which --allow admits this machine.
func (b *banner) reachable() string {
	addr := b.tcp.Addr().Unmap()
	if addr.IsUnspecified() {
		addr = b.allowedHere(b.tcp.Addr())
	}
	return netip.AddrPortFrom(addr, b.tcp.Port()).String()
}

// allowedHere returns an address of this machine that may connect to itself: loopback if possible,
// then the network interfaces in their order. If none may, it returns loopback.
func (b *banner) allowedHere(listening netip.Addr) netip.Addr {
	loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	candidates := []netip.Addr{loopback}
	if listening.Is6() { // the wildcard address also accepts IPv4
		candidates = append(candidates, netip.IPv6Loopback())
	}
	for _, addr := range append(candidates, b.interfaces...) {
		if b.allows(addr) {
			return addr
		}
	}
	return loopback
}

// allows reports whether a client with the address may connect.
func (b *banner) allows(addr netip.Addr) bool {
	return len(b.allow) == 0 ||
		slices.ContainsFunc(b.allow, func(network netip.Prefix) bool { return network.Contains(addr) })
}

// shutsOutThisMachine reports whether no client on this machine may connect.
func (b *banner) shutsOutThisMachine() bool {
	addr, err := netip.ParseAddrPort(b.reachable())
	return b.tcp.IsValid() && (err != nil || !b.allows(addr.Addr()))
}

// interfaceAddresses returns the addresses of this machine's network interfaces, except those that
// need a zone.
func interfaceAddresses() (addresses []netip.Addr) {
	all, _ := net.InterfaceAddrs() // without them loopback is shown
	for _, a := range all {
		if network, err := netip.ParsePrefix(a.String()); err == nil && !network.Addr().IsLinkLocalUnicast() {
			addresses = append(addresses, network.Addr().Unmap())
		}
	}
	return addresses
}

// grouped formats 10000 as 10,000.
func grouped(n uint64) string {
	text := strconv.FormatUint(n, 10)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
