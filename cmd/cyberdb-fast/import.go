package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/pflag"
)

// importCommand is the first argument of the command that makes a .cdb file of another.
const importCommand = "import"

const importUsage = "cyberdb-fast import FILE -o NEW.cdb"

// headBytes are enough to recognise a file.
const headBytes = 4096

// runImport makes a .cdb file of one in another form; it returns the exit code. The other file is only read.
func runImport(args []string, stdout, stderr *os.File) int {
	flags := pflag.NewFlagSet(importCommand, pflag.ContinueOnError)
	flags.Usage = func() {}
	out := flags.StringP("output", "o", "", "")
	err := flags.Parse(args)
	switch {
	case errors.Is(err, pflag.ErrHelp):
		_, _ = io.WriteString(stdout, "Usage: "+importUsage+"\n")
		return exitOK
	case err != nil || flags.NArg() != 1 || *out == "":
		return usageError(stderr, errors.New("usage: "+importUsage))
	}
	summary, err := importFile(flags.Arg(0), *out, loadProgress(stderr))
	if err != nil {
		return usageError(stderr, err)
	}
	_, _ = io.WriteString(stdout, summary)
	return exitOK
}

// importFile reads a file, whose form its content tells, and writes a new one, whole or not at all. It returns the lines that tell what was done.
func importFile(from, to string, progress func(file string, done, total int64)) (summary string, err error) {
	if _, err := os.Lstat(to); !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("import: %s is there already: nothing is overwritten; choose another name with -o, or move it away", to)
	}
	head, err := headOf(from)
	if err != nil {
		return "", fmt.Errorf("import: %w", err)
	}
	if isJSONLines(head) {
		return importJSONLines(from, to, progress)
	}
	return "", fmt.Errorf("import: %s is in no form that is known: JSON lines, as `cyberdb-fast export` writes them", from)
}

// headOf returns the first bytes of a file.
func headOf(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, headBytes))
}
