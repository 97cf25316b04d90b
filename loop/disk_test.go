package loop

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cyberdb-fast/codec"
	"cyberdb-fast/persist"
	"cyberdb-fast/shardmap"
)

// TestFullDisk: on a full disk changes are refused with ReadOnly before there is no room for what
// was acknowledged, and nothing of that is lost when the process is killed. INFO says why, reads go
// on, and changes are accepted when there is room again.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	for name, policy := range map[string]persist.Policy{"everysec": persist.EverySecond, "no": persist.Never, "always": persist.Always} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			disk := newDisk()
			srv := keptServer(t, disk, func(d *Data) { d.Fsync = policy })
			w := dial(t, srv)
			w.ok(codec.OpCreateDict, "d", false)
			disk.SetCapacity(3 << 20)
			acked := 0
			set := func() codec.Reply { return w.call(codec.OpDictSet, "d", acked, strings.Repeat("x", 8000)) }
			reply := set()
			for reply.Status == codec.StatusOK {
				if acked++; acked > 1000 {
					t.Fatal("never refused")
				}
				reply = set()
			}
			if text, err := codec.ParseErrorBody(
				reply.Status,
				reply.Body,
			); err != nil || reply.Status != codec.StatusReadOnly ||
				!strings.Contains(text.Message, "the disk is full") {
				t.Fatalf("refused: %v, %v, %v", reply.Status, text, err)
			}
			w.ok(codec.OpDictGet, "d", 0)
			info := srv.Info().Data
			if !strings.Contains(info.ReadOnly, "the disk is full") || info.JournalError != "" || info.NotDurable != 0 {
				t.Errorf("%+v", info)
			}
			until := time.Now().Add(testTimeout)
			// the last 10 ms of a process that is killed
			for srv.journal.Pending() > 0 && time.Now().Before(until) {
				time.Sleep(time.Millisecond)
			}
			killed := newDisk()
			for _, name := range disk.Names() {
				killed.Put(name, disk.Bytes(name))
			}
			again := keptServer(t, killed, nil)
			if table, ok := again.store.Lookup(&shardmap.Call{}, []byte("d")); !ok || table.Len() < acked {
				t.Errorf("%d were acknowledged, %d are there", acked, table.Len())
			}
			disk.SetCapacity(0)
			for w.call(codec.OpDictSet, "d", "more", 1).Status != codec.StatusOK {
				if time.Now().After(until) {
					t.Fatal("refused for ever")
				}
			}
			if info := srv.Info().Data; info.ReadOnly != "" {
				t.Errorf("%+v", info)
			}
		})
	}
}

// TestStartOnFullDisk: a server starts on a full disk for reading, and says what to do.
func TestStartOnFullDisk(t *testing.T) {
	t.Parallel()
	disk := newDisk()
	srv := keptServer(t, disk, nil)
	someChanges(dial(t, srv))
	stopServer(t, srv)
	disk.SetCapacity(1)
	lines := make(chan string, 100)
	srv, err := Start(Config{
		Addr:     "127.0.0.1:0",
		Password: testPassword,
		KDF:      testKDF,
		Encrypt:  *encrypted,
		Logger:   slog.New(slog.NewTextHandler(messages(lines), nil)),
		Data:     dataOn(disk, nil),
	})
	if err != nil {
		t.Fatal(err)
	}
	w := dial(t, srv)
	w.ok(codec.OpDictGet, "d", "n")
	w.fails(codec.StatusReadOnly, codec.OpDictSet, "d", "n", 1)
	if got := w.ok(codec.OpDictGetOrCompute, "d", "n", ownerOf("one"), leaseTime, 0, nil); got[0] != int64(0) {
		t.Errorf("GET OR COMPUTE of a value that is there: %v", got)
	}
	w.fails(codec.StatusReadOnly, codec.OpDictGetOrCompute, "d", "none", ownerOf("one"), leaseTime, 0, nil)
	if info := srv.Info().Data; !strings.Contains(info.ReadOnly, "free disk space") {
		t.Errorf("%+v", info)
	}
	_ = srv.Stop(context.Background())
	said := false
	for len(lines) > 0 {
		line := <-lines
		said = said || strings.Contains(line, "free disk space, then restart")
	}
	if !said {
		t.Error("the log does not say what to do")
	}
}

// TestDirectoryGone: once the data directory, the journal or one of their files was moved or
// replaced, nothing is answered as on disk, changes are refused, saves fail, and INFO says why.
func TestDirectoryGone(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(dir string) error{
		"directory removed": os.RemoveAll,
		"directory moved":   func(dir string) error { return os.Rename(dir, dir+"-old") },
		"directory replaced": func(dir string) error {
			return errors.Join(os.Rename(dir, dir+"-old"), os.Mkdir(dir, 0o700))
		},
		"directory replaced by a copy": func(dir string) error {
			return errors.Join(os.Rename(dir, dir+"-old"), os.CopyFS(dir, os.DirFS(dir+"-old")))
		},
		"journal removed": func(dir string) error { return os.RemoveAll(filepath.Join(dir, "data.cdb.journal")) },
		"segment removed": func(dir string) error { return os.Remove(filepath.Join(dir, "data.cdb.journal/000001.log")) },
		"segment renamed": func(dir string) error {
			segment := filepath.Join(dir, "data.cdb.journal/000001.log")
			return os.Rename(segment, segment+".old")
		},
		"segment cut":           func(dir string) error { return os.Truncate(filepath.Join(dir, "data.cdb.journal/000001.log"), 70) },
		"reserved numbers gone": func(dir string) error { return os.Remove(filepath.Join(dir, "data.cdb.numbers")) },
	} {
		for _, policy := range []persist.Policy{persist.Always, persist.EverySecond} {
			t.Run(name+" "+policy.String(), func(t *testing.T) {
				t.Parallel()
				dir := filepath.Join(t.TempDir(), "data")
				srv, err := Start(Config{
					Addr:     "127.0.0.1:0",
					Password: testPassword,
					KDF:      testKDF,
					Encrypt:  *encrypted,
					Logger:   slog.New(slog.DiscardHandler),
					Data:     Data{File: filepath.Join(dir, "data.cdb"), Fsync: policy},
				})
				if err != nil {
					t.Fatal(err)
				}
				w := dial(t, srv)
				w.ok(codec.OpCreateDict, "d", false)
				for until := time.Now().Add(testTimeout); srv.journal.Pending() > 0 && time.Now().Before(until); {
					time.Sleep(time.Millisecond)
				}
				if err := lose(dir); err != nil {
					t.Fatal(err)
				}
				w.id++
				w.write(
					codec.AppendRequest(
						nil,
						&codec.Request{
							ID:    w.id,
							Op:    codec.OpDictSet,
							Flags: codec.FlagDurable,
							Args:  encodeArgs(t, "d", "a", 1),
						},
					),
				)
				reply, err := w.reply()
				applied := reply.Status == codec.StatusNotDurable // else the loss was seen before
				if err != nil || !applied && reply.Status != codec.StatusReadOnly {
					t.Errorf("a change is answered %v, %v", reply.Status, err)
				}
				w.fails(codec.StatusReadOnly, codec.OpDictSet, "d", "b", 1)
				info := srv.Info().Data
				if !strings.Contains(info.ReadOnly, dir) || (info.NotDurable > 0) != applied {
					t.Errorf("%+v", info)
				}
				if strings.HasPrefix(name, "directory") || strings.HasPrefix(name, "reserved") {
					w.fails(codec.StatusNotDurable, codec.OpSave)
				}
				if err := srv.Stop(context.Background()); err == nil {
					t.Error("stopped without an error")
				}
			})
		}
	}
}

// TestDirectoryGoneWithoutJournal: a save finds out, and from then on changes are refused.
func TestDirectoryGoneWithoutJournal(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	log := make(chan string, 100)
	srv, err := Start(Config{
		Addr:     "127.0.0.1:0",
		Password: testPassword,
		KDF:      testKDF,
		Encrypt:  *encrypted,
		Logger:   slog.New(slog.NewTextHandler(messages(log), nil)),
		Data:     Data{File: filepath.Join(dir, "data.cdb"), NoJournal: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	w := dial(t, srv)
	w.ok(codec.OpCreateDict, "d", false)
	if err := errors.Join(os.Rename(dir, dir+"-old"), os.Mkdir(dir, 0o700)); err != nil {
		t.Fatal(err)
	}
	w.fails(codec.StatusNotDurable, codec.OpSave)
	w.fails(codec.StatusReadOnly, codec.OpDictSet, "d", "a", 1)
	if info := srv.Info().Data; !strings.Contains(info.ReadOnly, dir) {
		t.Errorf("%+v", info)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("in another directory are %v, %v", left, err)
	}
	if err := srv.Stop(context.Background()); !errors.Is(err, persist.ErrMoved) {
		t.Error(err)
	}
	logged(t, log, "lost: ")
}

// TestLostIsReported: the log and INFO say what a start has cut off the journal: how much, from
// which LSN on, and where it is kept.
func TestLostIsReported(t *testing.T) {
	t.Parallel()
	disk := newDisk()
	srv := keptServer(t, disk, func(d *Data) { d.Fsync = persist.Never })
	w := dial(t, srv)
	w.ok(codec.OpCreateDict, "d", false)
	var ends []int // of the segment after each change
	for i := range 6 {
		w.ok(codec.OpDictSet, "d", i, 1)
		until := time.Now().Add(testTimeout)
		for srv.journal.Pending() > 0 && time.Now().Before(until) {
			time.Sleep(time.Millisecond)
		}
		ends = append(ends, len(disk.Bytes("data/data.cdb.journal/000001.log")))
	}
	killed := newDisk()
	data := disk.Bytes("data/data.cdb.journal/000001.log")
	data[ends[2]+3] ^= 1
	killed.Put("data/data.cdb.journal/000001.log", data[:ends[5]])
	killed.Put("data/data.cdb.numbers", disk.Bytes("data/data.cdb.numbers"))
	lines := make(chan string, 100)
	again := startServer(t, func(cfg *Config) {
		cfg.Logger = slog.New(slog.NewTextHandler(messages(lines), nil))
		cfg.Data = dataOn(killed, nil)
	})
	info := again.Info().Data
	if info.LostBytes != int64(ends[5]-ends[2]) || info.LostOperations < 2 || info.LostFrom == 0 {
		t.Errorf("%+v", info)
	}
	text := ""
	for len(lines) > 0 {
		text += <-lines
	}
	for _, want := range []string{"torn tail", "000001.log.damaged", "from LSN"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in the log:\n%s", want, text)
		}
	}
	if kept := killed.Bytes("data/data.cdb.journal/000001.log.damaged"); string(kept) != string(data[ends[2]:ends[5]]) {
		t.Errorf("%d bytes are kept of %d", len(kept), ends[5]-ends[2])
	}
}
