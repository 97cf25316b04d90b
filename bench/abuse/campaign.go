package main

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"cyberdb-fast/bench/harness"
	"cyberdb-fast/codec"
	"cyberdb-fast/codec/secure"
)

// What is asked of every scenario, unless it says otherwise.
const (
	requestBound = time.Second      // for the witness's slowest request
	loginBound   = 2 * time.Second  // for its slowest login
	returnTime   = 30 * time.Second // until everything is back
	startTime    = 2 * time.Minute  // a server may take to start, on a machine that does other things

	// What may be left over: garbage that the collector has not got to, and what the runtime keeps
	// for next time.
	memoryLeft   = 48 << 20
	residentLeft = 160 << 20
	// of resident memory, above what there was before: what the server holds, unread and not
	// complete, doubled by its collector
	peakBound     = 1 << 30
	handlesLeft   = 8
	raceSlowdown  = 5
	logLinesASec  = 12 // each kind of line comes once a second at most
	logLinesFirst = 30
)

// transport says with which settings of the server a scenario is played.
type transport int

const (
	plain transport = iota
	encrypted
	both
)

func (t transport) settings() []bool {
	switch t {
	case plain:
		return []bool{false}
	case encrypted:
		return []bool{true}
	}
	return []bool{false, true}
}

func transportName(encrypt bool) string {
	if encrypt {
		return "encrypted"
	}
	return "plain"
}

// scenario is one way to abuse a server.
type scenario struct {
	name      string
	about     string
	transport transport
	flags     []string // of the server
	short     bool     // part of the short choice
	elsewhere bool     // needs addresses of other machines
	files     int      // the server's limit of open files; 0: that of this machine
	readers   streams

	// What the witness must bear; 0: what is asked of every scenario.
	request, login time.Duration
	p999           time.Duration // of its requests; 0: none
	noRoom         bool          // its new connections may be refused for lack of room
	noLogin        bool          // its new connections may fail: there are no descriptors
	noMemory       bool          // it only reads: there may be no memory
	peak           int64
	end            time.Duration // of the server; 0: as long as a test waits

	run func(a *attack) error
}

// ground is what the scenarios of a campaign have in common.
type ground struct {
	options
	dir string
	key []byte // of the password, with the directory's salt
}

func newGround(opt options) (*ground, error) {
	if inOwnNetwork() {
		if err := furnish(); err != nil {
			return nil, fmt.Errorf("the new network: %w", err)
		}
	}
	dir, err := os.MkdirTemp("", "cyberdb-abuse")
	if err != nil {
		return nil, err
	}
	g := &ground{options: opt, dir: dir}
	// The salt is the server's, made at its first start; a file from here gives every server the
	// same.
	kdf := secure.KDF{LogN: secure.DefaultLogN, Salt: [16]byte{1, 2, 3}}
	if err := os.WriteFile(
		filepath.Join(dir, "salt"),
		[]byte(hex.EncodeToString(kdf.Salt[:])+"\n"),
		0o600,
	); err != nil {
		return nil, err
	}
	g.key, err = kdf.Key(password)
	return g, err
}

func (g *ground) close() { _ = os.RemoveAll(g.dir) }

// attack is one scenario under way.
type attack struct {
	*ground
	*scenario
	srv     *harness.Server
	encrypt bool
	before  usage
	control *conn // asks for figures

	mu    sync.Mutex
	conns []*conn // all that were opened; guarded by mu
}

// play plays a scenario and returns what it took, and why it failed.
func (g *ground) play(s *scenario, encrypt bool) (notes string, err error) {
	if s.elsewhere && !inOwnNetwork() {
		return "", errors.New("it needs a network of its own, which this machine does not permit")
	}
	flags := slices.Clone(s.flags)
	for i := range flags {
		flags[i] = strings.ReplaceAll(flags[i], "DIR", g.dir)
	}
	if encrypt {
		flags = append(flags, "--encrypt")
	}
	stdout, stderr, closeStreams, err := s.readers.open()
	defer closeStreams()
	if err != nil {
		return "", err
	}
	srv, err := harness.Start(harness.Config{
		Binary: g.server, Dir: g.dir, Password: password, Flags: flags, Files: s.files, Stdout: stdout, Stderr: stderr,
	}, startTime)
	if err != nil {
		return "", err
	}
	defer srv.Kill()
	a := &attack{ground: g, scenario: s, srv: srv, encrypt: encrypt}
	defer a.closeAll()
	if a.control, err = a.enter(); err != nil {
		return "", err
	}
	if err := a.forget(); err != nil {
		return "", err
	}
	return a.play()
}

func (a *attack) play() (notes string, err error) {
	start := time.Now()
	a.srv.ForgetPeak()
	if a.before, err = a.usage(); err != nil {
		return "", err
	}
	watch, err := a.summon()
	if err != nil {
		return "", err
	}
	problem := a.run(a)
	peak, err := a.usage()
	problem = errors.Join(problem, err)
	a.closeAll()
	seen, err := watch()
	problem = errors.Join(problem, err, a.judge(&seen, &peak))
	ended := time.Now()
	after, err := a.comesBack()
	problem = errors.Join(problem, err)
	_ = a.control.Close()
	stopping := time.Now()
	if err := a.srv.Stop(patience); err != nil {
		problem = errors.Join(problem, fmt.Errorf("the server's end: %w", err))
	}
	if ending := time.Since(stopping); a.end > 0 && ending > a.patience(a.end) {
		problem = errors.Join(
			problem,
			fmt.Errorf("the server's end took %v, the bound is %v", ending, a.patience(a.end)),
		)
	}
	problem = errors.Join(problem, a.readLog(time.Since(start)))
	return fmt.Sprintf(
		"%d requests, p50 %s, p99 %s, p99.9 %s, slowest %s; %d logins, slowest %s; peak %d MiB, %d MiB after %s",
		seen.Requests,
		millis(seen.Median),
		millis(seen.P99),
		millis(seen.P999),
		millis(seen.SlowestRequest),
		seen.Logins,
		millis(seen.SlowestLogin),
		peak.Peak>>20,
		after.Resident>>20,
		time.Since(ended).Round(10*time.Millisecond),
	), problem
}

func millis(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}

// patience returns d, or more if the server is slow by design.
func (a *attack) patience(d time.Duration) time.Duration {
	if a.race {
		return raceSlowdown * d
	}
	return d
}

// duration returns how long a scenario goes on that does so for a time: d, if the command line says
// nothing.
func (a *attack) duration(d time.Duration) time.Duration {
	if a.lasts > 0 {
		return a.lasts
	}
	return d
}

// summon starts a witness, and returns what ends it and gives its testimony.
func (a *attack) summon() (watch func() (testimony, error), err error) {
	cmd := exec.Command("/proc/self/exe", witnessRole)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var trouble strings.Builder
	cmd.Stderr = &trouble
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	if err := json.NewEncoder(in).Encode(summons{a.reachable(), a.key, a.encrypt, a.noMemory}); err != nil {
		return nil, err
	}
	lines := bufio.NewReader(out)
	if line, err := lines.ReadString('\n'); err != nil {
		_ = cmd.Wait()
		return nil, fmt.Errorf("the witness: %q, %w: %s", line, err, trouble.String())
	}
	return func() (seen testimony, err error) {
		_ = in.Close()
		err = json.NewDecoder(lines).Decode(&seen)
		_, _ = io.Copy(io.Discard, lines)
		return seen, errors.Join(err, cmd.Wait())
	}, nil
}

// judge compares what the witness saw, and what the server needed, with what is asked.
func (a *attack) judge(seen *testimony, peak *usage) error {
	var problems []error
	add := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	for _, text := range seen.Failures {
		add("a request of the witness failed %s", text)
	}
	if !a.noLogin {
		for _, text := range seen.FailedLogins {
			add("a login of the witness failed %s", text)
		}
	}
	if seen.Refused > 0 && !a.noRoom && !a.noLogin {
		add("%d logins of the witness found no room", seen.Refused)
	}
	if bound := a.patience(orElse(a.request, requestBound)); seen.SlowestRequest > bound {
		add("a request of the witness took %v, the bound is %v", seen.SlowestRequest, bound)
	}
	// which slows a few requests by far more than the others
	if bound := a.p999; bound > 0 && seen.P999 > bound && !a.race {
		add("99.9 %% of the requests of the witness took up to %v, the bound is %v", seen.P999, bound)
	}
	if bound := a.patience(orElse(a.login, loginBound)); seen.SlowestLogin > bound {
		add("a login of the witness took %v, the bound is %v", seen.SlowestLogin, bound)
	}
	if seen.Requests == 0 || seen.Logins == 0 && !a.noRoom && !a.noLogin {
		add("the witness saw %d requests and %d logins", seen.Requests, seen.Logins)
	}
	if peak.Panics > 0 {
		add("the server counts %d panics", peak.Panics)
	}
	if grown, bound := peak.Peak-a.before.Resident, orElse(a.peak, peakBound); grown > bound && !a.race {
		add("the server needed %d MiB more than before, the bound is %d MiB", grown>>20, bound>>20)
	}
	return errors.Join(problems...)
}

func orElse[T comparable](v, fallback T) T {
	if v == *new(T) {
		return fallback
	}
	return v
}

// comesBack drops the tables that the scenario has left and waits until the server has given back
// what it used.
func (a *attack) comesBack() (after usage, err error) {
	if err := a.dropTables(""); err != nil {
		return after, err
	}
	end := time.Now().Add(a.patience(returnTime))
	for {
		if err := a.forget(); err != nil {
			return after, err
		}
		if after, err = a.usage(); err != nil {
			return after, err
		}
		if err = a.isBack(&after); err == nil || time.Now().After(end) {
			return after, err
		}
	}
}

// isBack compares what the server uses with what it used before.
func (a *attack) isBack(after *usage) error {
	before := &a.before
	var left []string
	for _, figure := range []struct {
		name          string
		before, after int64
		more          int64
	}{
		{"connections", before.Connections, after.Connections, 0},
		{"logins that wait", before.WaitingLogins, after.WaitingLogins, 0},
		{"long requests", before.LongRequests, after.LongRequests, 0},
		{"views", int64(before.Views), int64(after.Views), 0},
		{"unread bytes", before.UnreadBytes, after.UnreadBytes, 0},
		{"held bytes", before.HeldBytes, after.HeldBytes, 0},
		{"goroutines", int64(before.Goroutines), int64(after.Goroutines), handlesLeft},
		{"descriptors", int64(before.Descriptors), int64(after.Descriptors), handlesLeft},
		{"MiB in use", before.memory() >> 20, after.memory() >> 20, memoryLeft >> 20},
		{"MiB resident", before.Resident >> 20, after.Resident >> 20, residentLeft >> 20},
	} {
		if figure.name == "MiB resident" && a.race {
			continue
		}
		if figure.after > figure.before+figure.more {
			left = append(left, fmt.Sprintf("%d %s where %d were", figure.after, figure.name, figure.before))
		}
	}
	if len(left) > 0 {
		return fmt.Errorf("not back after %v: %s", a.patience(returnTime), strings.Join(left, ", "))
	}
	return nil
}

// forget makes the server allocate, so that its collector runs as it would under load.
func (a *attack) forget() error {
	for range 4 {
		if err := a.control.ok(codec.OpTables); err != nil {
			return err
		}
		reply, err := a.control.call(codec.OpDictContains, "", make([]byte, 4<<20))
		if err != nil {
			return err
		}
		if reply.Status != codec.StatusValueError { // a table's name is not empty
			return fmt.Errorf("the empty name: %v", reply.Status)
		}
	}
	return nil
}

// dropTables drops the tables whose names begin so.
func (a *attack) dropTables(prefix string) error {
	reply, err := a.control.call(codec.OpTables)
	if err != nil {
		return err
	}
	names, err := decoded(reply.Body)
	if err != nil {
		return err
	}
	for i := 0; i < len(names); i += 3 { // name, kind, length
		if name, isText := names[i].(string); !isText || !strings.HasPrefix(name, prefix) {
			continue
		}
		if err := a.control.ok(codec.OpDrop, names[i]); err != nil {
			return err
		}
	}
	return nil
}

// readLog looks for what may not stand in the server's log.
func (a *attack) readLog(took time.Duration) error {
	log := a.srv.Log()
	for _, word := range []string{"panic", "fatal error", "DATA RACE", "goroutine "} {
		if at := strings.Index(log, word); at >= 0 {
			return fmt.Errorf("the server's log:\n%s", log[max(0, at-1000):min(len(log), at+3000)])
		}
	}
	if n, most := strings.Count(
		log,
		"\n",
	), logLinesFirst+logLinesASec*int(
		took/time.Second+1,
	); n > most &&
		!slices.Contains(a.flags, "--print-log") {
		return fmt.Errorf("the server's log has %d lines after %v", n, took)
	}
	return nil
}

// reachable returns the server's TCP address as this machine reaches it.
func (a *attack) reachable() string {
	return strings.NewReplacer("[::]", "127.0.0.1", "0.0.0.0", "127.0.0.1").Replace(a.srv.Addr())
}

// rand returns the source of what the i-th abuser does at random.
func (a *attack) rand(i int) *rand.Rand {
	name := fnv.New64a()
	fmt.Fprint(name, a.name, a.encrypt)
	return rand.New(rand.NewPCG(a.seed^name.Sum64(), uint64(i)))
}

// connect opens a connection and says nothing.
func (a *attack) connect() (*conn, error) { return a.connectTo("tcp", a.reachable(), "") }

// connectFrom is connect with an address of this machine, or of another one. It goes to the
// server's address of the same kind.
func (a *attack) connectFrom(from string) (*conn, error) {
	to := a.reachable()
	if strings.Contains(from, ":") {
		to = strings.Replace(to, "127.0.0.1", "[::1]", 1)
	}
	return a.connectTo("tcp", to, from)
}

func (a *attack) connectTo(network, addr, from string) (*conn, error) {
	c, err := dial(network, addr, from, a.key, a.encrypt)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.conns = append(a.conns, c)
	return c, nil
}

// enter opens a connection and proves the password.
func (a *attack) enter() (*conn, error) {
	c, err := a.connect()
	if err != nil {
		return nil, err
	}
	return c, c.login()
}

// closeAll closes all connections but the one that asks for figures.
func (a *attack) closeAll() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range a.conns {
		if c != a.control {
			_ = c.Close()
		}
	}
	a.conns = nil
}

// each calls f for 0 to n-1, width of them at once, and returns the first few errors.
func each(n, width int, f func(i int) error) error {
	slots := make(chan struct{}, width)
	var mu sync.Mutex
	var problems []error
	failed := 0
	for i := range n {
		slots <- struct{}{}
		go func() {
			defer func() { <-slots }()
			if err := f(i); err != nil {
				mu.Lock()
				defer mu.Unlock()
				if failed++; failed <= 3 {
					problems = append(problems, fmt.Errorf("number %d: %w", i, err))
				}
			}
		}()
	}
	for range width {
		slots <- struct{}{}
	}
	if failed > len(problems) {
		problems = append(problems, fmt.Errorf("and %d more", failed-len(problems)))
	}
	return errors.Join(problems...)
}

// forTime calls f again and again, on width goroutines, for d.
func forTime(d time.Duration, width int, f func(i int) error) error {
	end := time.Now().Add(d)
	return each(width, width, func(i int) error {
		for time.Now().Before(end) {
			if err := f(i); err != nil {
				return err
			}
		}
		return nil
	})
}

// until calls try until it returns nil, at most for d.
func until(d time.Duration, try func() error) error {
	end := time.Now().Add(d)
	for {
		err := try()
		if err == nil {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("not within %v: %w", d, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
