package loop

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"cyberdb-fast/codec"
	"cyberdb-fast/loop/engine/conformance"
	"cyberdb-fast/persist"
	"cyberdb-fast/persist/fstest"
)

// replyHas fails the test unless the reply to a request on the control socket contains all of
// these.
func replyHas(t *testing.T, srv *Server, request string, parts ...string) {
	t.Helper()
	reply := ask(t, srv, request)
	for _, part := range parts {
		if !strings.Contains(reply, strings.Trim(fmt.Sprintf("%q", part), `"`)) && !strings.Contains(reply, part) {
			t.Errorf("%s is answered by\n%swithout\n%s", request, reply, part)
		}
	}
}

func mustRead(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func saveTo(path string, replace bool) string {
	return fmt.Sprintf(`{"do":"save","path":%q,"replace":%v}`, path, replace)
}

// TestSaveOverAnother: a save never overwrites another server's data file, under whichever name,
// nor a document. It overwrites the file of a server that does not run, or of another database,
// only if the request says so.
func TestSaveOverAnother(t *testing.T) {
	t.Parallel()
	dirs := []string{t.TempDir(), t.TempDir()}
	owner, other := controlled(t, dirs[0]), controlled(t, dirs[1])
	w := dial(t, owner)
	someChanges(w)
	w.ok(codec.OpSave)
	v := dial(t, other)
	v.ok(codec.OpCreateDict, "other", false, "a", 1)
	v.ok(codec.OpSave)

	theirs := filepath.Join(dirs[0], "data.cdb")
	link, hard := filepath.Join(dirs[1], "link.cdb"), filepath.Join(dirs[1], "hard.cdb")
	if err := errors.Join(os.Symlink(theirs, link), os.Link(theirs, hard)); err != nil {
		t.Fatal(err)
	}
	before := mustRead(t, theirs)
	for _, path := range []string{theirs, link, hard} {
		for _, replace := range []bool{false, true} {
			replyHas(t, other, saveTo(path, replace),
				`"ok":false`, "nothing was saved", "is the data file of a running server", "choose another name")
		}
	}
	if got := mustRead(t, theirs); got != before {
		t.Fatal("the file has changed")
	}
	someMore := func() { w.ok(codec.OpDictIncrement, "d", "n", 3) }
	someMore()
	want := keptText(owner)
	stopServer(t, owner)
	again := controlled(t, dirs[0])
	if got := keptText(again); got != want {
		t.Fatalf("there is\n%s\ninstead of\n%s", got, want)
	}
	stopServer(t, again)

	own := filepath.Join(dirs[1], "data.cdb")
	replyHas(t, other, saveTo(theirs, false),
		`"ok":false`, theirs+" belongs to database ", own+" to database ", `say \"replace\":true`)
	replyHas(t, other, saveTo(theirs, true), `"ok":true`, `"tables":1`)
	files, err := filepath.Glob(theirs + "*")
	if err != nil ||
		!slices.Equal(files, []string{theirs, theirs + ".journal", theirs + ".numbers", theirs + ".prev"}) {
		t.Errorf("there are %v, %v", files, err)
	}
}

// TestSaveElsewhere: a backup is written again and again, through a link too, which stays; the
// server's own file under another name is a backup like any other.
func TestSaveElsewhere(t *testing.T) {
	t.Parallel()
	dir, backups := t.TempDir(), t.TempDir()
	srv := controlled(t, dir)
	w := dial(t, srv)
	w.ok(codec.OpCreateDict, "d", false, "n", 0)
	w.ok(codec.OpSave)
	link, hard, own := filepath.Join(dir, "link.cdb"), filepath.Join(dir, "hard.cdb"), filepath.Join(dir, "data.cdb")
	backup := filepath.Join(backups, "b.cdb")
	if err := errors.Join(os.Symlink(backup, link), os.Link(own, hard), os.WriteFile(backup, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		w.ok(codec.OpCreateDict, fmt.Sprint("table ", i), false)
		for _, path := range []string{"link.cdb", hard, backup} {
			replyHas(t, srv, saveTo(path, false), `"ok":true`, fmt.Sprintf(`"tables":%d`, 2+i))
		}
		for _, name := range []string{backup, hard} {
			if r, err := persist.Open(persist.OS, name); err != nil || r.Info().Tables != 2+i {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if to, err := os.Readlink(link); err != nil || to != backup {
		t.Errorf("the link leads to %q, %v", to, err)
	}
	if err := os.Symlink(filepath.Join(backups, "none.cdb"), filepath.Join(dir, "nowhere.cdb")); err != nil {
		t.Fatal(err)
	}
	replyHas(t, srv, saveTo("nowhere.cdb", true), `"ok":false`, "nowhere.cdb is a symbolic link to ")
	if err := os.WriteFile(filepath.Join(dir, "letter.cdb"), []byte("Dear Ada"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, replace := range []bool{false, true} {
		replyHas(t, srv, saveTo("letter.cdb", replace),
			`"ok":false`, "letter.cdb: not a file of this kind: refusing to overwrite it")
	}
	replyHas(t, srv, `{"do":"save"}`, `"ok":true`)
	left, err := filepath.Glob(filepath.Join(backups, "*"))
	if err != nil || !slices.Equal(left, []string{backup, backup + ".prev"}) {
		t.Errorf("there are %v, %v", left, err)
	}
}

// TestSpecialFiles: saves and loads refuse immediately what is no regular file. Other saves and the
// stop do not wait for it.
func TestSpecialFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	srv := controlled(t, dir)
	w := dial(t, srv)
	in := func(name string) string { return filepath.Join(dir, name) }
	err := errors.Join(
		unix.Mkfifo(in("pipe.cdb"), 0o600), os.Mkdir(in("directory.cdb"), 0o700),
		os.Symlink("pipe.cdb", in("link.cdb")), os.Symlink("/dev/zero", in("device.cdb")),
		os.Symlink("control.sock", in("socket.cdb")),
		unix.Mkfifo(in("before.cdb.prev"), 0o600), unix.Mkfifo(in("part.cdb.part"), 0o600),
	)
	if err != nil {
		t.Fatal(err)
	}
	for name, what := range map[string]string{
		"pipe": "a pipe", "directory": "a directory", "link": "a pipe", "device": "a device", "socket": "a socket",
	} {
		name += ".cdb"
		replyHas(t, srv, saveTo(name, true), `"ok":false`, name+" is "+what+", not a regular file")
		load := fmt.Sprintf(`{"do":"load","path":%q}`, name)
		replyHas(t, srv, load, `"ok":false`, name+" is "+what+", not a regular file")
		w.ok(codec.OpCreateDict, name, false)
		w.ok(codec.OpSave)
		w.ok(codec.OpDrop, name)
	}
	replyHas(t, srv, saveTo("before.cdb", true), `"ok":false`, "before.cdb.prev is a pipe")
	replyHas(t, srv, saveTo("part.cdb", true), `"ok":false`, "part.cdb.part is a pipe")
	stopServer(t, srv)
}

// TestAbandonedPartsGo: the start and each save remove what killed saves have left in the server's
// directories.
func TestAbandonedPartsGo(t *testing.T) {
	t.Parallel()
	dir, files := t.TempDir(), t.TempDir()
	put := func() (all []string) {
		for _, name := range []string{"tables.part", "tables.load", "x.cdb.part"} {
			all = append(all, filepath.Join(files, name))
		}
		all = append(all, filepath.Join(dir, "monday.cdb.part"))
		for _, name := range all {
			if err := os.WriteFile(name, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return all
	}
	gone := func(when string, all []string) {
		for _, name := range all {
			if _, err := os.Lstat(name); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s: %s is still there, %v", when, name, err)
			}
		}
	}
	all := put()
	srv := startServer(t, func(cfg *Config) {
		cfg.Data = Data{File: filepath.Join(files, "tables"), Control: filepath.Join(dir, "control.sock")}
	})
	gone("after the start", all)
	for request, do := range map[string]func(){
		"a save": func() {
			w := dial(t, srv)
			w.ok(codec.OpCreateDict, "d", false)
			w.ok(codec.OpSave)
		},
		"a save elsewhere": func() { replyHas(t, srv, saveTo("copy.cdb", false), `"ok":true`) },
	} {
		all = put()
		do()
		gone("after "+request, all)
	}

	// In other directories it is removed if this database has left it.
	backups := t.TempDir()
	mine, other := filepath.Join(backups, "monday.cdb.part"), filepath.Join(backups, "sunday.cdb.part")
	copyFile(t, filepath.Join(dir, "copy.cdb"), mine)
	file, _ := savedFile(t)
	if err := os.WriteFile(other, file, 0o600); err != nil {
		t.Fatal(err)
	}
	replyHas(t, srv, saveTo(filepath.Join(backups, "tuesday.cdb"), false), `"ok":true`)
	gone("after a save elsewhere", []string{mine})
	if mustRead(t, other) != string(file) {
		t.Error("another database's part has changed")
	}
}

// TestDataFileOfAnother: a server does not start with a file that is another's under another name.
func TestDataFileOfAnother(t *testing.T) {
	t.Parallel()
	dir, other := t.TempDir(), t.TempDir()
	srv := controlled(t, dir)
	w := dial(t, srv)
	for i := range 2 { // the file is another one after each save
		w.ok(codec.OpCreateDict, fmt.Sprint(i), false)
		w.ok(codec.OpSave)
		hard := filepath.Join(other, fmt.Sprint(i, ".cdb"))
		if err := os.Link(filepath.Join(dir, "data.cdb"), hard); err != nil {
			t.Fatal(err)
		}
		_, err := Start(Config{Addr: "127.0.0.1:0", Password: testPassword, KDF: testKDF, Data: Data{File: hard}})
		if !errors.Is(err, ErrData) || !errors.Is(err, persist.ErrLocked) || !strings.Contains(err.Error(), hard) {
			t.Errorf("it started: %v", err)
		}
	}
}

// TestStartWithoutSpace: whichever operation is the first to find the disk full, the server starts
// and serves its tables. It changes neither tables nor files, and says why. The next start with
// room finds everything.
func TestStartWithoutSpace(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(conformance.Seed(t), 0))
	before := newDisk()
	srv := keptServer(t, before, func(d *Data) { d.Fsync = persist.Always })
	w := dial(t, srv)
	someChanges(w)
	w.ok(codec.OpSave)
	w.ok(codec.OpDictIncrement, "d", "n", 3)
	want := keptText(srv)
	crashed := before.PowerCut(rng)

	for n := int64(1); ; n++ {
		disk := crashed.PowerCut(rng)
		files := contents(disk)
		var left atomic.Int64
		left.Store(n)
		full := &fstest.Faults{FS: disk, Fail: func(_ int, op, _ string) error {
			if (op == "create" || op == "write" || op == "reserve") && left.Add(-1) <= 0 {
				return syscall.ENOSPC
			}
			return nil
		}}
		srv := startFailing(t, full)
		if srv.Info().Persistence != ReadOnly {
			stopUnsaved(t, srv)
			if n < 3 {
				t.Errorf("operation %d: it is not read-only", n)
			}
			break
		}
		if got := keptText(srv); got != want {
			t.Errorf("operation %d: there is\n%s\ninstead of\n%s", n, got, want)
		}
		w := dial(t, srv)
		w.ok(codec.OpDictGet, "d", "n")
		w.fails(codec.StatusReadOnly, codec.OpDictSet, "d", "a", 1)
		w.fails(codec.StatusReadOnly, codec.OpCreateList, "new", false)
		why := w.fails(codec.StatusReadOnly, codec.OpSave).Message + srv.Info().Data.JournalError
		for _, want := range []string{"no space left on device", "free disk space, then restart"} {
			if !strings.Contains(why, want) {
				t.Errorf("operation %d: without %q: %s", n, want, why)
			}
		}
		stopServer(t, srv)
		// later a tail that was reserved is cut already
		if got := contents(disk); n <= 2 && !maps.Equal(got, files) {
			t.Errorf("operation %d: the files have changed: %v", n, disk)
		}
		again := keptServer(t, disk.PowerCut(rng), nil)
		if got := keptText(again); got != want {
			t.Errorf("operation %d: with room there is\n%s\ninstead of\n%s", n, got, want)
		}
		dial(t, again).ok(codec.OpDictSet, "d", "a", 1)
		stopServer(t, again)
	}
}

// stopUnsaved stops a server that cannot write to its disk.
func stopUnsaved(t *testing.T, srv *Server) {
	t.Helper()
	if err := srv.Stop(context.Background()); err != nil && !errors.Is(err, ErrUnsaved) {
		t.Error(err)
	}
}

// TestStartWithoutSpaceIsRefused: a server that is to end when the disk fails does not start then.
func TestStartWithoutSpaceIsRefused(t *testing.T) {
	t.Parallel()
	full := &fstest.Faults{FS: newDisk(), Fail: func(_ int, op, _ string) error {
		if op == "create" {
			return syscall.ENOSPC
		}
		return nil
	}}
	data := dataOn(full, func(d *Data) { d.ExitOnIOError = true })
	_, err := Start(Config{Addr: "127.0.0.1:0", Password: testPassword, KDF: testKDF, Data: data})
	if !errors.Is(err, ErrData) || !persist.NoRoom(err) {
		t.Errorf("it started: %v", err)
	}
}

// contents returns the content of each file.
func contents(disk *fstest.Disk) map[string]string {
	all := make(map[string]string)
	for _, name := range disk.Names() {
		all[name] = string(disk.Bytes(name))
	}
	return all
}
