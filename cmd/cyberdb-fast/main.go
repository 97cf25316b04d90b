package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"time"

	"golang.org/x/term"

	"cyberdb-fast/loop"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1 // serving or stopping failed
	exitUsage  = 2 // could not start with these settings
)

// stopTime is how long pending requests may take after the first signal.
const stopTime = 10 * time.Second

// bannerTime is how long an immediate exit waits for the banner.
const bannerTime = 200 * time.Millisecond

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is the command. It returns the exit code.
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
	queue := newLogQueue(stderr)
	defer queue.close(flushTime)
	return runServer(args, stdout, stderr, queue)
}

// runServer is the command without a subcommand. None of its output waits for a reader.
func runServer(args []string, stdout, stderr *os.File, queue *logQueue) int {
	reasons := logWriter{queue, panicRoom}
	flags, cfg := newFlags()
	refuse := func(err error) int {
		if cfg.withStdin { // the parent reads the first lines of stdout
			fmt.Fprintf(stdout, "  %-10s%v\n", "failed", err)
		}
		return usageError(reasons, err)
	}
	if err := flags.read(flagsOf(args), cfg, os.LookupEnv); err != nil {
		return refuse(err)
	}
	switch {
	case cfg.help:
		_, _ = io.WriteString(stdout, flags.usage())
		return exitOK
	case cfg.version:
		fmt.Fprintln(stdout, versionLine())
		return exitOK
	}
	log := newLogger(queue)
	slog.SetDefault(log)
	ends, signals := watchSignals(log)

	if err := loop.CheckDescriptors(cfg.maxConns); err != nil {
		return refuse(err)
	}
	dir, err := openDataDir(cfg.dir)
	if err != nil {
		return refuse(err)
	}
	defer dir.close()
	file, err := openDataFile(cfg.dataPath(dir))
	if err != nil {
		return refuse(err)
	}
	defer file.close()
	stopProfile, err := startProfile(cfg.cpuProfile, log)
	if err != nil {
		return refuse(err)
	}
	defer stopProfile()
	srv, secret, err := start(cfg, dir, file, log, queue)
	if err != nil {
		return refuse(err)
	}
	if cfg.withStdin {
		go awaitEnd(os.Stdin, signals)
	}
	printed := make(chan struct{})
	go func() { // the reader may hang
		defer close(printed)
		writeBanner(stdout, bannerOf(cfg, srv, dir, file, secret, term.IsTerminal(int(stdout.Fd()))))
	}()
	defer waitAtMost(bannerTime, printed)
	return serve(srv, ends, log)
}

// flagsOf returns the flags for the words help and version, which many programs accept.
func flagsOf(args []string) []string {
	switch {
	case len(args) == 1 && args[0] == "help":
		return []string{"--help"}
	case len(args) == 1 && args[0] == "version":
		return []string{"--version"}
	}
	return args
}

// start starts the server with the password from the settings, or with the data directory's own.
func start(
	cfg *config,
	dir *dataDir,
	file *dataFile,
	log *slog.Logger,
	queue *logQueue,
) (*loop.Server, password, error) {
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
	bar := progressBar{os.Stderr, logWriter{queue, frameRoom}}
	if err := takeOver(file.path, classesOf(cfg.legacy.opaque), bar, log); err != nil {
		return nil, password{}, err
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
		LogRequest:      cfg.printLog,
		DroppedLogLines: queue.dropped.Load,
		Version:         version(),
	})
	if err != nil {
		return nil, password{}, explainStart(err, cfg, file)
	}
	return srv, secret, nil
}

// serve waits until a signal has stopped the server, or the server has ended by itself, and returns
// the exit code. A second signal shortens the stop.
func serve(srv *loop.Server, ends *ends, log *slog.Logger) int {
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

// usageError prints why the server does not start, in one line.
func usageError(stderr io.Writer, err error) int {
	fmt.Fprintf(stderr, "cyberdb-fast: %v\n", err)
	return exitUsage
}
