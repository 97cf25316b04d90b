package loop

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"cyberdb-fast/codec"
	"cyberdb-fast/loop/engine/conformance"
	"cyberdb-fast/persist"
	"cyberdb-fast/persist/fstest"
	"cyberdb-fast/shardmap"
)

// keptServer starts a server that keeps its tables in the data file on fsys.
func keptServer(t *testing.T, fsys persist.FS, change func(d *Data)) *Server {
	t.Helper()
	return startServer(t, func(cfg *Config) { cfg.Data = dataOn(fsys, change) })
}

func dataOn(fsys persist.FS, change func(d *Data)) Data {
	d := Data{File: "data/data.cdb", FS: fsys}
	if change != nil {
		change(&d)
	}
	return d
}

func newDisk() *fstest.Disk {
	disk := fstest.NewDisk()
	_ = disk.MkdirAll("data")
	return disk
}

// keptText is the text of a running server, without the clock, which a start advances.
func keptText(srv *Server) string {
	_, text, _ := strings.Cut(conformance.StoreText(srv.store), "\n")
	return text
}

func stopServer(t *testing.T, srv *Server) {
	t.Helper()
	if err := srv.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// someChanges leaves a dict and a list, and the results of dropped and renamed ones.
func someChanges(w *wire) {
	w.ok(codec.OpCreateDict, "d", false, "a", 1, "b", 2)
	w.ok(codec.OpDictSet, "d", "a", "overwritten")
	w.ok(codec.OpDictIncrement, "d", "n", 5)
	w.ok(codec.OpDictDelete, "d", "b")
	w.ok(codec.OpCreateList, "old", false, 3, 1, 2)
	w.ok(codec.OpListSort, "old", nil, false)
	w.ok(codec.OpRename, "old", "l")
	w.ok(codec.OpListAppend, "l", strings.Repeat("x", 100))
	w.ok(codec.OpCreateDict, "gone", false)
	w.ok(codec.OpDrop, "gone")
}

// TestRestart: what clients have stored is there after a restart, versions and order included,
// whether from the file, the journal or both.
func TestRestart(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(d *Data){
		"always":     func(d *Data) { d.Fsync = persist.Always },
		"everysec":   nil,
		"no":         func(d *Data) { d.Fsync = persist.Never },
		"no journal": func(d *Data) { d.NoJournal = true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			disk := newDisk()
			want := ""
			for round := range 4 {
				srv := keptServer(t, disk, change)
				if got := keptText(srv); got != want {
					t.Fatalf("round %d: after the restart\n%s\ninstead of\n%s", round, got, want)
				}
				w := dial(t, srv)
				if round == 0 {
					someChanges(w)
				}
				w.ok(codec.OpDictIncrement, "d", "n", round)
				if round == 2 {
					w.ok(codec.OpSave)
					w.ok(codec.OpListAppend, "l", "after the save")
				}
				want = keptText(srv)
				stopServer(t, srv)
			}
		})
	}
}

// TestCrash: without a last save, after a power cut, the journal gives what was acknowledged.
func TestCrash(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(conformance.Seed(t), 0))
	for _, demand := range []bool{false, true} {
		disk := newDisk()
		srv := keptServer(t, disk, func(d *Data) {
			d.Fsync = persist.Always
			if demand {
				d.Fsync = persist.Never
			}
		})
		w := dial(t, srv)
		someChanges(w)
		w.ok(codec.OpSave)
		w.ok(codec.OpDictSet, "d", "last", 1)
		if demand {
			w.id++
			w.write(
				codec.AppendRequest(
					nil,
					&codec.Request{
						ID:    w.id,
						Op:    codec.OpDictSet,
						Flags: codec.FlagDurable,
						Args:  encodeArgs(t, "d", "durable", 2),
					},
				),
			)
			if reply, err := w.reply(); err != nil || reply.Status != codec.StatusOK {
				t.Fatal(reply, err)
			}
		}
		want := keptText(srv)
		for range 20 {
			again := keptServer(t, disk.PowerCut(rng), nil)
			if got := keptText(again); got != want {
				t.Fatalf("after a power cut\n%s\ninstead of\n%s", got, want)
			}
			stopServer(t, again)
		}
	}
}

// TestDurableReplies: while the disk is slow, changes wait for it, each alone: reads on the same
// connection are answered.
func TestDurableReplies(t *testing.T) {
	t.Parallel()
	disk := newDisk()
	blocked, release := make(chan struct{}), make(chan struct{})
	var hold atomic.Bool
	faults := &fstest.Faults{FS: disk, Fail: func(_ int, op, name string) error {
		if op == "sync" && strings.HasSuffix(name, ".log") && hold.CompareAndSwap(true, false) {
			close(blocked)
			<-release
		}
		return nil
	}}
	srv := keptServer(t, faults, func(d *Data) { d.Fsync = persist.Always })
	w := dial(t, srv)
	w.ok(codec.OpCreateDict, "d", false, "a", 1)
	hold.Store(true)
	for id, op := range []codec.Opcode{codec.OpDictSet, codec.OpDictGet} {
		args := []any{"d", "a", 2}[:3-id]
		w.write(codec.AppendRequest(nil, &codec.Request{ID: uint32(100 + id), Op: op, Args: encodeArgs(t, args...)}))
	}
	<-blocked
	if reply, err := w.reply(); err != nil || reply.ID != 101 {
		t.Fatalf("the read waits: %+v, %v", reply, err)
	}
	close(release)
	if reply, err := w.reply(); err != nil || reply.ID != 100 || reply.Status != codec.StatusOK {
		t.Fatalf("%+v, %v", reply, err)
	}
}

// TestDiskFails: once the journal cannot be written, an applied change is answered NotDurable,
// later ones are refused, reads continue, and INFO says why.
func TestDiskFails(t *testing.T) {
	t.Parallel()
	for _, errno := range []syscall.Errno{syscall.EIO, syscall.ENOSPC} {
		disk := newDisk()
		var armed atomic.Bool
		faults := &fstest.Faults{FS: disk, Fail: func(_ int, op, name string) error {
			if armed.Load() && (op == "sync" || op == "create") {
				return errno
			}
			return nil
		}}
		cfg := dataOn(faults, func(d *Data) { d.Fsync = persist.Always })
		srv, err := Start(
			Config{
				Addr:     "127.0.0.1:0",
				Password: testPassword,
				KDF:      testKDF,
				Encrypt:  *encrypted,
				Data:     cfg,
				Logger:   slog.New(slog.DiscardHandler),
			},
		)
		if err != nil {
			t.Fatal(err)
		}
		w := dial(t, srv)
		w.ok(codec.OpCreateDict, "d", false, "a", 1)
		armed.Store(true)
		w.fails(codec.StatusNotDurable, codec.OpDictSet, "d", "a", 2)
		w.fails(codec.StatusReadOnly, codec.OpDictSet, "d", "a", 3)
		if got := w.ok(codec.OpDictGet, "d", "a"); fmt.Sprint(got) != "[2]" {
			t.Errorf("read %v", got)
		}
		w.fails(codec.StatusNotDurable, codec.OpSave)
		info := srv.Info().Data
		if info == nil || !strings.Contains(info.JournalError, errno.Error()) ||
			!strings.Contains(info.SaveError, errno.Error()) {
			t.Errorf("%+v", info)
		}
		if err := srv.Stop(context.Background()); !errors.Is(err, errno) {
			t.Errorf("stopped: %v", err)
		}
		armed.Store(false)
		again := keptServer(t, disk, nil)
		if table, ok := again.store.Lookup(&shardmap.Call{}, []byte("d")); !ok || table.Len() != 1 {
			t.Error("what was durable is gone")
		}
	}
}

// TestSegmentNotStarted: while the journal's next segment cannot be begun, changes are applied and
// kept, and the log and INFO say so.
func TestSegmentNotStarted(t *testing.T) {
	t.Parallel()
	disk := newDisk()
	var armed atomic.Bool
	faults := &fstest.Faults{FS: disk, Fail: func(_ int, op, name string) error {
		if armed.Load() && op == "create" && strings.HasSuffix(name, ".log") {
			return syscall.EMFILE
		}
		return nil
	}}
	lines := make(chan string, 100)
	cfg := Config{
		Addr:     "127.0.0.1:0",
		Password: testPassword,
		KDF:      testKDF,
		Encrypt:  *encrypted,
		Logger:   slog.New(slog.NewTextHandler(messages(lines), nil)),
		Data: dataOn(faults, func(d *Data) {
			d.Fsync, d.ExitOnIOError, d.SegmentBytes = persist.Always, true, 4<<10
		}),
	}
	srv, err := Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	w := dial(t, srv)
	w.ok(codec.OpCreateDict, "d", false)
	fill := func() {
		for i := range 40 {
			w.ok(codec.OpDictSet, "d", i, strings.Repeat("x", 500))
		}
	}
	armed.Store(true)
	fill()
	if info := srv.Info().Data; !strings.Contains(info.SegmentError, syscall.EMFILE.Error()) ||
		info.JournalError != "" ||
		info.JournalBytes < 20_000 {
		t.Errorf("%+v", info)
	}
	armed.Store(false)
	before := disk.PowerCut(rand.New(rand.NewPCG(1, 1)))
	fill()
	if info := srv.Info().Data; info.SegmentError != "" || info.JournalError != "" {
		t.Errorf("%+v", info)
	}
	if err := srv.Stop(context.Background()); err != nil {
		t.Error(err)
	}
	grows, begun := 0, 0
	for len(lines) > 0 {
		line := <-lines
		if strings.Contains(line, "level=WARN") && strings.Contains(line, syscall.EMFILE.Error()) {
			grows++
		}
		if strings.Contains(line, "next segment is begun") {
			begun++
		}
	}
	if grows != 1 || begun != 1 {
		t.Errorf("the log says %d times that the segment grows, %d times that the next is begun", grows, begun)
	}
	again := keptServer(t, before, nil)
	if table, ok := again.store.Lookup(&shardmap.Call{}, []byte("d")); !ok || table.Len() != 40 {
		t.Error("what was acknowledged before the power cut is gone")
	}
}

// TestExitOnIOError: a server with this setting ends by itself.
func TestExitOnIOError(t *testing.T) {
	t.Parallel()
	disk := newDisk()
	var armed atomic.Bool
	faults := &fstest.Faults{FS: disk, Fail: func(_ int, op, name string) error {
		if armed.Load() && op == "sync" && strings.HasSuffix(name, ".log") {
			return syscall.EIO
		}
		return nil
	}}
	cfg := dataOn(faults, func(d *Data) { d.Fsync, d.ExitOnIOError = persist.Always, true })
	srv, err := Start(
		Config{
			Addr:     "127.0.0.1:0",
			Password: testPassword,
			KDF:      testKDF,
			Encrypt:  *encrypted,
			Data:     cfg,
			Logger:   slog.New(slog.DiscardHandler),
		},
	)
	if err != nil {
		t.Fatal(err)
	}
	w := dial(t, srv)
	w.ok(codec.OpCreateDict, "d", false)
	armed.Store(true)
	w.write(codec.AppendRequest(nil, &codec.Request{ID: 9, Op: codec.OpDictSet, Args: encodeArgs(t, "d", "a", 1)}))
	if err := srv.Wait(); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	// What was applied has been saved: the file can be written, the journal alone could not.
	again := keptServer(t, disk, nil)
	if table, ok := again.store.Lookup(&shardmap.Call{}, []byte("d")); !ok || table.Len() != 1 {
		t.Error("not saved at the end")
	}
}

// TestSavesByItself: the file is saved each cycle, on a real disk, and the previous one kept.
func TestSavesByItself(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "data.cdb")
	saved := make(chan string, 100)
	srv := startServer(t, func(cfg *Config) {
		cfg.Data = Data{File: file, Cycle: time.Millisecond}
		cfg.Logger = slog.New(slog.NewTextHandler(messages(saved), nil))
	})
	w := dial(t, srv)
	for i := range 3 {
		w.ok(codec.OpCreateDict, string(rune('a'+i)), false)
		for line := range saved {
			if strings.Contains(line, "msg=saved") {
				break
			}
		}
	}
	for _, name := range []string{file, persist.PrevName(file)} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
			t.Error(name, info, err)
		}
	}
	info := srv.Info()
	if info.Data.SavedClock == 0 || info.Data.SaveError != "" || info.Persistence != "journal everysec" {
		t.Errorf("%+v", info)
	}
}

// TestSavesWhatWasReplayed: the replayed bytes count for the size of the journal, or it would grow
// from crash to crash.
func TestSavesWhatWasReplayed(t *testing.T) {
	t.Parallel()
	const part = leastOvergrown * 3 / 8
	disk := newDisk()
	w := dial(t, keptServer(t, disk, func(d *Data) { d.Fsync = persist.Always }))
	w.ok(codec.OpCreateDict, "d", false)
	for range 2 {
		w.ok(codec.OpDictSet, "d", "a", strings.Repeat("x", part))
	}
	saved := make(chan string, 100)
	again := startServer(t, func(cfg *Config) {
		cfg.Data = dataOn(disk.PowerCut(rand.New(rand.NewPCG(conformance.Seed(t), 0))), nil)
		cfg.Logger = slog.New(slog.NewTextHandler(messages(saved), nil))
	})
	dial(t, again).ok(codec.OpDictSet, "d", "a", strings.Repeat("x", part))
	timeout := time.After(10 * time.Second)
	for {
		select {
		case line := <-saved:
			if strings.Contains(line, "msg=saved") {
				return
			}
		case <-timeout:
			t.Fatal("not saved")
		}
	}
}

// messages is a log that is read from a channel.
type messages chan string

func (m messages) Write(b []byte) (int, error) {
	select {
	case m <- string(b):
	default:
	}
	return len(b), nil
}

// TestFailedSave: a failed save changes nothing, and the next one is tried.
func TestFailedSave(t *testing.T) {
	t.Parallel()
	disk := newDisk()
	var armed atomic.Bool
	faults := &fstest.Faults{FS: disk, Fail: func(_ int, op, name string) error {
		if armed.Load() && strings.HasSuffix(name, ".part") {
			return syscall.ENOSPC
		}
		return nil
	}}
	srv := keptServer(t, faults, nil)
	w := dial(t, srv)
	someChanges(w)
	w.ok(codec.OpSave)
	before := disk.Bytes("data/data.cdb")
	w.ok(codec.OpDictSet, "d", "more", 1)
	armed.Store(true)
	w.fails(codec.StatusNotDurable, codec.OpSave)
	w.ok(codec.OpDictSet, "d", "still", 1)
	if string(disk.Bytes("data/data.cdb")) != string(before) || srv.Info().Data.SaveError == "" {
		t.Error("the file has changed, or nothing is said")
	}
	armed.Store(false)
	w.ok(codec.OpSave)
	if string(disk.Bytes("data/data.cdb")) == string(before) || srv.Info().Data.SaveError != "" {
		t.Errorf("%+v", srv.Info().Data)
	}
}

// TestStartRefused: a start that fails says what is wrong with the files, and does not change them.
func TestStartRefused(t *testing.T) {
	t.Parallel()
	disk := newDisk()
	srv := keptServer(t, disk, nil)
	someChanges(dial(t, srv))
	stopServer(t, srv)
	other := newDisk()
	srv = keptServer(t, other, nil)
	someChanges(dial(t, srv))
	stopServer(t, srv)
	disk.Put("data/data.cdb", other.Bytes("data/data.cdb"))
	_, err := Start(
		Config{
			Addr:     "127.0.0.1:0",
			Password: testPassword,
			KDF:      testKDF,
			Data:     dataOn(disk, nil),
			Logger:   slog.New(slog.DiscardHandler),
		},
	)
	if !errors.Is(err, persist.ErrMismatch) || !strings.Contains(err.Error(), "data.cdb") ||
		!strings.Contains(err.Error(), ".log") {
		t.Fatal(err)
	}
}
