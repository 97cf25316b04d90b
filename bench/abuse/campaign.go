package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"cyberdb-fast/bench/harness"
)

// The bounds of every scenario, unless it sets others.
const (
	requestBound = time.Second      // for the witness's slowest request
	loginBound   = 2 * time.Second  // for its slowest login
	returnTime   = 30 * time.Second // until the server has released everything
	startTime    = 2 * time.Minute  // for the start of a server, on a busy machine

	// What may remain: garbage that is not collected yet, and memory that the runtime reserves.
	memoryLeft   = 48 << 20
	residentLeft = 160 << 20
	// of resident memory, above what there was before: what the server holds, unread and not
	// complete, doubled by its collector
	peakBound     = 1 << 30
	handlesLeft   = 8
	raceSlowdown  = 5
	logLinesASec  = 12 // each kind of line appears once a second at most
	logLinesFirst = 30
)

// transport is the settings of the server with which a scenario runs.
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

	// What the witness must tolerate; 0: the bounds of every scenario.
	request, login time.Duration
	p999           time.Duration // of its requests; 0: none
	noRoom         bool          // its new connections may be refused while the server is full
	noLogin        bool          // its new connections may fail: there are no descriptors
	noMemory       bool          // it only reads: there may be no memory
	peak           int64
	end            time.Duration // bound for the server's end; 0: defaultTimeout

	run func(a *attack) error
}

// play runs a scenario and returns its figures, and why it failed.
func (g *ground) play(s *scenario, encrypt bool) (notes string, err error) {
	if s.elsewhere && !inOwnNetwork() {
		return "", errors.New("it needs its own network, which this machine does not permit")
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

func millis(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}
