package bench

import (
	"fmt"
	"net"
	"net/url"
)

// Schemes of Target: the protocols that the generator speaks.
const (
	SchemeNative = "cyberdb"
	SchemeRedis  = "redis"
)

// Target is a server: its protocol and where it listens.
type Target struct {
	Scheme  string // SchemeNative or SchemeRedis
	Network string // "tcp" or "unix"
	Address string // HOST:PORT, or the path of a Unix socket
}

// ParseTarget reads cyberdb://HOST:PORT or redis://HOST:PORT. Errors: *UsageError.
func ParseTarget(text string) (Target, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Port() == "" || u.Hostname() == "" || (u.Path != "" && u.Path != "/") {
		return Target{}, &UsageError{fmt.Sprintf("--target %q: give cyberdb://HOST:PORT or redis://HOST:PORT", text)}
	}
	t := Target{Scheme: u.Scheme, Network: "tcp", Address: net.JoinHostPort(u.Hostname(), u.Port())}
	if t.Scheme != SchemeNative && t.Scheme != SchemeRedis {
		return Target{}, &UsageError{fmt.Sprintf("--target %q: unknown protocol %q, known are cyberdb and redis", text, t.Scheme)}
	}
	return t, nil
}

// String returns the target as ParseTarget reads it; a Unix socket as cyberdb+unix:PATH.
func (t Target) String() string {
	if t.Network == "unix" {
		return t.Scheme + "+unix:" + t.Address
	}
	return t.Scheme + "://" + t.Address
}

// wire returns the target's protocol.
func (t Target) wire(o *Options, items *items) wire {
	if t.Scheme == SchemeRedis {
		return newRedisWire(o.Table, items)
	}
	return newNativeWire(o.Table, o.Password, items)
}
