package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"cyberdb-fast/bench/harness"
	"cyberdb-fast/client"
)

// settleTime is how long two servers may take until they have removed the same expired entries.
const settleTime = time.Second

// savedOneIn: after one restart in this many, the tables are saved, and the digest of the file is
// compared too.
const savedOneIn = 8

// copyFiles copies what a server has left to another directory, before it is started again.
func (c *campaign) copyFiles() (dir string, err error) {
	dir = filepath.Join(c.work, "copy")
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	from := c.dir()
	err = filepath.WalkDir(from, func(name string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) { // nothing was started yet
			return nil
		}
		if err != nil {
			return err
		}
		to := filepath.Join(dir, strings.TrimPrefix(name, from))
		switch {
		case entry.IsDir():
			return os.Mkdir(to, 0o700)
		case !entry.Type().IsRegular(): // the control socket
			return nil
		}
		content, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		return os.WriteFile(to, content, 0o600)
	})
	return dir, err
}

// compareDigests compares the tables of a server that was just started with those of another one,
// which has other hash seeds, one processor, and a copy of the same files. Sometimes it has the
// tables saved, and compares the file.
func (c *campaign) compareDigests(srv *server, copied, policy string) error {
	config := configOf(c.binary(), copied, policy)
	change := config.Change
	config.Change = func(cmd *exec.Cmd) {
		change(cmd)
		cmd.Env = append(cmd.Env, "GOMAXPROCS=1")
	}
	other, err := harness.Start(config, serverTimeout)
	if err != nil {
		return fmt.Errorf("start on a copy of the files: %w", err)
	}
	defer other.Kill()
	for _, s := range []*server{srv, {other}} {
		if err := s.asked(settleJobs); err != nil {
			return err
		}
	}
	err = c.compare("on a copy of the files", func() (got, want string, err error) {
		if want, err = digestOf(srv, false); err == nil {
			got, err = digestOf(&server{other}, false)
		}
		return got, want, err
	})
	file := filepath.Join(c.dir(), "data.cdb")
	if err != nil || c.rng.IntN(savedOneIn) > 0 {
		return err
	}
	return c.compare("of the saved file", func() (got, want string, err error) {
		if want, err = digestOf(srv, true); err != nil {
			return "", "", err
		}
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) { // nothing was ever written
			return want, want, nil
		}
		out, err := exec.Command(c.server, "check", "--digest", file).Output()
		if err != nil {
			return "", "", fmt.Errorf("check --digest: %w", err)
		}
		fields := strings.Fields(string(out)) // digest HEX lsn N ...
		if len(fields) < 2 {
			return "", "", fmt.Errorf("check --digest printed %q", out)
		}
		return fields[1], want, nil
	})
}

// digestOf returns the digest of a server's tables, which are saved first if that is asked for.
func digestOf(srv *server, save bool) (string, error) {
	db, err := srv.connect()
	if err != nil {
		return "", err
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(context.Background(), serverTimeout)
	defer cancel()
	if save {
		if err := db.Save(ctx); err != nil {
			return "", err
		}
	}
	var d client.Digest
	d, err = db.Digest(ctx)
	return d.Digest, err
}

// compare counts a comparison, and reports a difference that does not pass: servers remove what
// expires at moments of their own.
func (c *campaign) compare(what string, digests func() (got, want string, err error)) error {
	c.total.digests++
	for until := time.Now().Add(settleTime); ; {
		got, want, err := digests()
		if err != nil || got == want {
			return err
		}
		if time.Now().After(until) {
			c.total.differ++
			fmt.Fprintf(
				c.out,
				"cycle %d: the digest %s is %s, and that of the server %s\n",
				c.total.cycles,
				what,
				got,
				want,
			)
			return nil
		}
	}
}
