package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// Package is one record; in the server it is a dict.
type Package struct {
	Name      string   `cyberdb:"name"`
	Version   string   `cyberdb:"version"`
	Section   string   `cyberdb:"section"`
	Installed int64    `cyberdb:"installed"` // KiB
	Depends   []string `cyberdb:"depends"`
	Summary   string   `cyberdb:"summary"`
}

// errEnough stops a reader when it has the requested number of records.
var errEnough = errors.New("enough records")

// read returns at most limit records (0: all) and what they are. The source is apt, or else Go's
// standard library.
func read(ctx context.Context, limit int) (source string, records []Package, err error) {
	keep := func(p Package) error {
		if records = append(records, p); len(records) == limit {
			return errEnough
		}
		return nil
	}
	source = "Debian's package index"
	if _, missing := exec.LookPath("apt-cache"); missing == nil {
		if err = readApt(ctx, keep); err != nil {
			return source, nil, err
		}
	}
	if len(records) == 0 { // no apt, or it has no index
		source = "Go's standard library"
		err = readGo(ctx, keep)
	}
	if err == nil && len(records) == 0 {
		err = errors.New("neither apt nor Go has records")
	}
	return source, records, err
}

// readApt calls keep with each record of apt's index, until keep returns an error.
func readApt(ctx context.Context, keep func(Package) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // stops apt-cache if keep has enough
	cmd := exec.CommandContext(ctx, "apt-cache", "dumpavail")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	if err := parseIndex(out, keep); err != nil {
		cancel()
		_ = cmd.Wait() // cancel has stopped it
		if errors.Is(err, errEnough) {
			return nil
		}
		return fmt.Errorf("apt-cache dumpavail: %w", err)
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("apt-cache dumpavail: %w", err)
	}
	return nil
}

// maxLineBytes limits one line of the index.
const maxLineBytes = 1 << 20

// parseIndex reads paragraphs of "Field: value" lines. It skips lines that begin with a blank,
// which continue the previous field. Errors: those of keep; a line or number that is not valid,
// with the line's number.
func parseIndex(r io.Reader, keep func(Package) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLineBytes)
	var p Package
	flush := func() error {
		done := p
		p = Package{}
		if done.Name == "" {
			return nil
		}
		return keep(done)
	}
	n := 0
	for lines.Scan() {
		n++
		line := lines.Text()
		var err error
		switch {
		case line == "":
			err = flush()
		case line[0] != ' ' && line[0] != '\t':
			err = p.setField(line)
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("line %d: %w", n+1, err)
	}
	return flush()
}

func (p *Package) setField(line string) (err error) {
	field, value, found := strings.Cut(line, ":")
	if !found {
		return fmt.Errorf("no field in %.40q", line)
	}
	value = strings.TrimSpace(value)
	switch field {
	case "Package":
		p.Name = value
	case "Version":
		p.Version = value
	case "Section":
		p.Section = value
	case "Installed-Size":
		p.Installed, err = strconv.ParseInt(value, 10, 64)
	case "Depends":
		for one := range strings.SplitSeq(value, ",") {
			if name, _, _ := strings.Cut(strings.TrimSpace(one), " "); name != "" {
				p.Depends = append(p.Depends, name)
			}
		}
	case "Description", "Description-en":
		p.Summary = value
	}
	return err
}

// readGo calls keep with each file of Go's standard library, until keep returns an error. A file's
// section is its directory.
func readGo(ctx context.Context, keep func(Package) error) error {
	out, err := exec.CommandContext(ctx, "go", "env", "GOROOT", "GOVERSION").Output()
	if err != nil {
		return fmt.Errorf("go env: %w", err)
	}
	root, version, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	src := filepath.Join(root, "src")
	err = filepath.WalkDir(src, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".go" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(src, path)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		section, _, _ := strings.Cut(name, "/")
		first, _, _ := bytes.Cut(text, []byte("\n"))
		return keep(Package{
			Name: name, Version: version, Section: section,
			Installed: int64(len(text)+1023) / 1024, Summary: string(first),
		})
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}
