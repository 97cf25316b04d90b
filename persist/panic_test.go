package persist_test

import (
	"errors"
	"sync/atomic"
	"testing"

	"cyberdb-fast/persist"
	"cyberdb-fast/persist/fstest"
)

// TestPanicBreaksJournal: a panic of the flusher, or of its callbacks, breaks the journal, as a
// failed write does. It ends neither the process nor blocks a caller.
func TestPanicBreaksJournal(t *testing.T) {
	for _, where := range []string{"write", "sync", "reported"} {
		t.Run(where, func(t *testing.T) {
			disk := fstest.NewDisk()
			var armed atomic.Bool
			fsys := &fstest.Faults{FS: disk, Fail: func(_ int, op, _ string) error {
				if armed.Load() && op == where {
					panic("defect")
				}
				return nil
			}}
			reported := func() {
				if armed.Load() && where == "reported" {
					panic("defect")
				}
			}
			j, err := persist.OpenJournal(fsys, journalDir, persist.Options{Policy: persist.Always, OnSync: reported})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := j.Replay(0, nil); err != nil {
				t.Fatal(err)
			}
			if err := j.Start(1, 0); err != nil {
				t.Fatal(err)
			}
			b := j.Buffer()
			b.Append(1, 1, 0, []byte("kept"))
			if err := j.Sync(1); err != nil {
				t.Fatal(err)
			}
			armed.Store(true)
			b.Append(2, 1, 0, []byte("not kept"))
			j.RequestSync(2)
			for j.Err() == nil {
				_ = j.Sync(2)
			}
			var panicked *persist.PanicError
			if err := j.Err(); !errors.As(err, &panicked) || panicked.Value != "defect" || len(panicked.Stack) == 0 {
				t.Fatal(err)
			}
			b.Append(3, 1, 0, []byte("dropped"))
			if err := j.Sync(3); !errors.As(err, &panicked) {
				t.Error(err)
			}
			if err := j.Close(); !errors.As(err, &panicked) {
				t.Error(err)
			}
			armed.Store(false)
			again, err := persist.OpenJournal(fsys, journalDir, persist.Options{})
			if err != nil {
				t.Fatal(err)
			}
			info, err := again.Replay(0, func(persist.Operation) error { return nil })
			if err != nil || info.Last < 1 {
				t.Errorf("%+v, %v", info, err)
			}
		})
	}
}

// TestPanicInLoad: a panic of a goroutine that reads and checks a file's blocks becomes the error
// of Load.
func TestPanicInLoad(t *testing.T) {
	disk := fstest.NewDisk()
	reads := 0
	fsys := &fstest.Faults{FS: disk, Fail: func(_ int, op, _ string) error {
		if op == "read" {
			if reads++; reads > 5 {
				panic("defect")
			}
		}
		return nil
	}}
	m := newModel()
	for i := range byte(40) {
		m.do(1, []byte{'s', i, i})
	}
	if err := fsys.MkdirAll("data"); err != nil {
		t.Fatal(err)
	}
	if _, err := persist.WriteFile(
		fsys,
		dataFile,
		persist.Stamp{Database: persist.NewID(), LSN: m.last + 1},
		persist.Raw,
		m.content().fill,
	); err != nil {
		t.Fatal(err)
	}
	r, err := persist.Open(fsys, dataFile)
	if err != nil {
		t.Fatal(err)
	}
	reads = 5
	var panicked *persist.PanicError
	if err := r.Load(2, &loader{model: newModel()}, nil); !errors.As(err, &panicked) {
		t.Error(err)
	}
}
