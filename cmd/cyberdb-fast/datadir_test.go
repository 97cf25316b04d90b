package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cyberdb-fast/codec/secure"
)

func mustOpen(t *testing.T, path string) *dataDir {
	t.Helper()
	dir, err := openDataDir(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(dir.close)
	return dir
}

func perm(t *testing.T, name string) os.FileMode {
	t.Helper()
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode().Perm()
}

func TestDataDirKeeps(t *testing.T) {
	path := filepath.Join(t.TempDir(), "made", "here")
	first := mustOpen(t, path)
	secret, err := ownPassword(first)
	if err != nil {
		t.Fatal(err)
	}
	kdf, err := first.kdf()
	if err != nil {
		t.Fatal(err)
	}
	if len(secret.text) < 26 || !secret.own || secret.warnings != nil {
		t.Errorf("a made password: %+v", secret)
	}
	if kdf.LogN != secure.DefaultLogN || kdf.Salt == [16]byte{} {
		t.Errorf("a made salt: %+v", kdf)
	}
	if got := perm(t, path); got != 0o700 {
		t.Errorf("the directory has mode %o", got)
	}
	for _, name := range []string{passwordFile, saltFile, lockFile} {
		if got := perm(t, first.file(name)); got != 0o600 {
			t.Errorf("%s has mode %o", name, got)
		}
	}
	first.close()

	second := mustOpen(t, path)
	again, err := ownPassword(second)
	if err != nil || again.text != secret.text {
		t.Errorf("the password is %q after a restart, %v; it was %q", again.text, err, secret.text)
	}
	if got, err := second.kdf(); err != nil || got != kdf {
		t.Errorf("the salt is %v after a restart, %v; it was %v", got, err, kdf)
	}
	other := mustOpen(t, filepath.Join(t.TempDir(), "other"))
	if p, err := ownPassword(other); err != nil || p.text == secret.text {
		t.Errorf("two directories have the password %q, %v", p.text, err)
	}
}

func TestDataDirLock(t *testing.T) {
	path := t.TempDir()
	first := mustOpen(t, path)
	_, err := openDataDir(path)
	if want := fmt.Sprintf("in use by process %d:", os.Getpid()); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("a second server on the directory: got %v, want %q", err, want)
	}
	first.close()
	mustOpen(t, path)
}

// TestCreateIsAtomic: a server that died while it wrote a file leaves no half of it, and a file
// that is there is never replaced.
func TestCreateIsAtomic(t *testing.T) {
	dir := mustOpen(t, t.TempDir())
	if err := os.WriteFile(dir.file("x.part"), []byte("half"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := dir.create("x", "whole"); err != nil {
		t.Fatal(err)
	}
	if err := dir.create("x", "other"); err == nil {
		t.Error("an existing file was replaced")
	}
	text, err := os.ReadFile(dir.file("x"))
	if string(text) != "whole" || err != nil {
		t.Errorf("got %q, %v", text, err)
	}
	if left, _ := filepath.Glob(dir.file("*.part")); left != nil {
		t.Errorf("%v is left behind", left)
	}
}

func TestDataDirDamage(t *testing.T) {
	write := func(t *testing.T, dir *dataDir, name, text string) {
		t.Helper()
		if err := os.WriteFile(dir.file(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, text := range []string{"", "zz", strings.Repeat("00", 15), strings.Repeat("00", 17)} {
		dir := mustOpen(t, t.TempDir())
		write(t, dir, saltFile, text)
		if _, err := dir.kdf(); err == nil || !strings.Contains(err.Error(), "remove it") {
			t.Errorf("salt %q: %v", text, err)
		}
	}
	dir := mustOpen(t, t.TempDir())
	write(t, dir, passwordFile, "\n")
	if _, err := ownPassword(dir); err == nil || !strings.Contains(err.Error(), "remove the file") {
		t.Errorf("empty password file: %v", err)
	}
}

func TestWarnings(t *testing.T) {
	path := t.TempDir()
	if err := os.Chmod(path, 0o777); err != nil {
		t.Fatal(err)
	}
	if dir := mustOpen(t, path); len(dir.warnings) != 1 || !strings.Contains(dir.warnings[0], path) {
		t.Errorf("a directory that everybody may change: %q", dir.warnings)
	}
	name := filepath.Join(t.TempDir(), "pw")
	for mode, want := range map[os.FileMode]int{0o600: 0, 0o640: 0, 0o644: 1, 0o604: 1} {
		if err := os.WriteFile(name, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(name, mode); err != nil {
			t.Fatal(err)
		}
		p, err := readPasswordFile("--password-file", name)
		if err != nil || len(p.warnings) != want {
			t.Errorf("mode %o: %q, %v", mode, p.warnings, err)
		}
	}
}

// TestDataFileIsLocked: one server at a time uses a data file, whatever their data directories are,
// and whichever links lead to it.
func TestDataFileIsLocked(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "new", "data.cdb")
	first := mustOpenData(t, file)
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	link, through := filepath.Join(dir, "link.cdb"), filepath.Join(dir, "through")
	if err := errors.Join(os.Symlink(file, link), os.Symlink(filepath.Dir(file), through)); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("data.cdb is in use by process %d:", os.Getpid())
	for _, name := range []string{file, link, filepath.Join(through, "data.cdb"), filepath.Join(dir, "new/../new/data.cdb")} {
		_, err := openDataFile(name)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: locked twice, or another error: %v", name, err)
		}
	}
	first.close()
	second := mustOpenData(t, link)
	if _, err := openDataFile(file); err == nil {
		t.Error("locked by the link and by itself")
	}
	second.close()
	mustOpenData(t, file).close()
}

func mustOpenData(t *testing.T, name string) *dataFile {
	t.Helper()
	f, err := openDataFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestDataFileByLink: a link is followed, and its journal stays next to it. A link that leads to
// nothing, or to a file with another journal, is refused.
func TestDataFileByLink(t *testing.T) {
	dir := t.TempDir()
	link, file := filepath.Join(dir, "data.cdb"), filepath.Join(dir, "elsewhere", "tables.cdb")
	if err := errors.Join(os.Mkdir(filepath.Dir(file), 0o700), os.Symlink(file, link)); err != nil {
		t.Fatal(err)
	}
	_, err := openDataFile(link)
	if err == nil || !strings.Contains(err.Error(), "data.cdb is a symbolic link to "+file) {
		t.Errorf("a link to nothing: %v", err)
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f := mustOpenData(t, link)
	f.close()
	if f.path != file || f.journal != link+".journal" {
		t.Errorf("it is %+v", f)
	}
	journal := file + ".journal"
	segment := filepath.Join(journal, "000001.log")
	if err := errors.Join(os.Mkdir(journal, 0o700), os.WriteFile(segment, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	_, err = openDataFile(link)
	if err == nil ||
		!strings.Contains(err.Error(), "has a journal of its own, "+journal+": give that file with --file") {
		t.Errorf("another journal: %v", err)
	}
	if err := os.Symlink(journal, link+".journal"); err != nil {
		t.Fatal(err)
	}
	mustOpenData(t, link).close()
}
