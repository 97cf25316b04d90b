package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"cyberdb-fast/codec/secure"
	"cyberdb-fast/persist"
)

// Files in the data directory, beside the password.
const (
	lockFile = "lock" // held with flock while a server runs; holds its process id
	// the key derivation's salt in hexadecimal: kept, so that clients' derived keys stay good
	saltFile = "salt"

	controlFile = "control.sock" // of a server that runs: it takes requests that no client may make
)

// maxSaltBytes is more than a salt's file has.
const maxSaltBytes = 1024

// dataDir is the directory with what outlives a restart. One server holds it at a time.
type dataDir struct {
	path     string // absolute
	lock     persist.File
	warnings []string
}

// openDataDir makes the directory if it is missing, for its owner alone, and locks it.
//
// Errors: name the directory and what to do; another server's process id if it is held.
func openDataDir(path string) (*dataDir, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("data directory %s: %w", path, err)
	}
	if to, err := os.Readlink(abs); err == nil && !exists(abs) {
		return nil, fmt.Errorf("the data directory %s is a symbolic link to %s, which is not there: "+
			"make that, or choose another with --dir", path, to)
	}
	if err := os.MkdirAll(abs, 0o700); err != nil {
		return nil, fmt.Errorf("cannot make the data directory: %w; choose another with --dir", err)
	}
	dir := &dataDir{path: abs}
	if info, err := os.Stat(abs); err == nil && info.Mode().Perm()&0o002 != 0 {
		dir.warnings = []string{
			fmt.Sprintf("everybody on this machine may change files in the data directory %s: chmod o-w it", abs),
		}
	}
	if err := dir.acquire(); err != nil {
		return nil, err
	}
	return dir, nil
}

// acquire takes the lock.
func (d *dataDir) acquire() (err error) {
	d.lock, err = persist.LockFile(persist.OS, d.file(lockFile))
	var held *persist.LockError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &held):
		return fmt.Errorf(
			"the data directory %s is in use by process %s: stop it, or choose another directory with --dir",
			d.path,
			held.Holder,
		)
	case persist.NoLocks(err):
		return fmt.Errorf("the data directory is on a file system without locks, which keep two servers apart: %w; "+
			"choose another with --dir", err)
	}
	return fmt.Errorf("cannot write to the data directory: %w; choose another with --dir", err)
}

// close gives the directory up.
func (d *dataDir) close() { _ = d.lock.Close() }

// file returns the path of a file in the directory.
func (d *dataDir) file(name string) string { return filepath.Join(d.path, name) }

// create makes a file for its owner alone: whole and on disk, or not at all. It is an error if it
// exists.
func (d *dataDir) create(name, text string) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("cannot write to the data directory: %w; choose another with --dir", err)
		}
	}()
	part := d.file(name + ".part")
	if err := os.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(part) }()
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return persist.RenameNew(persist.OS, part, d.file(name))
}

// kdf returns the key derivation with the directory's salt, made now if there is none.
func (d *dataDir) kdf() (secure.KDF, error) {
	kdf := secure.KDF{LogN: secure.DefaultLogN}
	name := d.file(saltFile)
	text, err := readText(name, maxSaltBytes)
	if errors.Is(err, fs.ErrNotExist) {
		_, _ = rand.Read(kdf.Salt[:]) // never fails: crypto/rand ends the process instead
		return kdf, d.create(saltFile, hex.EncodeToString(kdf.Salt[:])+"\n")
	}
	if err != nil {
		return kdf, fmt.Errorf("salt: %w", err)
	}
	salt, err := hex.DecodeString(strings.TrimSpace(text))
	if err != nil || len(salt) != len(kdf.Salt) {
		return kdf, fmt.Errorf(
			"salt: %s is damaged: it must be %d hexadecimal digits; remove it to have a new one made",
			name,
			2*len(kdf.Salt),
		)
	}
	copy(kdf.Salt[:], salt)
	return kdf, nil
}
