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

// importCommand is the command that converts another file to a .cdb file.
const importCommand = "import"

const importUsage = "cyberdb-fast import FILE -o NEW.cdb [--keep-opaque]"

const importHelp = "Usage: " + importUsage + `

Converts JSON lines, as written by "cyberdb-fast export", or a data file of CyberDB 0.9.3 to a .cdb
file. The format is recognized by the content. The input file is not changed. Nothing in it is executed,
and the password in a file of CyberDB is not imported. To serve the new file, name it data.cdb and start
the server with --dir and its directory.

--keep-opaque stores objects of your own classes in a file of CyberDB as opaque bytes. A Python client
unpickles them, which runs the code that they name: use it only for files that you trust.
`

// headBytes are enough to recognize a file.
const headBytes = 4096

// runImport converts a file in another format to a .cdb file. It returns the exit code. The other
// file is only read.
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

// importFile recognizes the format of a file by its content and writes a new file, completely or
// not at all. It returns a summary.
func importFile(from, to string, classes legacy.Classes, progress progressFunc) (summary string, err error) {
	if _, err := os.Lstat(to); !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf(
			"import: %s exists and will not be overwritten; choose another name with -o, or move it away",
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
			"import: %s is already a file of this server: start with --file, or load it over the control socket",
			from,
		)
	}
	return "", fmt.Errorf(
		"import: %s has an unknown format: neither JSON lines, as written by `cyberdb-fast export`, nor a data "+
			"file of CyberDB 0.9.3",
		from,
	)
}

// claimNew reserves the name of a new .cdb file until release is called.
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
