package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/term"

	"cyberdb-fast/codec/secure"
	"cyberdb-fast/loop"
	"cyberdb-fast/loop/web"
)

// stopTime is how long pending requests may take after the first signal.
const stopTime = 10 * time.Second

// bannerTime is how long an immediate exit waits for the banner.
const bannerTime = 200 * time.Millisecond

// server is the command without a subcommand. None of its output waits for a reader.
type server struct {
	// constant
	args   []string // the command line
	flags  *flagSet
	cfg    *config // of the start
	stdout *os.File
	queue  *logQueue // to stderr

	// constant once it serves
	log   *slog.Logger
	level slog.LevelVar
	dir   *dataDir

	mu     sync.Mutex // held while settings change
	live   *config    // the settings since the last change; guarded by mu
	secret password   // guarded by mu
}

func newServer(args []string, stdout *os.File, queue *logQueue) *server {
	flags, cfg := newFlags()
	return &server{args: args, flags: flags, cfg: cfg, stdout: stdout, queue: queue}
}

// explain prints why the program ends, in one line.
func (s *server) explain(reason error) {
	if s.cfg.withStdin { // the parent reads the first lines of stdout
		fmt.Fprintf(s.stdout, "  %-10s%v\n", "failed", reason)
	}
	fmt.Fprintf(logWriter{s.queue, panicRoom}, "cyberdb-fast: %v\n", reason)
}

// run serves until a signal ends it.
func (s *server) run() error {
	if s.cfg.version {
		fmt.Fprintln(s.stdout, versionLine())
		return nil
	}
	if err := s.flags.complete(s.cfg, os.LookupEnv); err != nil {
		return usageError(err)
	}
	code, err := s.serve()
	if err != nil {
		return usageError(err)
	}
	return exitWith(code)
}

// newLogger returns the logger that the settings ask for.
func (s *server) newLogger() *slog.Logger {
	s.level.Set(s.cfg.log.level)
	format := textLines
	if s.cfg.log.json {
		format = jsonLines
	}
	return newLogger(s.queue, format, &s.level)
}

// serve starts the server and returns the exit code.
//
// Errors: it could not start.
func (s *server) serve() (code int, err error) {
	cfg := s.cfg
	s.log = s.newLogger()
	slog.SetDefault(s.log)
	ends, signals := watchSignals(s.log)

	if err := loop.CheckDescriptors(cfg.maxConns, cfg.otherDescriptors()); err != nil {
		return exitUsage, err
	}
	if s.dir, err = openDataDir(cfg.dir); err != nil {
		return exitUsage, err
	}
	defer s.dir.close()
	file, err := openDataFile(cfg.dataPath(s.dir))
	if err != nil {
		return exitUsage, err
	}
	defer file.close()
	stopProfile, err := startProfile(cfg.cpuProfile, s.log)
	if err != nil {
		return exitUsage, err
	}
	defer stopProfile()
	systemd := newNotifier(s.log)
	defer systemd.close()
	systemd.loading(file.path)
	began := time.Now()
	now, err := s.start(file)
	if err != nil {
		return exitUsage, err
	}
	if cfg.withStdin {
		go awaitEnd(os.Stdin, signals)
	}
	banner := bannerOf(cfg, now, s.dir, file, term.IsTerminal(int(s.stdout.Fd())))
	s.logStart(now.srv, banner.addresses(), file, began)
	printed := make(chan struct{})
	go func() { // the reader may hang
		defer close(printed)
		writeBanner(s.stdout, banner)
	}()
	defer waitAtMost(bannerTime, printed)
	return s.await(now.srv, ends, systemd), nil
}

// logStart says in the log, which may be kept where the banner is not, that the server serves.
func (s *server) logStart(srv *loop.Server, addresses string, file *dataFile, began time.Time) {
	s.log.Info("started",
		slog.String("version", version()),
		slog.String("address", addresses),
		slog.String("file", file.path),
		slog.Int("tables", srv.Store().Len()),
		slog.String("took", time.Since(began).Round(time.Millisecond).String()),
	)
}

// started is a server that serves.
type started struct {
	srv    *loop.Server
	pages  *web.Server // nil: none
	secret password
}

// start starts the server with the password from the settings, or with the data directory's own.
func (s *server) start(file *dataFile) (*started, error) {
	cfg := s.cfg
	secret, kdf, err := s.credentials()
	if err != nil {
		return nil, err
	}
	pages, err := cfg.listenHTTP(s.log)
	if err != nil {
		return nil, err
	}
	bar := progressBar{os.Stderr, logWriter{s.queue, frameRoom}}
	if err := takeOver(file.path, classesOf(cfg.legacy.opaque), bar, s.log); err != nil {
		return nil, err
	}
	s.live, s.secret = cfg, secret
	srv, err := loop.Start(loop.Config{
		Addr:        cfg.tcpAddr(),
		Unix:        cfg.unix,
		UnixMode:    cfg.unixMode,
		MaxConns:    cfg.maxConns,
		Allow:       cfg.allow,
		IdleTimeout: cfg.idle,

		MaxMemoryBytes: cfg.memory,
		EvictAll:       cfg.evictAll,
		Data:           s.data(file, loadProgress(bar)),

		Password: secret.text,
		KDF:      kdf,
		Encrypt:  cfg.encrypt,

		Legacy:         cfg.legacy.on,
		LegacyInsecure: cfg.legacy.insecure,
		LegacyOpaque:   cfg.legacy.opaque,

		EventLoops:      cfg.eventLoops,
		Logger:          s.log,
		LogRequest:      cfg.log.requests,
		Thresholds:      cfg.log.thresholds(),
		DroppedLogLines: s.queue.dropped.Load,
		Change:          s.change,

		OtherDescriptors: cfg.otherDescriptors(),

		Version: version(),
	})
	if err != nil {
		return nil, explainStart(err, cfg, file)
	}
	if pages != nil {
		pages.Serve(srv)
	}
	return &started{srv, pages, secret}, nil
}

// credentials returns the password and the salt of its key, and warns about the settings that make
// it less safe.
func (s *server) credentials() (password, secure.KDF, error) {
	secret, err := s.cfg.password.read(s.dir)
	if err != nil {
		return password{}, secure.KDF{}, err
	}
	if err := s.cfg.checkReach(secret); err != nil {
		return password{}, secure.KDF{}, err
	}
	kdf, err := s.dir.kdf()
	if err != nil {
		return password{}, secure.KDF{}, err
	}
	all := slices.Concat(s.dir.warnings, secret.warnings, s.cfg.legacyWarnings(), s.cfg.httpWarnings(),
		s.flags.misspelt(os.Environ()))
	for _, warning := range all {
		s.log.Warn(warning)
	}
	return secret, kdf, nil
}

// data says where the tables are kept.
func (s *server) data(file *dataFile, progress progressFunc) loop.Data {
	return loop.Data{
		File: file.path, Journal: file.journal, Cycle: s.cfg.cycle, Fsync: s.cfg.fsync,
		NoJournal: s.cfg.noJournal, Repair: s.cfg.repair, ExitOnIOError: s.cfg.exitOnIOError,
		Control: s.dir.file(controlFile), Progress: progress,
	}
}

// await waits until a signal has stopped the server, or the server has ended by itself, and returns
// the exit code. A second signal shortens the stop.
func (s *server) await(srv *loop.Server, ends *ends, systemd *notifier) int {
	ended := make(chan error, 1)
	go func() { ended <- srv.Wait() }()
	reporting, stopReports := context.WithCancel(context.Background())
	var reports sync.WaitGroup
	reports.Go(func() { systemd.report(reporting, srv, s.log) })
	defer reports.Wait() // before systemd is closed
	defer stopReports()
	systemd.ready(srv)
	for {
		select {
		case <-ends.hangUp:
			systemd.reloading()
			if _, err := s.change(srv, nil); err != nil {
				s.log.Error("not reloaded: nothing has changed", slog.Any("error", err))
			}
			systemd.ready(srv)
		case sig := <-ends.first:
			s.log.Info("stopping", slog.String("signal", sig.String()))
			stopReports()
			systemd.stopping(sig)
			return s.stop(srv, ends, ended)
		case err := <-ended:
			s.log.Error("the server ended", slog.Any("error", err))
			return exitFailed
		}
	}
}

// stop stops the server and returns the exit code.
func (s *server) stop(srv *loop.Server, ends *ends, ended <-chan error) int {
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	go func() { _ = srv.Stop(ctx) }() // Wait returns its error
	for {
		select {
		case sig := <-ends.second:
			s.log.Warn("stopping immediately: dropping connections, skipping or interrupting the last save",
				slog.String("signal", sig.String()))
			srv.Hurry()
		case err := <-ended:
			return stopped(err, s.log)
		}
	}
}

// stopped logs the result of a stop and returns the exit code.
func stopped(err error, log *slog.Logger) int {
	switch {
	case errors.Is(err, loop.ErrUnsaved):
		log.Error("stopped, but the last save or the journal failed", slog.Any("error", err))
		return exitFailed
	case err != nil:
		log.Error("stopped, but some requests were not answered", slog.Any("error", err))
		return exitFailed
	}
	log.Info("stopped")
	return exitOK
}
