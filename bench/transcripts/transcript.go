package main

import (
	"bufio"
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// transcript is one recorded conversation: its first line, and the others.
type transcript struct {
	name string

	Python        string         `json:"python"`
	Encrypt       bool           `json:"encrypt"`
	Password      string         `json:"password"`
	Whitelist     []string       `json:"whitelist"`
	SourceIP      string         `json:"source_ip"`
	ServerOptions map[string]any `json:"server_options"`

	lines []line
}

// line is the bytes of one side, or the end of a connection.
type line struct {
	Conn  int    `json:"conn"`
	Call  int    `json:"call"`
	Dir   string `json:"dir"`
	Hex   string `json:"hex"`
	Event string `json:"event"` // open, eof, reset; then there are no bytes

	bytes []byte
}

func (l *line) fromClient() bool { return l.Dir == "c2s" }

// transcriptsIn returns the files of a folder and those below, in the order of their names.
func transcriptsIn(dir string) (all []string, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && (strings.HasSuffix(path, ".jsonl") || strings.HasSuffix(path, ".jsonl.gz")) {
			all = append(all, path)
		}
		return err
	})
	return all, err
}

func readTranscript(path string) (*transcript, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var in io.Reader = f
	if strings.HasSuffix(path, ".gz") {
		if in, err = gzip.NewReader(f); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	t := &transcript{name: filepath.Base(path)}
	lines := bufio.NewReaderSize(in, 1<<20)
	for n := 1; ; n++ {
		text, err := lines.ReadBytes('\n')
		if len(text) == 0 && err == io.EOF { //nolint:errorlint // ReadBytes returns it unwrapped
			return t, nil
		}
		if err != nil && err != io.EOF { //nolint:errorlint // as above
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if n == 1 {
			err = json.Unmarshal(text, t)
		} else {
			var l line
			if err = json.Unmarshal(text, &l); err == nil {
				l.bytes, err = hex.DecodeString(l.Hex)
			}
			t.lines = append(t.lines, l)
		}
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, n, err)
		}
	}
}
