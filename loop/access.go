package loop

import (
	"fmt"
	"net"
	"net/netip"
	"time"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/legacy"
	"cyberdb-fast/codec/secure"
	"cyberdb-fast/codec/value"
)

// access says who may connect and log in, and for how long a client may be idle. It does not
// change: a setting that changes while the server runs makes a new one.
type access struct {
	allow    []netip.Prefix
	idle     time.Duration
	password string
	opening  secure.ServerConfig // of the native protocol
	cipher   *legacy.Cipher      // of CyberDB's wire; nil: plain
}

// initAccess makes the access that the Config asks for.
//
// Errors: those of the key derivation, and of passwords that CyberDB's wire cannot have.
func (srv *Server) initAccess() error {
	a := &access{opening: secure.ServerConfig{
		KDF:     srv.cfg.KDF,
		Encrypt: srv.cfg.Encrypt,
		Limits:  secure.Limits{MaxFrameBytes: codec.MaxFrameBytes, MaxValueBytes: value.MaxValueBytes},
	}}
	if err := a.setPassword(srv.cfg.Password, &srv.cfg); err != nil {
		return err
	}
	a.allow = srv.cfg.allowed(srv.cfg.Allow)
	a.setIdle(srv.cfg.IdleTimeout)
	srv.access.Store(a)
	return nil
}

func (a *access) setPassword(password string, cfg *Config) (err error) {
	a.password = password
	if cfg.Legacy {
		if err := legacy.CheckPassword(password, cfg.Encrypt); err != nil {
			return fmt.Errorf("the password: %w", err)
		}
	}
	if cfg.Legacy && cfg.Encrypt {
		if a.cipher, err = legacy.NewCipher(password); err != nil {
			return err
		}
	}
	a.opening.Key, err = cfg.KDF.Key(password)
	return err
}

func (a *access) setIdle(timeout time.Duration) {
	a.idle = timeout
	a.opening.Limits.IdleSeconds = uint32(timeout / time.Second)
}

// allowed returns the networks that may connect when a setting lists these.
func (cfg *Config) allowed(list []netip.Prefix) []netip.Prefix {
	if cfg.Encrypt && len(list) == 0 {
		return Loopback
	}
	return list
}

// change puts a changed access in the place of the present one. After an error nothing has changed.
func (srv *Server) change(with func(*access) error) error {
	srv.accessMu.Lock()
	defer srv.accessMu.Unlock()
	next := *srv.access.Load()
	if err := with(&next); err != nil {
		return err
	}
	srv.access.Store(&next)
	return nil
}

// SetPassword sets the password of logins from now on. Clients that have logged in stay, except
// those of CyberDB's wire, which send the password with each request.
//
// Errors: as Start's about the password.
func (srv *Server) SetPassword(password string) error {
	return srv.change(func(a *access) error { return a.setPassword(password, &srv.cfg) })
}

// SetAllow sets the networks that may connect from now on, as Config.Allow does. Connections stay.
func (srv *Server) SetAllow(networks []netip.Prefix) {
	_ = srv.change(func(a *access) error { // never fails
		a.allow = srv.cfg.allowed(networks)
		return nil
	})
}

// SetIdleTimeout sets how long a connection may be without a request, as Config.IdleTimeout does.
// Clients learn it when they log in.
func (srv *Server) SetIdleTimeout(timeout time.Duration) {
	_ = srv.change(func(a *access) error { // never fails
		a.setIdle(timeout)
		return nil
	})
	srv.clock.start() // the sweeper is to see it
}

// Allowed reports whether a peer may connect: Config.Allow, or SetAllow, has its address, or it is
// not of TCP.
func (srv *Server) Allowed(addr net.Addr) bool {
	tcp, ok := addr.(*net.TCPAddr)
	allow := srv.access.Load().allow
	if !ok || len(allow) == 0 {
		return true
	}
	ip := tcp.AddrPort().Addr().Unmap().WithZone("")
	for _, prefix := range allow {
		if prefix.Contains(ip) {
			return true
		}
	}
	return false
}
