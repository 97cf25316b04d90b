package loop

import (
	"path/filepath"
	"testing"

	"cyberdb-fast/codec"
	"cyberdb-fast/loop/engine"
	"cyberdb-fast/persist"
)

// TestRecordedSemantics: the journal says by which version of the command semantics a request was
// applied.
func TestRecordedSemantics(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "data.cdb")
	srv := startServer(t, func(cfg *Config) { cfg.Data = Data{File: file} })
	dial(t, srv).ok(codec.OpCreateDict, "d", false)
	dir := srv.journal.Dir()
	if err := srv.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	journal, err := persist.OpenJournal(persist.OS, dir, persist.Options{})
	if err != nil {
		t.Fatal(err)
	}
	requests := 0
	_, err = journal.Replay(0, func(op persist.Operation) error {
		if len(op.Request) == 0 {
			return nil
		}
		if requests++; op.Semantics != engine.Semantics {
			t.Errorf("operation %d has version %d, not %d", op.LSN, op.Semantics, engine.Semantics)
		}
		return nil
	})
	if err != nil || requests == 0 {
		t.Errorf("%d requests: %v", requests, err)
	}
}
