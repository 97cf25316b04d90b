package bench

import (
	"cmp"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Schemes of Target: the protocols that the generator speaks.
const (
	SchemeNative          = "cyberdb"
	SchemeNativeEncrypted = "cyberdbs"         // as a target is written: SchemeNative with Encrypt
	SchemeRedis           = "redis"            // Redis, Valkey
	SchemeMemcached       = "memcached"        // its text protocol
	SchemeLegacy          = "legacy"           // the original CyberDB
	SchemeLegacyEncrypted = "legacy-encrypted" // the original CyberDB with encrypt=True
	SchemeEcho            = "gnet-echo"        // an echo server, started by cyberdb-bench
)

const mostEchoLoops = 256

var schemes = []string{
	SchemeNative,
	SchemeNativeEncrypted,
	SchemeRedis,
	SchemeMemcached,
	SchemeLegacy,
	SchemeLegacyEncrypted,
	SchemeEcho,
}

// Target is a server: its protocol and where it listens.
type Target struct {
	Scheme  string
	Network string // "tcp" or "unix"
	Address string // HOST:PORT, or the path of a Unix socket
	Encrypt bool   // of SchemeNative: the frames travel in encrypted records
	Loops   int    // of SchemeEcho: event loops of the server
}

// ParseTarget reads SCHEME://HOST:PORT or gnet-echo:LOOPS. An echo has no address until it is
// started. Errors: *UsageError.
func ParseTarget(text string) (Target, error) {
	if scheme, number, _ := strings.Cut(text, ":"); scheme == SchemeEcho {
		loops, err := strconv.Atoi(cmp.Or(number, "1"))
		if err != nil || loops < 1 || loops > mostEchoLoops {
			return Target{}, &UsageError{
				fmt.Sprintf("--target %q: give gnet-echo, or gnet-echo:LOOPS of 1 to %d", text, mostEchoLoops),
			}
		}
		return Target{Scheme: SchemeEcho, Network: "tcp", Loops: loops}, nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Port() == "" || u.Hostname() == "" || (u.Path != "" && u.Path != "/") {
		return Target{}, &UsageError{
			fmt.Sprintf("--target %q: give cyberdb://HOST:PORT, redis://HOST:PORT or another protocol's", text),
		}
	}
	if !KnownScheme(u.Scheme) {
		return Target{}, &UsageError{
			fmt.Sprintf("--target %q: unknown protocol %q, known are %s", text, u.Scheme, strings.Join(schemes, ", ")),
		}
	}
	t := Target{Scheme: u.Scheme, Network: "tcp", Address: net.JoinHostPort(u.Hostname(), u.Port())}
	if t.Scheme == SchemeNativeEncrypted {
		t.Scheme, t.Encrypt = SchemeNative, true
	}
	return t, nil
}

// KnownScheme reports whether the generator speaks the protocol of that name.
func KnownScheme(scheme string) bool { return slices.Contains(schemes, scheme) }

// String returns the target as ParseTarget reads it, an echo without its address; a Unix socket as
// cyberdb+unix:PATH.
func (t Target) String() string {
	if t.Scheme == SchemeEcho {
		return fmt.Sprintf("%s:%d", t.Scheme, t.Loops)
	}
	scheme := t.Scheme
	if t.Encrypt {
		scheme = SchemeNativeEncrypted
	}
	if t.Network == "unix" {
		return scheme + "+unix:" + t.Address
	}
	return scheme + "://" + t.Address
}

// Authenticates reports whether the protocol asks for a password.
func (t Target) Authenticates() bool { return t.Scheme == SchemeNative || t.legacy() }

func (t Target) legacy() bool { return t.Scheme == SchemeLegacy || t.Scheme == SchemeLegacyEncrypted }

// wire returns the target's protocol.
func (t Target) wire(o *Options, items *items) (wire, error) {
	tables := newTables(o.Table, o.Tables, o.Keys)
	switch t.Scheme {
	case SchemeRedis:
		return newRedisWire(tables, items), nil
	case SchemeMemcached:
		return &memcachedWire{items}, nil
	case SchemeLegacy, SchemeLegacyEncrypted:
		return newLegacyWire(tables, o.Password, t.Scheme == SchemeLegacyEncrypted, items)
	case SchemeEcho:
		return &echoWire{newNativeWire(tables, "", false, items), t.Loops}, nil
	default:
		return newNativeWire(tables, o.Password, t.Encrypt, items), nil
	}
}
