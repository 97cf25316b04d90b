package loop

import (
	"encoding/json"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"cyberdb-fast/codec"
	"cyberdb-fast/loop/engine/conformance"
	"cyberdb-fast/persist"
)

// TestUnsavedChanges: a server knows how many changes its file does not hold, also before the first
// save and after a crash. The clocks of both begin far from the file's LSN.
func TestUnsavedChanges(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(conformance.Seed(t), 0))
	for _, noJournal := range []bool{false, true} {
		disk := newDisk()
		change := func(d *Data) { d.Fsync, d.NoJournal = persist.Always, noJournal }
		expect := func(srv *Server, when string, want uint64) {
			t.Helper()
			data := srv.Info().Data
			lag := uint64(0)
			if noJournal {
				lag = want
			}
			if data.UnsavedChanges != want || data.LagChanges != lag {
				t.Errorf("no journal %v: %s: %d unsaved, %d lag, want %d and %d",
					noJournal, when, data.UnsavedChanges, data.LagChanges, want, lag)
			}
		}
		srv := keptServer(t, disk, change)
		expect(srv, "fresh", 0)
		w := dial(t, srv)
		w.ok(codec.OpCreateList, "l", false)
		w.ok(codec.OpListAppend, "l", 1)
		expect(srv, "after two changes", 2)
		if !noJournal {
			crashed := keptServer(t, disk.PowerCut(rng), change)
			expect(crashed, "after a crash before the first save", 2)
			again := disk.PowerCut(rng)
			stopServer(t, crashed)
			expect(keptServer(t, again, change), "after a second crash", 2)
		}
		w.ok(codec.OpSave)
		expect(srv, "saved", 0)
		w.ok(codec.OpListAppend, "l", 2)
		expect(srv, "after one more change", 1)
		if !noJournal {
			expect(keptServer(t, disk.PowerCut(rng), change), "after a crash", 1)
		}
		stopServer(t, srv)
		expect(keptServer(t, disk, change), "after an orderly end", 0)
	}
}

// TestLoggedTimes: the times in a log of JSON have units.
func TestLoggedTimes(t *testing.T) {
	t.Parallel()
	dir, lines := t.TempDir(), make(chan string, 100)
	start := func() *Server {
		return startServer(t, func(cfg *Config) {
			cfg.Data = Data{File: filepath.Join(dir, "data.cdb"), Control: filepath.Join(dir, "control.sock")}
			cfg.Logger = slog.New(slog.NewJSONHandler(messages(lines), nil))
		})
	}
	srv := start()
	dial(t, srv).ok(codec.OpCreateDict, "d", false)
	ask(t, srv, `{"do":"save"}`)
	stopServer(t, srv)
	stopServer(t, start())
	var told []string
	for range len(lines) {
		line := <-lines
		var event struct{ Msg, Took string }
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			t.Errorf("%s: %v", line, err)
		}
		if _, err := time.ParseDuration(event.Took); err == nil {
			told = append(told, event.Msg)
		}
	}
	if want := []string{"saved", "control", "loaded"}; !slices.Equal(told, want) {
		t.Errorf("%q say how long they took, want %q", told, want)
	}
}
