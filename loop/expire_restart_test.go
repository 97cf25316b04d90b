package loop

import (
	"context"
	"fmt"
	"testing"
	"time"

	"cyberdb-fast/codec"
	"cyberdb-fast/persist/fstest"
)

// successions are ways from one server to the next with its tables.
var successions = map[string]func(t *testing.T, old *Server, disk *fstest.Disk, start func(*fstest.Disk) *Server) *Server{
	"stop": func(t *testing.T, old *Server, disk *fstest.Disk, start func(*fstest.Disk) *Server) *Server {
		stopServer(t, old)
		return start(disk)
	},
	"kill": func(t *testing.T, old *Server, disk *fstest.Disk, start func(*fstest.Disk) *Server) *Server {
		return start(killed(t, old, disk))
	},
	"kill after a save": func(t *testing.T, old *Server, disk *fstest.Disk, start func(*fstest.Disk) *Server) *Server {
		w := dial(t, old)
		w.ok(codec.OpSave)
		w.ok(codec.OpDictSet, "d", "after the save", 1)
		return start(killed(t, old, disk))
	},
	"copy": func(t *testing.T, old *Server, disk *fstest.Disk, start func(*fstest.Disk) *Server) *Server {
		stopServer(t, old)
		return start(disk.Copy())
	},
	"load": func(t *testing.T, old *Server, disk *fstest.Disk, start func(*fstest.Disk) *Server) *Server {
		stopServer(t, old)
		other := newDisk()
		other.Put("data/other.cdb", disk.Bytes("data/data.cdb"))
		srv := start(other)
		dial(t, srv).ok(codec.OpCreateDict, "another", false, 1, 1) // and so other LSNs
		if _, err := srv.saver.load("data/other.cdb", true); err != nil {
			t.Fatal(err)
		}
		return srv
	},
	"load and kill": func(t *testing.T, old *Server, disk *fstest.Disk, start func(*fstest.Disk) *Server) *Server {
		stopServer(t, old)
		other := newDisk()
		other.Put("data/other.cdb", disk.Bytes("data/data.cdb"))
		srv := start(other)
		if _, err := srv.saver.load("data/other.cdb", false); err != nil {
			t.Fatal(err)
		}
		return start(killed(t, srv, other))
	},
}

// killed returns what is left of a server's disk if the server is killed now.
func killed(t *testing.T, srv *Server, disk *fstest.Disk) *fstest.Disk {
	t.Helper()
	if err := srv.journal.Sync(srv.store.Clock()); err != nil {
		t.Fatal(err)
	}
	left := disk.Copy()
	_ = srv.Stop(context.Background())
	return left
}

// eachSuccession runs a test with each of successions, a clock, and the start of a server.
func eachSuccession(t *testing.T, test func(t *testing.T, clock *wallClock, srv *Server, next func() *Server)) {
	t.Parallel()
	for name, succeed := range successions {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock, disk := &wallClock{}, newDisk()
			start := func(disk *fstest.Disk) *Server {
				return startLimited(t, func(cfg *Config) { cfg.Data = dataOn(disk, nil) }, clock.limit)
			}
			srv := start(disk)
			test(t, clock, srv, func() *Server {
				srv = succeed(t, srv, disk, start)
				return srv
			})
		})
	}
}

// livesFor fails unless the entries of a dict live for so many seconds, some fewer at most; 0: it
// must have expired; -1: for ever.
func livesFor(w *wire, name string, seconds map[string]int64) {
	w.Helper()
	for key, want := range seconds {
		if want == 0 {
			w.fails(codec.StatusKeyError, codec.OpDictTTL, name, key)
			w.fails(codec.StatusKeyError, codec.OpDictGet, name, key)
			continue
		}
		left, isTime := w.ok(codec.OpDictTTL, name, key)[0].(int64)
		if isTime != (want > 0) || isTime && (left > 1000*want+1000 || left < 1000*want-20_000) {
			w.Errorf("%s lives %d ms, want %d s", key, left, want)
		}
	}
}

// TestDeadlinesSurvive: deadlines, of entries and by a table's default, are absolute: a restart, a
// kill, a load and a copy change none.
func TestDeadlinesSurvive(t *testing.T) {
	eachSuccession(t, func(t *testing.T, clock *wallClock, srv *Server, next func() *Server) {
		w := dial(t, srv)
		w.ok(codec.OpCreateDict, "d", map[any]any{"ttl": int64(600_000)}, "a", 1, "b", 2, "c", 3)
		w.ok(codec.OpCreateDict, "late", false, "a", 1)
		w.doLiving(codec.OpDictExpire, codec.Persist, "d", "c")
		w.doLiving(codec.OpDictSet, 900_000, "d", "own", 4)
		time.Sleep(200 * time.Millisecond) // the server notes when entries were written
		clock.jump(200 * time.Second)
		w.ok(codec.OpDictSet, "d", "b", 3)
		w.ok(codec.OpConfigure, "late", map[any]any{"ttl": int64(600_000), "max_entries": int64(1000)})
		w.ok(codec.OpDictSet, "late", "b", 3)
		time.Sleep(200 * time.Millisecond) // the server notes when entries were written
		clock.jump(100 * time.Second)
		w.ok(codec.OpDictSet, "d", "new", 3)
		time.Sleep(200 * time.Millisecond) // the server notes when entries were written
		before := fmt.Sprint(w.ok(codec.OpOptions, "d"), w.ok(codec.OpOptions, "late"))
		for range 2 { // successions of successions
			clock.jump(50 * time.Second)
			w = dial(t, next())
		}
		livesFor(w, "d", map[string]int64{"a": 200, "b": 400, "c": -1, "own": 500, "new": 500})
		livesFor(w, "late", map[string]int64{"a": 400, "b": 400})
		if after := fmt.Sprint(w.ok(codec.OpOptions, "d"), w.ok(codec.OpOptions, "late")); after != before {
			t.Errorf("options %s, before %s", after, before)
		}
		clock.jump(210 * time.Second)
		livesFor(w, "d", map[string]int64{"a": 0, "b": 190, "c": -1, "own": 290, "new": 290})
		livesFor(w, "late", map[string]int64{"a": 190, "b": 190})
		clock.jump(300 * time.Second)
		livesFor(w, "d", map[string]int64{"a": 0, "b": 0, "c": -1, "own": 0, "new": 0})
		livesFor(w, "late", map[string]int64{"a": 0, "b": 0})
	})
}

// TestExpiredStaysSo: an entry that was shown as expired is not shown again after a restart, even
// if the wall clock was set back meanwhile. After a kill that holds for times that are on disk.
func TestExpiredStaysSo(t *testing.T) {
	eachSuccession(t, func(t *testing.T, clock *wallClock, srv *Server, next func() *Server) {
		w := dial(t, srv)
		w.ok(codec.OpCreateDict, "d", map[any]any{"ttl": int64(1000)}, "default", 1)
		w.doLiving(codec.OpDictSet, 1000, "d", "own", 1)
		expired := func(key string) bool {
			return w.call(codec.OpDictGet, "d", key).Status == codec.StatusKeyError
		}
		for until := time.Now().Add(testTimeout); !expired("default") || !expired("own"); {
			if time.Now().After(until) {
				t.Fatal("they do not expire")
			}
			time.Sleep(time.Millisecond)
		}
		w.ok(codec.OpDictSet, "d", "x", 1)
		clock.jump(-time.Hour)
		w = dial(t, next())
		livesFor(w, "d", map[string]int64{"default": 0, "own": 0})
	})
}

// TestDigestWithOptions: a server, its file and the server after a restart have the same digest, of
// dicts with options, horizons, deadlines and entries that never expire.
func TestDigestWithOptions(t *testing.T) {
	t.Parallel()
	clock, disk := &wallClock{}, newDisk()
	start := func(disk *fstest.Disk) *Server {
		return startLimited(t, func(cfg *Config) { cfg.Data = dataOn(disk, nil) }, clock.limit)
	}
	srv := start(disk)
	w := dial(t, srv)
	seen := map[string]bool{}
	digest := func() string {
		d := w.digest().Digest
		if seen[d] {
			t.Errorf("digest %s again", d)
		}
		seen[d] = true
		return d
	}
	w.ok(codec.OpCreateDict, "d", false, "a", 1, "b", 2)
	digest()
	w.ok(codec.OpConfigure, "d", map[any]any{"ttl": int64(1000)})
	digest()
	w.ok(codec.OpConfigure, "d", map[any]any{"idle": int64(100_000_000), "max_entries": int64(10), "policy": "ttl"})
	digest()
	w.doLiving(codec.OpDictExpire, codec.Persist, "d", "a")
	digest()
	w.doLiving(codec.OpDictSet, 100_000, "d", "own", 1)
	digest()
	time.Sleep(200 * time.Millisecond)
	clock.jump(2 * time.Second)
	for until := time.Now().Add(testTimeout); w.ok(codec.OpDictLen, "d")[0] != int64(2); {
		if time.Now().After(until) {
			t.Fatal("b does not expire")
		}
		time.Sleep(time.Millisecond)
	}
	w.ok(codec.OpConfigure, "d", map[any]any{"ttl": int64(100_000_000)}) // nothing more expires
	w.ok(codec.OpSave)
	want := digest()
	if got := fileDigestOf(t, disk); got.Digest != want {
		t.Errorf("the file has %s, the server %s", got.Digest, want)
	}
	w.ok(codec.OpDictSet, "d", "after the save", 1)
	want = digest()
	w = dial(t, start(killed(t, srv, disk)))
	if got := w.digest().Digest; got != want {
		t.Errorf("after a kill %s, before %s", got, want)
	}
}

// TestIdleBeginsAnew: after a restart the time to idle begins anew.
func TestIdleBeginsAnew(t *testing.T) {
	eachSuccession(t, func(t *testing.T, clock *wallClock, srv *Server, next func() *Server) {
		w := dial(t, srv)
		w.ok(codec.OpCreateDict, "d", map[any]any{"idle": int64(600_000)}, "a", 1, "b", 2)
		clock.jump(500 * time.Second)
		w.ok(codec.OpDictGet, "d", "a")
		w = dial(t, next())
		w.ok(codec.OpDictLen, "d")
		time.Sleep(200 * time.Millisecond) // the server notes when the time began
		clock.jump(500 * time.Second)
		if w.ok(codec.OpDictContains, "d", "b")[0] != true {
			t.Fatal("b has expired")
		}
		time.Sleep(200 * time.Millisecond)
		clock.jump(1300 * time.Second)
		w.fails(codec.StatusKeyError, codec.OpDictGet, "d", "a")
		w.fails(codec.StatusKeyError, codec.OpDictGet, "d", "b")
	})
}
