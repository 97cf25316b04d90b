package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"cyberdb-fast/codec/legacy"
	"cyberdb-fast/persist"
)

const importHelp = `Converts JSON lines, as written by "cyberdb-fast export", or a data file of CyberDB 0.9.3 to a .cdb
file. The format is recognized by the content. The input file is not changed. Nothing in it is executed,
and the password in a file of CyberDB is not imported. To serve the new file, name it data.cdb and start
the server with --dir and its directory.

--keep-opaque stores objects of your own classes in a file of CyberDB as opaque bytes. A Python client
unpickles them, which runs the code that they name: use it only for files that you trust.`

// headBytes are enough to recognize a file.
const headBytes = 4096

// newImportCommand returns the command that converts a file in another format to a .cdb file. The
// other file is only read.
func newImportCommand(stdout, stderr *os.File) *cobra.Command {
	cmd := &cobra.Command{
		Use:                   "import FILE -o NEW.cdb [--keep-opaque]",
		Short:                 "Make a data file of JSON lines, or of a file of CyberDB 0.9.3",
		Long:                  importHelp,
		GroupID:               filesGroup,
		DisableFlagsInUseLine: true,
		Args:                  arguments(1, 1),
	}
	out := cmd.Flags().StringP("output", "o", "", "the new `file`")
	opaque := cmd.Flags().Bool("keep-opaque", false, "store objects of your own classes as opaque bytes")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		if *out == "" {
			return usageOf(cmd)
		}
		summary, err := importFile(args[0], *out, classesOf(*opaque), fileProgress("reading", onTerminal(stderr)))
		if err != nil {
			return usageError(err)
		}
		_, _ = io.WriteString(stdout, summary)
		return nil
	}
	return cmd
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
