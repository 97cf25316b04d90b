package loop

import (
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
)

// Changes says what a change of settings has done.
type Changes struct {
	Made        []string `json:"changed"`      // "slow-request: 10ms -> 5ms"
	NeedRestart []string `json:"need_restart"` // settings with another value in a file, which a restart would take
}

// whereReply is the answer to a client on this machine that asks how to connect.
type whereReply struct {
	OK        bool   `json:"ok"`
	Address   string `json:"address"` // of TCP, as a client on this machine reaches it; "": none
	Unix      string `json:"unix"`    // path of the Unix socket; "": none
	Encrypted bool   `json:"encrypted"`
}

// changesReply is the answer to a request that changes settings.
type changesReply struct {
	OK bool `json:"ok"`
	Changes
}

// settings answers a request about settings. known is false for another request.
func (c *controlSocket) settings(req *controlRequest) (reply any, known bool) {
	switch req.Do {
	case "where":
		return c.srv.where(), true
	case "reload":
		return c.change(req.Do, nil), true
	case "configure":
		if len(req.Settings) == 0 {
			return &controlReply{
				Error: `configure needs settings: {"do":"configure","settings":{"log-level":"warn"}}`,
			}, true
		}
		return c.change(req.Do, req.Settings), true
	}
	return nil, false
}

// change changes settings by Config.Change.
func (c *controlSocket) change(do string, settings map[string]string) any {
	err := errors.New("this server does not change settings while it runs")
	var changes Changes
	if c.srv.cfg.Change != nil {
		changes, err = c.srv.cfg.Change(c.srv, settings)
	}
	if err != nil {
		c.srv.log.Warn("control", slog.String("do", do), slog.Any("error", err))
		return &controlReply{Error: err.Error()}
	}
	return &changesReply{true, changes}
}

// where says how clients on this machine connect.
func (srv *Server) where() *whereReply {
	reply := &whereReply{OK: true, Encrypted: srv.cfg.Encrypt}
	for _, ln := range srv.listeners {
		switch addr := ln.Addr().(type) {
		case *net.TCPAddr:
			reply.Address = reachable(*addr).String()
		case *net.UnixAddr:
			if reply.Unix = addr.Name; !strings.HasPrefix(addr.Name, "@") {
				if path, err := filepath.Abs(addr.Name); err == nil {
					reply.Unix = path
				}
			}
		}
	}
	return reply
}

// reachable returns the address of a listener as this machine reaches it.
func reachable(addr net.TCPAddr) *net.TCPAddr {
	if addr.IP.IsUnspecified() {
		addr.IP = net.IPv4(127, 0, 0, 1) // an unspecified IPv6 address takes IPv4 connections too
	}
	return &addr
}
