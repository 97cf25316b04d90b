package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
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
	flags  *flagSet
	cfg    *config
	stdout *os.File
	queue  *logQueue // to stderr
	level  slog.LevelVar
}

func newServer(stdout *os.File, queue *logQueue) *server {
	flags, cfg := newFlags()
	return &server{flags: flags, cfg: cfg, stdout: stdout, queue: queue}
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
	log := s.newLogger()
	slog.SetDefault(log)
	ends, signals := watchSignals(log)

	if err := loop.CheckDescriptors(cfg.maxConns, cfg.otherDescriptors()); err != nil {
		return exitUsage, err
	}
	dir, err := openDataDir(cfg.dir)
	if err != nil {
		return exitUsage, err
	}
	defer dir.close()
	file, err := openDataFile(cfg.dataPath(dir))
	if err != nil {
		return exitUsage, err
	}
	defer file.close()
	stopProfile, err := startProfile(cfg.cpuProfile, log)
	if err != nil {
		return exitUsage, err
	}
	defer stopProfile()
	now, err := start(cfg, dir, file, log, s.queue)
	if err != nil {
		return exitUsage, err
	}
	if cfg.withStdin {
		go awaitEnd(os.Stdin, signals)
	}
	printed := make(chan struct{})
	go func() { // the reader may hang
		defer close(printed)
		writeBanner(s.stdout, bannerOf(cfg, now, dir, file, term.IsTerminal(int(s.stdout.Fd()))))
	}()
	defer waitAtMost(bannerTime, printed)
	return await(now.srv, ends, log), nil
}

// started is a server that serves.
type started struct {
	srv    *loop.Server
	pages  *web.Server // nil: none
	secret password
}

// start starts the server with the password from the settings, or with the data directory's own.
func start(
	cfg *config,
	dir *dataDir,
	file *dataFile,
	log *slog.Logger,
	queue *logQueue,
) (*started, error) {
	secret, kdf, err := credentials(cfg, dir, log)
	if err != nil {
		return nil, err
	}
	pages, err := cfg.listenHTTP(log)
	if err != nil {
		return nil, err
	}
	bar := progressBar{os.Stderr, logWriter{queue, frameRoom}}
	if err := takeOver(file.path, classesOf(cfg.legacy.opaque), bar, log); err != nil {
		return nil, err
	}
	data := loop.Data{
		File: file.path, Journal: file.journal, Cycle: cfg.cycle, Fsync: cfg.fsync,
		NoJournal: cfg.noJournal, Repair: cfg.repair, ExitOnIOError: cfg.exitOnIOError,
		Control: dir.file(controlFile), Progress: loadProgress(bar),
	}
	srv, err := loop.Start(loop.Config{
		Addr:        cfg.tcpAddr(),
		Unix:        cfg.unix,
		UnixMode:    cfg.unixMode,
		MaxConns:    cfg.maxConns,
		Allow:       cfg.allow,
		IdleTimeout: cfg.idle,

		MaxMemoryBytes: cfg.memory,
		EvictAll:       cfg.evictAll,
		Data:           data,

		Password: secret.text,
		KDF:      kdf,
		Encrypt:  cfg.encrypt,

		Legacy:         cfg.legacy.on,
		LegacyInsecure: cfg.legacy.insecure,
		LegacyOpaque:   cfg.legacy.opaque,

		EventLoops:      cfg.eventLoops,
		Logger:          log,
		LogRequest:      cfg.log.requests,
		DroppedLogLines: queue.dropped.Load,

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
func credentials(cfg *config, dir *dataDir, log *slog.Logger) (password, secure.KDF, error) {
	secret, err := cfg.password.read(dir)
	if err != nil {
		return password{}, secure.KDF{}, err
	}
	if err := cfg.checkReach(secret); err != nil {
		return password{}, secure.KDF{}, err
	}
	warnings := slices.Concat(dir.warnings, secret.warnings, cfg.legacyWarnings(), cfg.httpWarnings())
	kdf, err := dir.kdf()
	if err == nil {
		for _, warning := range warnings {
			log.Warn(warning)
		}
	}
	return secret, kdf, err
}

// await waits until a signal has stopped the server, or the server has ended by itself, and returns
// the exit code. A second signal shortens the stop.
func await(srv *loop.Server, ends *ends, log *slog.Logger) int {
	ended := make(chan error, 1)
	go func() { ended <- srv.Wait() }()
	select {
	case sig := <-ends.first:
		log.Info("stopping", slog.String("signal", sig.String()))
	case err := <-ended:
		log.Error("the server ended", slog.Any("error", err))
		return exitFailed
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	go func() { _ = srv.Stop(ctx) }() // Wait returns its error
	for {
		select {
		case sig := <-ends.second:
			log.Warn("stopping immediately: dropping connections, skipping or interrupting the last save",
				slog.String("signal", sig.String()))
			srv.Hurry()
		case err := <-ended:
			return stopped(err, log)
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
