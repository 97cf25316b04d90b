package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

// DefaultPort is where a server listens unless told otherwise.
const DefaultPort = "9980"

// Options say how a client reaches its server. The zero value of each field stands for its default.
type Options struct {
	// Addr is "host:port", or "unix:/path" for a Unix socket; default 127.0.0.1:9980. Open takes it
	// from its URL.
	Addr string
	// Password is the server's; default the environment's CYBERDB_PASSWORD, or the first line of
	// the file that CYBERDB_PASSWORD_FILE names.
	Password string
	// Encrypt encrypts the connections; the server must do so too. Open turns it on for URLs that
	// begin with cyberdbs: or unixs:.
	Encrypt bool
	// Conns is how many connections the client shares out its requests over, 1 to 4; default 2.
	// With one, requests take effect in the order in which they are made, those given up by their
	// context included.
	Conns int
	// DialTimeout bounds one attempt to connect, the proof of the password included; default 5 s.
	DialTimeout time.Duration
	// WaitTimeout is how long a request waits for a connection while there is none, if its context
	// does not end sooner; default 5 s.
	WaitTimeout time.Duration
	// SilenceTimeout is after how long a connection on which replies are due and nothing arrives is
	// given up; default 20 s. A ping is sent at half that time, so that a long request on a live
	// server does not count as silence.
	SilenceTimeout time.Duration
	// MaxBackoff is the longest pause between attempts to reconnect. They start at some 10 ms and
	// double, each with jitter; default 2 s.
	MaxBackoff time.Duration
	// ReadAheadBytes is how much of a streamed read may wait here for its consumer before the read
	// fails with ErrSlowReader; default 64 MiB, the server's own limit.
	ReadAheadBytes int
	// MaxReplyBytes is the most bytes that one reply may have if it is kept whole; a larger one
	// fails with ErrReplyTooLarge. Reads that are streamed have no such limit. Default 1 GiB.
	MaxReplyBytes int
	// Dial replaces the way connections are made; network is "tcp" or "unix". Default: a net.Dialer
	// with keep-alive.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

const (
	maxConns = 4

	defaultConns     = 2
	defaultAddr      = "127.0.0.1:" + DefaultPort
	defaultDial      = 5 * time.Second
	defaultWait      = 5 * time.Second
	defaultSilence   = 20 * time.Second
	defaultBackoff   = 2 * time.Second
	defaultReadAhead = 64 << 20
	defaultMaxReply  = 1 << 30
)

// withDefaults fills in what o leaves open and checks the rest.
func (o Options) withDefaults() (Options, error) {
	o.Addr = or(o.Addr, defaultAddr)
	o.Conns = or(o.Conns, defaultConns)
	o.DialTimeout = or(o.DialTimeout, defaultDial)
	o.WaitTimeout = or(o.WaitTimeout, defaultWait)
	o.SilenceTimeout = or(o.SilenceTimeout, defaultSilence)
	o.MaxBackoff = or(o.MaxBackoff, defaultBackoff)
	o.ReadAheadBytes = or(o.ReadAheadBytes, defaultReadAhead)
	o.MaxReplyBytes = or(o.MaxReplyBytes, defaultMaxReply)
	if o.Dial == nil {
		o.Dial = (&net.Dialer{KeepAlive: 15 * time.Second}).DialContext
	}
	if o.Conns < 1 || o.Conns > maxConns {
		return o, fmt.Errorf("client: Conns is %d, not 1 to %d", o.Conns, maxConns)
	}
	if min(o.DialTimeout, o.WaitTimeout, o.SilenceTimeout, o.MaxBackoff) < 0 ||
		min(o.ReadAheadBytes, o.MaxReplyBytes) < 0 {
		return o, errors.New("client: a timeout or size in Options is negative")
	}
	if o.Password == "" {
		var err error
		if o.Password, err = environmentPassword(); err != nil {
			return o, err
		}
	}
	return o, nil
}

func or[T comparable](v, fallback T) T {
	var zero T
	if v == zero {
		return fallback
	}
	return v
}

func environmentPassword() (string, error) {
	if password := os.Getenv("CYBERDB_PASSWORD"); password != "" {
		return password, nil
	}
	path := os.Getenv("CYBERDB_PASSWORD_FILE")
	if path == "" {
		return "", nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("client: CYBERDB_PASSWORD_FILE: %w", err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return strings.TrimSuffix(line, "\r"), nil
}

// network splits Addr into what net.Dial takes.
func (o *Options) network() (network, addr string) {
	if path, ok := strings.CutPrefix(o.Addr, "unix:"); ok {
		return "unix", path
	}
	if _, _, err := net.SplitHostPort(o.Addr); err != nil {
		return "tcp", net.JoinHostPort(strings.Trim(o.Addr, "[]"), DefaultPort)
	}
	return "tcp", o.Addr
}
