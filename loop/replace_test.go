package loop

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/codec"
	"cyberdb-fast/loop/engine/conformance"
	"cyberdb-fast/persist"
	"cyberdb-fast/persist/fstest"
	"cyberdb-fast/shardmap"
)

// TestReplaceFile: a file replaces all tables, through a restart and a crash. Versions from before
// match no entry. A server without tables imports it too.
func TestReplaceFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	srv := controlled(t, dir)
	w := dial(t, srv)
	someChanges(w)
	want := contentOf(srv)
	if reply := ask(t, srv, `{"do":"save","path":"copy.cdb"}`); !strings.Contains(reply, `"ok":true`) {
		t.Fatal(reply)
	}
	clock := srv.store.Clock()
	w.ok(codec.OpDictSet, "d", "after", 1)
	w.ok(codec.OpDrop, "l")
	w.ok(codec.OpCreateList, "other", false)
	if reply := ask(
		t,
		srv,
		`{"do":"load","path":"copy.cdb"}`,
	); !strings.Contains(
		reply,
		`the server has 2 tables: a file is loaded into an empty server only, unless the request says \"replace\":true`,
	) {
		t.Fatal(reply)
	}
	if reply := ask(
		t,
		srv,
		`{"do":"load","path":"copy.cdb","replace":true}`,
	); !strings.Contains(reply, `"ok":true`) ||
		!strings.Contains(reply, `"tables":2`) {
		t.Fatal(reply)
	}
	if got := contentOf(srv); got != want {
		t.Fatalf("loaded\n%s\ninstead of\n%s", got, want)
	}
	for _, number := range regexpNumbers(keptText(srv)) {
		if number <= clock {
			t.Errorf("the LSN %d was assigned before the load: the clock is %d", number, clock)
		}
	}
	w.ok(codec.OpDictIncrement, "d", "n", 3)
	want = keptText(srv)
	for _, file := range []string{"data.cdb", "data.cdb.prev"} {
		again := crashedCopy(t, dir, file)
		if got := keptText(again); got != want {
			t.Fatalf("from %s\n%s\ninstead of\n%s", file, got, want)
		}
		stopServer(t, again)
	}
	w.ok(codec.OpDrop, "d")
	w.ok(codec.OpDrop, "l")
	if reply := ask(t, srv, `{"do":"load","path":"copy.cdb","replace":true}`); !strings.Contains(reply, `"ok":true`) {
		t.Fatal(reply)
	}
}

func regexpNumbers(text string) (all []uint64) {
	for _, found := range numbers.FindAllString(text, -1) {
		for _, word := range strings.Fields(found) {
			if n, err := strconv.ParseUint(word, 10, 64); err == nil {
				all = append(all, n)
			}
		}
	}
	return all
}

// TestReplaceNotFromBefore: the journal is not replayed onto a file from before a load, because its
// later changes belong to other tables.
func TestReplaceNotFromBefore(t *testing.T) {
	t.Parallel()
	file, _ := savedFile(t)
	disk := newDisk()
	srv := keptServer(t, disk, nil)
	w := dial(t, srv)
	w.ok(codec.OpCreateDict, "d", false, "n", 100)
	w.ok(codec.OpSave)
	before := bytes.Clone(disk.Bytes("data/data.cdb"))
	disk.Put("data/copy.cdb", file)
	if _, err := srv.saver.load("data/copy.cdb", true); err != nil {
		t.Fatal(err)
	}
	w.ok(codec.OpDictIncrement, "d", "n", 1)
	stopServer(t, srv)
	disk.Put("data/data.cdb", before)
	_, err := Start(Config{Addr: "127.0.0.1:0", Password: testPassword, KDF: testKDF, Data: dataOn(disk, nil)})
	if err == nil || !strings.Contains(err.Error(), "all tables were loaded from another file here") {
		t.Fatal(err)
	}
}

// TestReplaceRefuses: a load that fails says why, and changes no table, in memory or on disk.
func TestReplaceRefuses(t *testing.T) {
	t.Parallel()
	const limit = 1 << 40 // of the process, which runs other tests too
	file, _ := savedFile(t)
	dir := t.TempDir()
	srv := startServer(t, func(cfg *Config) {
		cfg.MaxMemoryBytes = limit
		cfg.Data = Data{
			File:    filepath.Join(dir, "data.cdb"),
			Fsync:   persist.Always,
			Control: filepath.Join(dir, "control.sock"),
		}
	})
	w := dial(t, srv)
	w.ok(codec.OpCreateDict, "mine", false, "a", 1)
	w.ok(codec.OpSave)
	want := contentOf(srv)
	damaged := bytes.Clone(file)
	damaged[len(damaged)/2] ^= 1
	for name, c := range map[string]struct {
		content []byte
		why     string
	}{
		"damaged":   {damaged, "damaged.cdb"},
		"cut":       {file[:len(file)-1], "cut.cdb"},
		"empty":     {nil, "empty.cdb"},
		"foreign":   {[]byte(strings.Repeat("not a database ", 100)), "neither cyberdb-fast nor CyberDB wrote it"},
		"directory": {nil, "directory.cdb"},
		"dangerous": {[]byte("\x80\x04}\x8c\x02db}\x8c\x01xcos\nsystem\nss."), "dangerous.cdb, a file of CyberDB's"},
	} {
		path := filepath.Join(dir, name+".cdb")
		if name == "directory" {
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		} else if err := os.WriteFile(path, c.content, 0o600); err != nil {
			t.Fatal(err)
		}
		if reply := ask(
			t,
			srv,
			fmt.Sprintf(`{"do":"load","path":%q,"replace":true}`, path),
		); !strings.Contains(reply, `"ok":false`) ||
			!strings.Contains(reply, c.why) {
			t.Errorf("%s: %s", name, reply)
		}
	}
	path := filepath.Join(dir, "whole.cdb")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	for { // until the sweeper does not look in between
		srv.memory.used.Store(limit)
		if _, err := srv.saver.load(path, true); err == nil {
			want = contentOf(srv)
		} else if strings.Contains(err.Error(), "--max-memory") {
			break
		} else {
			t.Fatal(err)
		}
	}
	if got := contentOf(srv); got != want {
		t.Fatalf("the tables are\n%s\ninstead of\n%s", got, want)
	}
	again := crashedCopy(t, dir, "data.cdb")
	if got := contentOf(again); got != want {
		t.Fatalf("after a crash the tables are\n%s\ninstead of\n%s", got, want)
	}
}

// loadedCount is the counter of TestReplacePowerCuts in the file, more than it reaches before the
// load.
const loadedCount = 1_000_000_000

// TestReplacePowerCuts cuts the power at every moment of a load that replaces the tables while a
// client counts. Afterwards there are the old tables with all acknowledged counts, or those of the
// file with all that were acknowledged since.
func TestReplacePowerCuts(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(conformance.Seed(t), 0))
	other := newDisk()
	srv := keptServer(t, other, nil)
	dial(t, srv).ok(codec.OpCreateDict, "count", false, "n", loadedCount, "of the file", 1)
	stopServer(t, srv)

	type state struct {
		disk         *fstest.Disk
		acknowledged int64
	}
	var mu sync.Mutex
	var cuts []state
	var acknowledged atomic.Int64
	disk := newDisk()
	var watch atomic.Bool
	disk.Step = func() {
		mu.Lock()
		defer mu.Unlock()
		if !watch.Load() {
			return
		}
		n := acknowledged.Load()
		cuts = append(cuts, state{disk.PowerCut(rng), n})
	}
	disk.Put("data/copy.cdb", bytes.Clone(other.Bytes("data/data.cdb")))
	srv = keptServer(t, &paced{disk, func() {
		for n := acknowledged.Load(); watch.Load() && acknowledged.Load() == n; {
			time.Sleep(100 * time.Microsecond)
		}
	}}, func(d *Data) { d.Fsync = persist.Always })
	w := dial(t, srv)
	w.ok(codec.OpCreateDict, "count", false, "n", 0)
	w.ok(codec.OpCreateList, "old", false)
	w.ok(codec.OpSave)
	var stop atomic.Bool
	var client sync.WaitGroup
	client.Go(func() {
		for !stop.Load() {
			reply := w.call(codec.OpDictIncrement, "count", "n", 1)
			n, _, err := msgp.ReadInt64Bytes(reply.Body)
			if reply.Status != codec.StatusOK || err != nil {
				watch.Store(false)
				t.Errorf("%v %v", reply.Status, err)
				return
			}
			acknowledged.Store(n)
		}
	})
	watch.Store(true)
	_, err := srv.saver.load("data/copy.cdb", true)
	watch.Store(false)
	stop.Store(true)
	client.Wait()
	if err != nil {
		t.Fatal(err)
	}
	mu.Lock() // the journal continues syncing: what it cuts from here on is not looked at
	cuts = append(cuts, state{disk.PowerCut(rng), max(acknowledged.Load(), loadedCount)})
	mu.Unlock()

	fromBefore := 0
	for i, cut := range cuts {
		store := recoveredStore(t, cut.disk)
		count, _ := store.Lookup(&shardmap.Call{}, []byte("count"))
		val, err := count.Dict().Get(&shardmap.Call{}, nil, msgp.AppendString(nil, "n"))
		if err != nil {
			t.Fatal(err)
		}
		n, _, err := msgp.ReadInt64Bytes(val)
		if err != nil || n < cut.acknowledged {
			t.Fatalf("cut %d: the counter is %d, and %d was acknowledged: %v", i, n, cut.acknowledged, err)
		}
		isNew, _ := count.Dict().Contains(&shardmap.Call{}, msgp.AppendString(nil, "of the file"))
		_, isOld := store.Lookup(&shardmap.Call{}, []byte("old"))
		if isNew == isOld || isNew != (n >= loadedCount) {
			t.Fatalf("cut %d: of the file: %v, from before: %v, the counter is %d", i, isNew, isOld, n)
		}
		if isOld {
			fromBefore++
		}
	}
	t.Logf("%d power cuts, %d of them before the load", len(cuts), fromBefore)
	if fromBefore == 0 || fromBefore == len(cuts) {
		t.Error("all power cuts were on one side of the load")
	}
}

// paced is a file system that waits before each change of a name outside the journal.
type paced struct {
	persist.FS
	wait func()
}

func (p *paced) Rename(old, name string) error {
	p.wait()
	return p.FS.Rename(old, name)
}

func (p *paced) Link(old, name string) error {
	p.wait()
	return p.FS.Link(old, name)
}

func (p *paced) SyncDir(dir string) error {
	if !strings.HasSuffix(dir, ".journal") {
		p.wait()
	}
	return p.FS.SyncDir(dir)
}

// TestLoadUndone: if the directory cannot be synced after the copy got the data file's name, or
// after a panic, the disk agrees with the memory: after each power cut there are the old tables
// with the later changes.
func TestLoadUndone(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(conformance.Seed(t), 0))
	file, _ := savedFile(t)
	for i := range 4 {
		replace, panics := i&1 != 0, i&2 != 0
		disk := newDisk()
		disk.Put("data/copy.cdb", file)
		var renamed, failed atomic.Bool
		srv := startFailing(t, &fstest.Faults{FS: disk, Fail: func(_ int, op, name string) error {
			switch {
			case op == "rename" && name == "data/data.cdb":
				renamed.Store(true)
			case op == "syncdir" && renamed.Load() && failed.CompareAndSwap(false, true):
				if panics {
					panic("defect")
				}
				return syscall.EIO
			}
			return nil
		}})
		w := dial(t, srv)
		if replace {
			w.ok(codec.OpCreateDict, "before", false, "a", 1)
		}
		_, err := srv.saver.load("data/copy.cdb", replace)
		var refusal *codec.Error
		if expected := panics && errors.As(err, &refusal) || errors.Is(err, syscall.EIO); !expected || !failed.Load() {
			t.Fatal(err)
		}
		if n := srv.Info().Panics; (n == 1) != panics {
			t.Error(n, "panics")
		}
		w.ok(codec.OpCreateDict, "after", false, "a", 1)
		want := contentOf(srv)
		for range 20 {
			if got := contentIn(recoveredStore(t, disk.PowerCut(rng))); got != want {
				t.Fatalf("after a power cut\n%s\ninstead of\n%s", got, want)
			}
		}
		stopServer(t, srv)
	}
}

// recoveredStore returns the store that a server recovers from a disk.
func recoveredStore(t *testing.T, fsys persist.FS) *shardmap.Store {
	t.Helper()
	cfg, err := Config{Addr: "-", Data: dataOn(fsys, nil), Logger: slog.New(slog.DiscardHandler)}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	srv := &Server{cfg: cfg, log: cfg.Logger, store: shardmap.NewStore()}
	if err := srv.restore(); err != nil {
		t.Fatal(err)
	}
	if err := srv.journal.Close(); err != nil {
		t.Fatal(err)
	}
	return srv.store
}

// TestReplaceUnderReads: a long read that was cut before a load continues to show the old table,
// while others read the new one.
func TestReplaceUnderReads(t *testing.T) {
	t.Parallel()
	file, _ := savedFile(t)
	disk := newDisk()
	disk.Put("data/copy.cdb", file)
	srv := keptServer(t, disk, nil)
	w := dial(t, srv)
	w.ok(codec.OpCreateList, "d", false)
	text := strings.Repeat("old", 1<<20)
	const elements = 12
	for range elements {
		w.ok(codec.OpListAppend, "d", text)
	}
	w.write(w.request(codec.OpListAll, "d"))
	// the first bytes: most of the frames are not made before the client reads
	if err := w.read(); err != nil {
		t.Fatal(err)
	}
	if _, err := srv.saver.load("data/copy.cdb", true); err != nil {
		t.Fatal(err)
	}
	if got := dial(t, srv).ok(codec.OpDictGet, "d", "n"); fmt.Sprint(got) != "[5]" {
		t.Fatalf("the new table has %v", got)
	}
	reply, err := w.reply()
	if err != nil || reply.Status != codec.StatusOK {
		t.Fatal(reply.Status, err)
	}
	if got := bytes.Count(reply.Body, []byte(text)); got != elements {
		t.Fatalf("the read shows %d elements of %d", got, elements)
	}
}
