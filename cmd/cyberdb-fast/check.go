package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"

	"github.com/spf13/pflag"

	"cyberdb-fast/loop"
	"cyberdb-fast/persist"
)

const checkUsage = "cyberdb-fast check FILE [--digest | --salvage NEWFILE]"

// check is the command that checks a .cdb file. It returns the exit code.
func check(args []string, stdout, stderr *os.File) int {
	flags := pflag.NewFlagSet("cyberdb-fast check", pflag.ContinueOnError)
	flags.Usage = func() {}
	salvage := flags.String("salvage", "", "")
	digest := flags.Bool("digest", false, "")
	if err := flags.Parse(args); err != nil || flags.NArg() != 1 || *digest && *salvage != "" {
		if errors.Is(err, pflag.ErrHelp) {
			_, _ = io.WriteString(stdout, "Usage: "+checkUsage+"\n")
			return exitOK
		}
		return usageError(stderr, errors.New("usage: "+checkUsage))
	}
	name, err := follow(flags.Arg(0))
	if err != nil {
		return usageError(stderr, err)
	}
	read := verify
	if *digest {
		read = printDigest
	}
	damage := read(name, stdout, loadProgress(onTerminal(stderr)))
	if damage != nil {
		fmt.Fprintf(stderr, "cyberdb-fast: %v\n", damage)
	}
	if *salvage != "" {
		saved, err := salvageTo(name, *salvage)
		if err != nil {
			return usageError(stderr, err)
		}
		for _, lost := range saved.Lost {
			fmt.Fprintf(stdout, "lost: %v\n", lost)
		}
		fmt.Fprintf(
			stdout,
			"%s: %d items in %d tables saved, %d parts lost\n",
			*salvage,
			saved.Items,
			saved.Tables,
			len(saved.Lost),
		)
	}
	if damage != nil {
		return exitFailed
	}
	return exitOK
}

// salvageTo writes what can be read of a file to a new one.
func salvageTo(name, to string) (*persist.Salvaged, error) {
	release, err := claimNew(to)
	if err != nil {
		return nil, err
	}
	defer release()
	return persist.Salvage(persist.OS, name, to)
}

// openToCheck opens a .cdb file, and says what another file is.
func openToCheck(name string) (*persist.Reader, error) {
	r, err := persist.Open(persist.OS, name)
	if errors.Is(err, persist.ErrForeign) {
		if is, _ := isOldFile(name); is {
			return nil, fmt.Errorf(
				"%s was written by CyberDB; check it with `cyberdb-fast import %s -o NEW.cdb`, which reads all of it",
				name,
				name,
			)
		}
		return nil, fmt.Errorf("%w: not written by cyberdb-fast", err)
	}
	return r, err
}

// progressOf returns the progress of one file; nil: it is not shown.
func progressOf(name string, progress func(file string, done, total int64)) func(done, total int64) {
	if progress == nil {
		return nil
	}
	return func(done, total int64) { progress(name, done, total) }
}

// printDigest reads a whole file and prints its digest, if it is intact, in one line for scripts.
func printDigest(name string, stdout io.Writer, progress func(file string, done, total int64)) error {
	r, err := openToCheck(name)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }() // only read
	sum, err := loop.FileDigest(r, runtime.GOMAXPROCS(0), progressOf(name, progress))
	if err == nil {
		fmt.Fprintf(stdout, "digest %v lsn %d tables %d items %d\n", sum, r.Info().LSN, sum.Tables, sum.Items)
	}
	return err
}

// verify reads a whole file, lists its tables, and returns what is wrong with it.
func verify(name string, stdout io.Writer, progress func(file string, done, total int64)) error {
	r, err := openToCheck(name)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }() // only read
	info := r.Info()
	fmt.Fprintf(
		stdout,
		"%s: %d bytes, database %v, changes up to %d, saved %s\n",
		name,
		info.Bytes,
		info.Database,
		info.LSN,
		info.Created.UTC().Format(time.RFC3339),
	)
	for _, t := range r.Tables() {
		fmt.Fprintf(stdout, "%v %q with %d items%s\n", t.Kind, t.Name, t.Items, optionsText(t.Options))
	}
	if err := r.Verify(runtime.GOMAXPROCS(0), progressOf(name, progress)); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "intact: %d items in %d tables\n", info.Items, info.Tables)
	return nil
}
