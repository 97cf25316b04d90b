package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	systemd "github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"

	"cyberdb-fast/loop"
)

const (
	// statusInterval is how often a server without a watchdog tells the service manager its state.
	statusInterval = 30 * time.Second
	// maxNotices is how many messages wait for a service manager that does not read them.
	maxNotices = 16
)

// notifier tells systemd what the server does, by the socket that NOTIFY_SOCKET names:
// sd_notify(3). Without it, its methods do nothing. None but close waits for systemd.
type notifier struct {
	notices chan string   // nil: there is no service manager
	done    chan struct{} // closed when all notices are sent after close
	watch   time.Duration // how often the watchdog wants to hear from the server; 0: there is none
}

func newNotifier(log *slog.Logger) *notifier {
	n := &notifier{}
	if os.Getenv("NOTIFY_SOCKET") == "" {
		return n
	}
	n.notices, n.done = make(chan string, maxNotices), make(chan struct{})
	if every, err := systemd.SdWatchdogEnabled(false); err != nil {
		log.Warn("no watchdog", slog.Any("error", err))
	} else {
		n.watch = every / 2
	}
	go func() {
		defer close(n.done)
		failed := false
		for notice := range n.notices {
			if _, err := systemd.SdNotify(false, notice); err != nil && !failed {
				failed = true
				log.Warn("cannot notify the service manager", slog.Any("error", err))
			}
		}
	}()
	return n
}

// send sends a message, unless too many wait.
func (n *notifier) send(notice string) {
	select {
	case n.notices <- notice:
	default: // always, if there is no service manager
	}
}

// close returns when everything is sent, or after flushTime. Nothing may be sent afterwards.
func (n *notifier) close() {
	if n.notices == nil {
		return
	}
	close(n.notices)
	waitAtMost(flushTime, n.done)
}

func (n *notifier) loading(file string)       { n.send("STATUS=loading " + file) }
func (n *notifier) ready(srv *loop.Server)    { n.send("READY=1\nSTATUS=" + statusOf(srv)) }
func (n *notifier) stopping(why fmt.Stringer) { n.send("STOPPING=1\nSTATUS=stopping: " + why.String()) }

// reloading is followed by ready.
func (n *notifier) reloading() {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return
	}
	n.send(fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d", now.Nano()/int64(time.Microsecond)))
}

// statusOf describes a server that serves in one line.
func statusOf(srv *loop.Server) string {
	info := srv.Info()
	return fmt.Sprintf("serving %d tables to %d connections on %v", info.Tables, info.Connections, srv.Addr())
}

// report tells the state and feeds the watchdog, until ctx ends. The watchdog is fed while all
// event loops answer.
func (n *notifier) report(ctx context.Context, srv *loop.Server, log *slog.Logger) {
	if n.notices == nil {
		return
	}
	every := statusInterval
	if n.watch > 0 {
		every = n.watch
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	told := ""
	for {
		if n.watch > 0 {
			n.feed(ctx, srv, log)
		}
		if status := statusOf(srv); status != told {
			told = status
			n.send("STATUS=" + status)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// feed feeds the watchdog if all event loops answer within its interval.
func (n *notifier) feed(ctx context.Context, srv *loop.Server, log *slog.Logger) {
	limited, cancel := context.WithTimeout(ctx, n.watch)
	defer cancel()
	if err := srv.Alive(limited); err == nil {
		n.send(systemd.SdNotifyWatchdog)
	} else if ctx.Err() == nil {
		log.Error("the watchdog is not fed", slog.Any("error", err))
	}
}
