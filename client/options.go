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

// DefaultPort is the TCP port of a server that is started without --port.
const DefaultPort = "9980"

// Options configure a Client. A zero field means its default. Sizes are in bytes.
type Options struct {
	// Addr is "host:port", or "unix:/path" for a Unix socket; default 127.0.0.1:9980. A URL given
	// to Open overrides it.
	Addr string
	// Password is the server's password. Default: the environment variable CYBERDB_PASSWORD, or the
	// first line of the file that CYBERDB_PASSWORD_FILE names. A URL given to Open overrides it.
	Password string
	// Encrypt encrypts the connections; the server must encrypt too. Open sets it for URLs that
	// begin with cyberdbs: or unixs:.
	Encrypt bool
	// Conns is the number of connections, 1 to 4; default 2. With one connection, requests take
	// effect in the order in which they are made, even those whose context has ended.
	Conns int
	// DialTimeout limits one attempt to connect, including authentication; default 5 s.
	DialTimeout time.Duration
	// WaitTimeout is how long a request waits while there is no connection; default 5 s. The
	// request's context may end sooner.
	WaitTimeout time.Duration
	// SilenceTimeout is how long replies may be due on a connection without anything arriving;
	// default 20 s. After that the connection is closed. The client sends a ping at half that time,
	// so a long request does not count as silence.
	SilenceTimeout time.Duration
	// MaxBackoff is the longest pause between attempts to reconnect; default 2 s. The pauses start
	// at about 10 ms and double, with jitter.
	MaxBackoff time.Duration
	// ReadAheadBytes is how much of a streamed read (All) the client buffers for a slow loop before
	// the read fails with ErrSlowReader; default 64 MiB, as on the server.
	ReadAheadBytes int
	// MaxReplyBytes is the largest reply of a request that is not streamed; a larger one fails with
	// ErrReplyTooLarge. Default 1 GiB.
	MaxReplyBytes int
	// Dial makes the connections; network is "tcp" or "unix". Default: a net.Dialer with
	// keep-alive.
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

// withDefaults returns o with its zero fields filled in, or an error if a field is out of range.
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

// or returns v, or fallback if v is the zero value.
func or[T comparable](v, fallback T) T {
	var zero T
	if v == zero {
		return fallback
	}
	return v
}

// environmentPassword returns the password that the environment names, "" if it names none.
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

// network splits Addr into the arguments of net.Dial.
func (o *Options) network() (network, addr string) {
	if path, ok := strings.CutPrefix(o.Addr, "unix:"); ok {
		return "unix", path
	}
	if _, _, err := net.SplitHostPort(o.Addr); err != nil {
		return "tcp", net.JoinHostPort(strings.Trim(o.Addr, "[]"), DefaultPort)
	}
	return "tcp", o.Addr
}
