package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"cyberdb-fast/loop"
	"cyberdb-fast/persist"
)

// newCheckCommand returns the command that checks a .cdb file.
func newCheckCommand(stdout, stderr *os.File) *cobra.Command {
	cmd := &cobra.Command{
		Use:                   "check FILE [--digest | --salvage NEWFILE]",
		Short:                 "Read a whole data file and say whether it is intact",
		GroupID:               filesGroup,
		DisableFlagsInUseLine: true,
		Args:                  arguments(1, 1),
	}
	salvage := cmd.Flags().String("salvage", "", "write what can be read to this new `file`")
	digest := cmd.Flags().Bool("digest", false, "print the digest of what is stored, in one line")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		if *digest && *salvage != "" {
			return usageOf(cmd)
		}
		name, err := follow(args[0])
		if err != nil {
			return usageError(err)
		}
		read := verify
		if *digest {
			read = printDigest
		}
		damage := read(name, stdout, loadProgress(onTerminal(stderr)))
		if *salvage == "" {
			return damage
		}
		if damage != nil {
			fmt.Fprintf(stderr, "cyberdb-fast: %v\n", damage)
		}
		if err := printSalvage(name, *salvage, stdout); err != nil {
			return usageError(err)
		}
		if damage != nil {
			return exitWith(exitFailed)
		}
		return nil
	}
	return cmd
}

// printSalvage writes what can be read of a file to a new one, and says what is lost.
func printSalvage(name, to string, stdout io.Writer) error {
	saved, err := salvageTo(name, to)
	if err != nil {
		return err
	}
	for _, lost := range saved.Lost {
		fmt.Fprintf(stdout, "lost: %v\n", lost)
	}
	fmt.Fprintf(
		stdout, "%s: %d items in %d tables saved, %d parts lost\n", to, saved.Items, saved.Tables, len(saved.Lost),
	)
	return nil
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
		_, err = fmt.Fprintf(stdout, "digest %v lsn %d tables %d items %d\n", sum, r.Info().LSN, sum.Tables, sum.Items)
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
		fmt.Fprintf(stdout, "%v %q with %d items%s%s\n", t.Kind, t.Name, t.Len(), optionsText(t.Options),
			queueText(&t.Queue))
	}
	if err := r.Verify(runtime.GOMAXPROCS(0), progressOf(name, progress)); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "intact: %d items in %d tables\n", info.Items, info.Tables)
	return nil
}
