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

// What each signal does stands in docs/RELIABILITY.md, "Signals".
var (
	// askingSignals end the server in order. A second one may cut the end short.
	askingSignals = []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT}
	// endingSignals end it in order, too. The system or a tool sends them, often several times, so
	// they never cut the end short. A fault of the process itself, as SIGSEGV often is, never gets
	// here: the Go runtime panics for it.
	endingSignals = []os.Signal{
		syscall.SIGPWR, syscall.SIGXCPU, syscall.SIGABRT, syscall.SIGSEGV, syscall.SIGBUS,
		syscall.SIGFPE, syscall.SIGILL, syscall.SIGTRAP, syscall.SIGSYS, syscall.SIGSTKFLT,
	}
	// loggedSignals are ignored, and the log says so.
	loggedSignals = []os.Signal{syscall.SIGUSR2, syscall.SIGALRM, syscall.SIGVTALRM, syscall.SIGIO}
	// silentSignals accompany an error of a write, which is handled where it occurs.
	silentSignals = []os.Signal{syscall.SIGPIPE, syscall.SIGXFSZ}
)

// sameSignal is how long after the first request to end another one counts as the same: timeout(1)
// and service managers signal a process and then its group.
const sameSignal = time.Second

// maxStackBytes bounds what SIGUSR1 writes to the log.
const maxStackBytes = 1 << 20

// ends carries the requests to end the server.
type ends struct {
	first  chan os.Signal // the first one
	second chan os.Signal // a later, deliberate one, at most once

	log        *slog.Logger
	hangUpEnds bool // SIGHUP ends the server
}

// watchSignals handles signals from here on.
func watchSignals(log *slog.Logger) (e *ends, signals chan os.Signal) {
	e = &ends{first: make(chan os.Signal, 1), second: make(chan os.Signal, 1), log: log}
	e.hangUpEnds = !signal.Ignored(syscall.SIGHUP) && hasTerminal() // nohup ignores it
	signals = make(chan os.Signal, 16)
	signal.Ignore(silentSignals...)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGUSR1)
	signal.Notify(signals, slices.Concat(askingSignals, endingSignals, loggedSignals)...)
	go e.watch(signals)
	return e, signals
}

// hasTerminal says whether the process was started on a terminal: it has a controlling one, or one
// of its standard streams is one.
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

// watch sorts signals for good.
func (e *ends) watch(signals <-chan os.Signal) {
	var since time.Time // the first request to end
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

// isEnd says whether a signal asks the server to end.
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
		e.log.Info("no reload: settings are read at the start only", slog.String("signal", sig.String()))
	default:
		e.log.Info("ignored", slog.String("signal", sig.String()))
	}
}

// inputEnded is the signal that the end of standard input is taken for.
type inputEnded struct{}

func (inputEnded) Signal()        {}
func (inputEnded) String() string { return "standard input ended" }

// awaitEnd reads to the end of in, which comes with the end of the process that holds the other end
// of the pipe, however it ends.
func awaitEnd(in io.Reader, signals chan<- os.Signal) {
	_, _ = io.Copy(io.Discard, in)
	signals <- inputEnded{}
}
