package loop

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"cyberdb-fast/loop/engine"
)

// gnetLog passes gnet's own messages to slog. Its Fatalf does not end the process.
type gnetLog struct{ log *slog.Logger }

func (g gnetLog) Debugf(format string, args ...any) { g.log.Debug(fmt.Sprintf(format, args...)) }
func (g gnetLog) Infof(format string, args ...any)  { g.log.Debug(fmt.Sprintf(format, args...)) }
func (g gnetLog) Warnf(format string, args ...any)  { g.log.Warn(fmt.Sprintf(format, args...)) }
func (g gnetLog) Errorf(format string, args ...any) { g.log.Error(fmt.Sprintf(format, args...)) }
func (g gnetLog) Fatalf(format string, args ...any) { g.log.Error(fmt.Sprintf(format, args...)) }

// peerName returns the peer's address for logs.
func peerName(addr net.Addr) string {
	if addr == nil {
		return "unknown"
	}
	if tcp, ok := addr.(*net.TCPAddr); ok {
		return netip.AddrPortFrom(tcp.AddrPort().Addr().Unmap(), tcp.AddrPort().Port()).String()
	}
	return addr.Network() + ":" + addr.String()
}

// maxReasonBytes is the longest reason in a log line.
const maxReasonBytes = 256

// reasonOf is why a connection ended, for the log. It may quote bytes of a client that has not
// authenticated: it is cut here, and the log's handler escapes it.
func reasonOf(err error) slog.Attr {
	return slog.String("reason", shortenedTo(maxReasonBytes, err.Error()))
}

// took is the time since the start of something, for the log: text in JSON too, since a number
// there would have no unit.
func took(start time.Time) slog.Attr {
	return slog.String("took", time.Since(start).Round(tookUnit).String())
}

// tookUnit is the precision of the times that are logged.
const tookUnit = 100 * time.Microsecond

// limitedLog writes each message at most once per interval, with the number of those that it
// suppressed.
type limitedLog struct {
	log   *slog.Logger
	every time.Duration

	mu   sync.Mutex
	last map[string]*limitedMessage // by message, of which there are few; guarded by mu
}

type limitedMessage struct {
	at         time.Time
	suppressed int
}

func (l *limitedLog) warn(msg string, attrs ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	last := l.last[msg]
	if last == nil {
		last = &limitedMessage{}
		l.last[msg] = last
	}
	now := time.Now()
	if now.Sub(last.at) < l.every {
		last.suppressed++
		return
	}
	if last.suppressed > 0 {
		attrs = append(attrs, slog.Int("suppressed", last.suppressed))
	}
	last.at, last.suppressed = now, 0
	l.log.Warn(msg, attrs...)
}

// shortenedTo returns the first most bytes of a text, and dots in the place of the rest.
func shortenedTo(most int, text string) string {
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + "..."
	}
	return text
}

// logRequest logs an answered request, if Config.LogRequest is set.
func (srv *Server) logRequest(peer net.Addr, result *engine.Result) {
	if srv.cfg.LogRequest {
		srv.log.Info("request", slog.String("peer", peerName(peer)), slog.String("op", result.Op.String()),
			slog.String("table", string(result.TableName)), slog.String("status", result.Status.String()))
	}
}
