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

// keyRing remembers the keys that were derived from passwords, for the whole process: a derivation
// costs some 70 ms and 32 MiB.
type keyRing struct {
	mu      sync.Mutex // held while deriving, so that two connections never derive the same key
	keys    map[keyID][]byte
	derived map[string]derivation // by address
}

// derivation is the last salt of an address that a key was derived for.
type derivation struct {
	kdf secure.KDF
	at  time.Time // zero: it is the address's first
}

type keyID struct {
	kdf      secure.KDF
	password string
}

const (
	// newSaltPause is how often one address may make its clients derive a key for a new salt: a
	// false server must not burn them.
	newSaltPause = time.Minute
	maxKeys      = 256
)

var keys = keyRing{keys: map[keyID][]byte{}, derived: map[string]derivation{}}

// key returns the key for the server at addr, which named kdf.
func (r *keyRing) key(addr, password string, kdf secure.KDF) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	id := keyID{kdf, password}
	if key, ok := r.keys[id]; ok {
		return key, nil
	}
	last, known := r.derived[addr]
	// another password for the same salt is the user's doing, not the server's
	isNew := known && last.kdf != kdf
	if since := time.Since(last.at); isNew && since < newSaltPause && !onThisMachine(addr) {
		return nil, fmt.Errorf(
			"%s has named a new salt twice within a minute; the next key is derived in %s",
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

// onThisMachine says whether addr, as in Options, can be reached from this machine alone: a
// loopback address or a Unix socket. Tests start one new server after another there, and other
// machines cannot stand in for one.
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

// forgetOld makes room in derived; an address that is still held back is kept.
func (r *keyRing) forgetOld() {
	for addr, last := range r.derived {
		if time.Since(last.at) >= newSaltPause {
			delete(r.derived, addr)
		}
	}
}
