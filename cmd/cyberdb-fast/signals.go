package main

import (
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// docs/RELIABILITY.md, "Signals", describes what each signal does.
var (
	// askingSignals shut the server down cleanly. A second one may shorten that.
	askingSignals = []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT}
	// endingSignals also shut it down cleanly. The system or a tool sends them, often several
	// times, so they never shorten the shutdown. A fault of the process itself, as SIGSEGV often
	// is, never gets here: the Go runtime panics.
	endingSignals = []os.Signal{
		syscall.SIGPWR, syscall.SIGXCPU, syscall.SIGABRT, syscall.SIGSEGV, syscall.SIGBUS,
		syscall.SIGFPE, syscall.SIGILL, syscall.SIGTRAP, syscall.SIGSYS, syscall.SIGSTKFLT,
	}
	// loggedSignals are ignored and logged.
	loggedSignals = []os.Signal{syscall.SIGUSR2, syscall.SIGALRM, syscall.SIGVTALRM, syscall.SIGIO}
	// silentSignals accompany a write error, which is handled where it occurs.
	silentSignals = []os.Signal{syscall.SIGPIPE, syscall.SIGXFSZ}
)

// sameSignal is how long after the first shutdown signal another one counts as the same: timeout(1)
// and service managers signal a process and then its group.
const sameSignal = time.Second

// maxStackBytes bounds what SIGUSR1 writes to the log.
const maxStackBytes = 1 << 20

// ends passes on the shutdown signals.
type ends struct {
	first  chan os.Signal // the first signal
	second chan os.Signal // a later, deliberate one, at most once
	hangUp chan struct{}  // SIGHUP, if it does not shut the server down

	log        *slog.Logger
	hangUpEnds bool // SIGHUP shuts the server down
}

// watchSignals handles signals from now on.
func watchSignals(log *slog.Logger) (e *ends, signals chan os.Signal) {
	e = &ends{first: make(chan os.Signal, 1), second: make(chan os.Signal, 1), hangUp: make(chan struct{}, 1), log: log}
	e.hangUpEnds = !signal.Ignored(syscall.SIGHUP) && hasTerminal() // nohup ignores it
	signals = make(chan os.Signal, 16)
	signal.Ignore(silentSignals...)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGUSR1)
	signal.Notify(signals, slices.Concat(askingSignals, endingSignals, loggedSignals)...)
	go e.watch(signals)
	return e, signals
}

// hasTerminal reports whether the process was started on a terminal: it has a controlling terminal,
// or one of its standard streams is a terminal.
func hasTerminal() bool {
	for _, f := range []*os.File{os.Stdin, os.Stdout, os.Stderr} {
		if term.IsTerminal(int(f.Fd())) {
			return true
		}
	}
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return false
	}
	_ = tty.Close()
	return true
}

// watch handles signals until the process ends.
func (e *ends) watch(signals <-chan os.Signal) {
	var since time.Time // the first shutdown signal
	hurried := false
	for sig := range signals {
		switch {
		case !e.isEnd(sig):
			e.other(sig)
		case since.IsZero():
			since = time.Now()
			e.first <- sig
		case !hurried && slices.Contains(askingSignals, sig) && time.Since(since) >= sameSignal:
			hurried = true
			e.second <- sig
		}
	}
}

// isEnd reports whether a signal shuts the server down.
func (e *ends) isEnd(sig os.Signal) bool {
	if sig == syscall.SIGHUP {
		return e.hangUpEnds
	}
	return sig == inputEnded{} || slices.Contains(askingSignals, sig) || slices.Contains(endingSignals, sig)
}

// other handles a signal that does not end the server.
func (e *ends) other(sig os.Signal) {
	switch sig {
	case syscall.SIGUSR1:
		stacks := make([]byte, maxStackBytes)
		stacks = stacks[:runtime.Stack(stacks, true)]
		e.log.Info("stacks of all goroutines", slog.String("stacks", string(stacks)))
	case syscall.SIGHUP:
		select {
		case e.hangUp <- struct{}{}:
		default: // one is to be handled
		}
	default:
		e.log.Info("ignored", slog.String("signal", sig.String()))
	}
}

// inputEnded stands for the end of standard input as a signal.
type inputEnded struct{}

func (inputEnded) Signal()        {}
func (inputEnded) String() string { return "standard input ended" }

// awaitEnd reads in to its end, which comes with the end of the process at the other end of the
// pipe, however that ends.
func awaitEnd(in io.Reader, signals chan<- os.Signal) {
	_, _ = io.Copy(io.Discard, in)
	signals <- inputEnded{}
}
