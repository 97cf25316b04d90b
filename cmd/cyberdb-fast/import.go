package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"

	"cyberdb-fast/codec/legacy"
	"cyberdb-fast/persist"
)

// importCommand is the first argument of the command that makes a .cdb file of another.
const importCommand = "import"

const importUsage = "cyberdb-fast import FILE -o NEW.cdb [--keep-opaque]"

const importHelp = "Usage: " + importUsage + `

Makes a file of this server's of JSON lines, as "cyberdb-fast export" writes them, or of a file that CyberDB 0.9.3 wrote; its content tells which. The
file stays as it is. Nothing in it is executed, and the password in one of CyberDB's is not taken. To serve the new file, name it data.cdb and
start with --dir and its directory.

--keep-opaque keeps objects of your own classes in a file of CyberDB's unopened; a Python client gets them back as they were, and with them the
code that they name: use it for files that you trust alone.
`

// headBytes are enough to recognise a file.
const headBytes = 4096

// runImport makes a .cdb file of one in another form; it returns the exit code. The other file is
// only read.
func runImport(args []string, stdout, stderr *os.File) int {
	flags := pflag.NewFlagSet(importCommand, pflag.ContinueOnError)
	flags.Usage = func() {}
	out := flags.StringP("output", "o", "", "")
	opaque := flags.Bool("keep-opaque", false, "")
	err := flags.Parse(args)
	switch {
	case errors.Is(err, pflag.ErrHelp):
		_, _ = io.WriteString(stdout, importHelp)
		return exitOK
	case err != nil || flags.NArg() != 1 || *out == "":
		return usageError(stderr, errors.New("usage: "+importUsage))
	}
	summary, err := importFile(flags.Arg(0), *out, classesOf(*opaque), fileProgress("reading", onTerminal(stderr)))
	if err != nil {
		return usageError(stderr, err)
	}
	_, _ = io.WriteString(stdout, summary)
	return exitOK
}

// importFile reads a file, whose form its content tells, and writes a new one, whole or not at all.
// It returns the lines that tell what was done.
func importFile(from, to string, classes legacy.Classes, progress progressFunc) (summary string, err error) {
	if _, err := os.Lstat(to); !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf(
			"import: %s is there already: nothing is overwritten; choose another name with -o, or move it away",
			to,
		)
	}
	release, err := claimNew(to)
	if err != nil {
		return "", fmt.Errorf("import: %w", err)
	}
	defer release()
	head, err := headOf(from)
	switch {
	case err != nil:
		return "", fmt.Errorf("import: %w", err)
	case isJSONLines(head):
		return importJSONLines(from, to, progress)
	case legacy.IsFile(head):
		return importOld(from, to, classes, progress)
	}
	if path, err := follow(from); err != nil {
		return "", fmt.Errorf("import: %w", err)
	} else if r, err := persist.Open(persist.OS, path); err == nil {
		_ = r.Close() // only read
		return "", fmt.Errorf(
			"import: %s is a file of this server's already: start with it by --file, or load it by the control socket",
			from,
		)
	}
	return "", fmt.Errorf(
		"import: %s is in no form that is known: neither JSON lines, as `cyberdb-fast export` writes them, nor a data file of CyberDB 0.9.3",
		from,
	)
}

// claimNew takes the right to make a .cdb file, until release is called.
//
// Errors: those of persist.Claim.
func claimNew(to string) (release func(), err error) {
	path, err := filepath.Abs(to)
	if err != nil {
		return nil, err
	}
	if release, err = persist.Claim(persist.OS, path, path, persist.Claimant{}); err != nil {
		return nil, fmt.Errorf("%w; choose another name", err)
	}
	return release, nil
}

// headOf returns the first bytes of a file.
func headOf(name string) ([]byte, error) {
	f, size, err := openFile(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	return io.ReadAll(io.NewSectionReader(f, 0, min(size, headBytes)))
}
