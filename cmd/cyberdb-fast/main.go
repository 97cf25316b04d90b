package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"golang.org/x/term"

	"cyberdb-fast/loop"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1 // serving or stopping failed
	exitUsage  = 2 // could not start as told
)

// stopTime is how long requests in hand may take after the first signal.
const stopTime = 10 * time.Second

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is the command; it returns the exit code.
func run(args []string, stdout, stderr *os.File) int {
	if len(args) > 0 {
		switch args[0] {
		case "check":
			return check(args[1:], stdout, stderr)
		case exportCommand:
			return runExport(args[1:], stdout, stderr)
		case importCommand:
			return runImport(args[1:], stdout, stderr)
		}
	}
	flags, cfg := newFlags()
	if err := flags.read(args, cfg, os.LookupEnv); err != nil {
		return usageError(stderr, err)
	}
	switch {
	case cfg.help:
		_, _ = io.WriteString(stdout, flags.usage())
		return exitOK
	case cfg.version:
		fmt.Fprintln(stdout, versionLine())
		return exitOK
	}
	signal.Ignore(syscall.SIGPIPE) // whoever reads the log may go; the server stays
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	log := slog.New(slog.NewTextHandler(stderr, nil))

	if err := loop.CheckDescriptors(cfg.maxConns); err != nil {
		return usageError(stderr, err)
	}
	dir, err := openDataDir(cfg.dir)
	if err != nil {
		return usageError(stderr, err)
	}
	defer dir.close()
	file, err := openDataFile(cfg.dataPath(dir))
	if err != nil {
		return usageError(stderr, err)
	}
	defer file.close()
	stopProfile, err := startProfile(cfg.cpuProfile, log)
	if err != nil {
		return usageError(stderr, err)
	}
	defer stopProfile()
	srv, secret, err := start(cfg, dir, file, log)
	if err != nil {
		return usageError(stderr, err)
	}
	if cfg.withStdin {
		go awaitEnd(os.Stdin, signals)
	}
	writeBanner(stdout, bannerOf(cfg, srv, dir, file, secret, term.IsTerminal(int(stdout.Fd()))))
	return serve(srv, signals, log)
}

// start starts the server with the password that the settings name, or with the data directory's own.
func start(cfg *config, dir *dataDir, file *dataFile, log *slog.Logger) (*loop.Server, password, error) {
	secret, err := cfg.password.read(dir)
	if err != nil {
		return nil, password{}, err
	}
	if err := cfg.checkReach(secret); err != nil {
		return nil, password{}, err
	}
	kdf, err := dir.kdf()
	if err != nil {
		return nil, password{}, err
	}
	for _, warning := range slices.Concat(dir.warnings, secret.warnings, cfg.legacyWarnings()) {
		log.Warn(warning)
	}
	if err := takeOver(file.path, classesOf(cfg.legacy.opaque), os.Stderr, log); err != nil {
		return nil, password{}, err
	}
	data := loop.Data{
		File: file.path, Journal: file.journal, Cycle: cfg.cycle, Fsync: cfg.fsync,
		NoJournal: cfg.noJournal, Repair: cfg.repair, ExitOnIOError: cfg.exitOnIOError,
		Control: dir.file(controlFile), Progress: loadProgress(os.Stderr),
	}
	srv, err := loop.Start(loop.Config{
		Addr:        cfg.tcpAddr(),
		Unix:        cfg.unix,
		UnixMode:    cfg.unixMode,
		MaxConns:    cfg.maxConns,
		Allow:       cfg.allow,
		IdleTimeout: cfg.idle,

		MaxMemoryBytes: cfg.memory,
		Data:           data,

		Password: secret.text,
		KDF:      kdf,
		Encrypt:  cfg.encrypt,

		Legacy:         cfg.legacy.on,
		LegacyInsecure: cfg.legacy.insecure,
		LegacyOpaque:   cfg.legacy.opaque,

		EventLoops: cfg.eventLoops,
		Logger:     log,
		LogRequest: cfg.printLog,
		Version:    version(),
	})
	if err != nil {
		return nil, password{}, explainStart(err, cfg, file)
	}
	return srv, secret, nil
}

// serve returns the exit code once a signal has stopped the server, a second one has cut that short, or the server has ended by itself.
func serve(srv *loop.Server, signals <-chan os.Signal, log *slog.Logger) int {
	ended := make(chan error, 1)
	go func() { ended <- srv.Wait() }()
	select {
	case sig := <-signals:
		log.Info("stopping", slog.String("signal", sig.String()))
	case err := <-ended:
		log.Error("the server ended", slog.Any("error", err))
		return exitFailed
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	go func() { _ = srv.Stop(ctx) }() // Wait gives its error
	select {
	case sig := <-signals:
		log.Error("ended at once", slog.String("signal", sig.String()))
		return exitFailed
	case err := <-ended:
		switch {
		case errors.Is(err, loop.ErrUnsaved):
			log.Error("stopped, and not all of the tables could be written to disk", slog.Any("error", err))
			return exitFailed
		case err != nil:
			log.Error("stopped, not all connections were served to their end", slog.Any("error", err))
			return exitFailed
		}
		log.Info("stopped")
		return exitOK
	}
}

// inputEnded is the signal that the end of standard input is taken for.
type inputEnded struct{}

func (inputEnded) Signal()        {}
func (inputEnded) String() string { return "standard input ended" }

// awaitEnd reads to the end of in, which comes with the end of the process that holds the other end of the pipe, however it ends.
func awaitEnd(in io.Reader, signals chan<- os.Signal) {
	_, _ = io.Copy(io.Discard, in)
	signals <- inputEnded{}
}

// usageError prints why the server does not start, in one line.
func usageError(stderr io.Writer, err error) int {
	fmt.Fprintf(stderr, "cyberdb-fast: %v\n", err)
	return exitUsage
}
