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

// Files in the data directory, in addition to the password.
const (
	lockFile = "lock" // locked with flock while a server runs; has its process ID
	// saltFile has the key derivation's salt in hexadecimal. It is stored so that the keys that
	// clients have derived stay valid.
	saltFile = "salt"

	controlFile = "control.sock" // of a running server: accepts requests that clients may not make
)

// maxSaltBytes is more than the file of a salt has.
const maxSaltBytes = 1024

// dataDir is the directory of everything that must survive a restart. One server uses it at a time.
type dataDir struct {
	path     string // absolute
	lock     persist.File
	warnings []string
}

// openDataDir locks the directory. It creates the directory if necessary, accessible only to its
// owner.
//
// Errors name the directory and say what to do; if another server has it, also that server's
// process ID.
func openDataDir(path string) (*dataDir, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("data directory %s: %w", path, err)
	}
	if to, err := os.Readlink(abs); err == nil && !exists(abs) {
		return nil, fmt.Errorf("the data directory %s is a symbolic link to %s, which does not exist: "+
			"create it, or choose another directory with --dir", path, to)
	}
	if err := os.MkdirAll(abs, 0o700); err != nil {
		return nil, fmt.Errorf("cannot create the data directory: %w; choose another with --dir", err)
	}
	dir := &dataDir{path: abs}
	if info, err := os.Stat(abs); err == nil && info.Mode().Perm()&0o002 != 0 {
		dir.warnings = []string{
			fmt.Sprintf("all users of this machine may change files in the data directory %s: run chmod o-w on "+
				"it", abs),
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
		return fmt.Errorf("the file system of the data directory does not support locks, which prevent two "+
			"servers from using it: %w; "+
			"choose another with --dir", err)
	}
	return fmt.Errorf("cannot write to the data directory: %w; choose another with --dir", err)
}

// close releases the directory.
func (d *dataDir) close() { _ = d.lock.Close() }

// file returns the path of a file in the directory.
func (d *dataDir) file(name string) string { return filepath.Join(d.path, name) }

// create creates a file that only its owner can access: complete and on disk, or not at all. It is
// an error if the file exists.
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

// kdf returns the key derivation with the directory's salt, which it creates if there is none.
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
			"salt: %s is damaged: it must have %d hexadecimal digits; remove it, and a new one will be generated",
			name,
			2*len(kdf.Salt),
		)
	}
	copy(kdf.Salt[:], salt)
	return kdf, nil
}
