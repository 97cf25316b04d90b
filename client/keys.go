package client

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"cyberdb-fast/codec/secure"
)

// keyRing caches the keys derived from passwords, for the whole process: one derivation takes about
// 70 ms and 32 MiB.
type keyRing struct {
	mu      sync.Mutex // held while deriving, so that two connections never derive the same key
	keys    map[keyID][]byte
	derived map[string]derivation // by address
}

// derivation is the last salt for which a key was derived, and when.
type derivation struct {
	kdf secure.KDF
	at  time.Time // zero if it was the first salt of its address
}

type keyID struct {
	kdf      secure.KDF
	password string
}

const (
	// newSaltPause is the minimum time between two new salts of one address. It keeps a hostile
	// server from making its clients derive keys all the time.
	newSaltPause = time.Minute
	maxKeys      = 256
)

var keys = keyRing{keys: map[keyID][]byte{}, derived: map[string]derivation{}}

// key returns the key of password for the server at addr, which sent kdf. Errors: a new salt within
// newSaltPause of the last one; ErrProtocol if kdf is not valid.
func (r *keyRing) key(addr, password string, kdf secure.KDF) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	id := keyID{kdf, password}
	if key, ok := r.keys[id]; ok {
		return key, nil
	}
	last, known := r.derived[addr]
	isNew := known && last.kdf != kdf // another password with the same salt does not count
	if since := time.Since(last.at); isNew && since < newSaltPause && !onThisMachine(addr) {
		return nil, fmt.Errorf(
			"%s has sent a second new salt within a minute; the next key is derived in %s",
			addr,
			(newSaltPause - since).Round(time.Second),
		)
	}
	key, err := kdf.Key(password)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	if len(r.keys) >= maxKeys {
		clear(r.keys)
	}
	r.keys[id] = key
	if len(r.derived) >= maxKeys {
		r.forgetOld()
	}
	switch {
	case isNew:
		r.derived[addr] = derivation{kdf, time.Now()}
	case !known:
		r.derived[addr] = derivation{kdf: kdf}
	}
	return key, nil
}

// onThisMachine reports whether addr, as in Options, is a loopback address or a Unix socket. There
// newSaltPause does not apply: no other machine can impersonate the server, and tests start many
// servers one after another.
func onThisMachine(addr string) bool {
	o := Options{Addr: addr}
	network, addr := o.network()
	if network == "unix" {
		return true
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	if strings.EqualFold(strings.TrimSuffix(host, "."), "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// forgetOld removes the addresses for which newSaltPause has passed.
func (r *keyRing) forgetOld() {
	for addr, last := range r.derived {
		if time.Since(last.at) >= newSaltPause {
			delete(r.derived, addr)
		}
	}
}
