package persist_test

import (
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"

	"cyberdb-fast/persist"
	"cyberdb-fast/persist/fstest"
)

const firstSegment, secondSegment = journalDir + "/000001.log", journalDir + "/000002.log"

// beginning is a database whose next segment cannot be begun while it is armed.
type beginning struct {
	*database
	disk  *fstest.Disk
	armed bool
	tries int // to make a segment while it was armed
}

// newBeginning fails op, for the next segment alone, with errno. "left" is a creation that fails
// and leaves the file.
func newBeginning(t *testing.T, opt persist.Options, op string, errno syscall.Errno, forEver bool) *beginning {
	t.Helper()
	b := &beginning{disk: fstest.NewDisk()}
	var unsynced bool // a segment has been made, its directory has not been synced
	db, err := openWith(&fstest.Faults{FS: b.disk, Fail: func(_ int, did, name string) error {
		if did == "create" && strings.HasSuffix(name, ".log") {
			unsynced = true
			if b.armed {
				b.tries++
			}
		}
		fails := did == op && name == secondSegment
		switch {
		case op == "left" && did == "create" && name == secondSegment && b.armed:
			_, err := b.disk.Create(name)
			return errors.Join(err, errno)
		case op == "syncdir" && did == "syncdir" && name == journalDir:
			fails = unsynced || forEver
			unsynced = false
		}
		if b.armed && fails {
			return errno
		}
		return nil
	}}, opt, nil)
	if err != nil {
		t.Fatal(err)
	}
	b.database = db
	return b
}

const changeBytes = 700

// set makes one change, and looks at what a power cut would leave.
func (b *beginning) set(t *testing.T, rng *rand.Rand) {
	t.Helper()
	op := append([]byte{'s', 'a' + byte(rng.IntN(6))}, make([]byte, changeBytes)...)
	_, _ = rand.NewChaCha8([32]byte{byte(b.last)}).Read(op[2:])
	b.append(0, 1, op)
	b.journal.Round(b.now)
	b.acknowledge()
	for range 3 {
		if err := verify(b.disk.PowerCut(rng), b.model, b.acked.Load()); err != nil {
			t.Fatalf("after a power cut: %v", err)
		}
	}
}

func segments(disk *fstest.Disk) []string {
	return slices.DeleteFunc(disk.Names(), func(name string) bool { return !strings.HasSuffix(name, ".log") })
}

// TestSegmentNotStarted: while the next segment cannot be begun, the current one grows, and nothing
// is lost; that is retried from time to time, and reported once.
func TestSegmentNotStarted(t *testing.T) {
	for _, policy := range []persist.Policy{persist.Always, persist.EverySecond} {
		for op, errno := range map[string]syscall.Errno{"create": syscall.EMFILE, "left": syscall.EIO, "write": syscall.ENOSPC, "sync": syscall.EIO, "syncdir": syscall.EMFILE} {
			t.Run(policy.String()+" "+op, func(t *testing.T) {
				rng := seed(t)
				var reported []error
				b := newBeginning(
					t,
					persist.Options{Policy: policy, OnSegmentErr: func(err error) { reported = append(reported, err) }},
					op,
					errno,
					false,
				)
				b.set(t, rng)
				b.armed = true
				const changes = 30
				for range changes {
					b.set(t, rng)
					if policy == persist.Always && b.journal.Durable() != b.last {
						t.Fatalf("durable up to %d of %d", b.journal.Durable(), b.last)
					}
				}
				size := b.journal.Size()
				if err := b.journal.Err(); err != nil || size < changes*changeBytes {
					t.Fatalf("%d bytes, %v", size, err)
				}
				if got := segments(b.disk); !slices.Equal(got, []string{firstSegment}) {
					t.Errorf("segments %v", got)
				}
				if most := int(size / segmentBytes); b.tries < 2 || b.tries > most {
					t.Errorf("a segment was tried to be made %d times for %d bytes", b.tries, size)
				}
				if err := b.journal.SegmentErr(); !errors.Is(err, errno) || len(reported) != 1 ||
					!errors.Is(reported[0], errno) {
					t.Errorf("the error is %v, reported: %v", err, reported)
				}
				b.armed = false
				for range 10 {
					b.set(t, rng)
				}
				if err := b.journal.SegmentErr(); err != nil || len(reported) != 2 || reported[1] != nil {
					t.Errorf("afterwards the error is %v, reported: %v", err, reported)
				}
				if got := segments(b.disk); len(got) < 3 {
					t.Errorf("afterwards there are %v", got)
				}
				b.work(rng, 20)
				if err := b.journal.Err(); !errors.Is(err, persist.ErrClosed) {
					t.Error(err)
				}
				if err := verify(b.disk, b.model, b.last); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// TestSegmentNotRemoved: a segment that may be on disk, and cannot be begun, breaks the journal:
// the one before is not the last any more.
func TestSegmentNotRemoved(t *testing.T) {
	rng := seed(t)
	b := newBeginning(t, persist.Options{Policy: persist.Always}, "syncdir", syscall.EIO, true)
	b.set(t, rng)
	b.armed = true
	for b.journal.Err() == nil {
		b.set(t, rng)
	}
	if err := b.journal.Err(); !errors.Is(err, syscall.EIO) || b.tries != 1 {
		t.Errorf("%v, after %d tries", err, b.tries)
	}
	b.set(t, rng)
	if err := verify(b.disk, b.model, b.acked.Load()); err != nil {
		t.Error(err)
	}
}

// TestSegmentOfAnother: a segment that another process has made is left unchanged.
func TestSegmentOfAnother(t *testing.T) {
	b := newBeginning(t, persist.Options{Policy: persist.Always}, "", 0, false)
	b.disk.Put(secondSegment, []byte("another's"))
	for range 10 {
		op := append([]byte("sa"), make([]byte, changeBytes)...)
		b.append(0, 1, op)
		b.journal.Round(b.now)
	}
	if err := b.journal.Err(); err == nil || string(b.disk.Bytes(secondSegment)) != "another's" {
		t.Errorf("%v, and it holds %q", err, b.disk.Bytes(secondSegment))
	}
}

// TestNoSpaceToStart: if there is no room for a journal, starting it changes nothing, however often
// it is tried: a torn tail stays as well. The journal is broken then, and says why.
func TestNoSpaceToStart(t *testing.T) {
	for _, op := range []string{"create", "write", "sync"} {
		disk, db := saved(t, 10)
		segments := segmentsOf(disk)
		last := segments[len(segments)-1]
		torn := disk.Bytes(last)
		disk.Put(last, torn[:len(torn)-5])
		full := true
		fsys := &fstest.Faults{FS: disk, Fail: func(_ int, did, name string) error {
			if full && did == op && name != last {
				return syscall.ENOSPC
			}
			return nil
		}}
		before := contents(disk)
		var kept uint64
		for range 3 {
			r, err := persist.Recover(fsys, startOf(persist.Options{}), &loader{model: newModel()})
			if err != nil {
				t.Fatal(err)
			}
			if err := r.Journal.StartByHand(r.Last+1, 0); !persist.NoRoom(err) {
				t.Fatalf("%s: started: %v", op, err)
			}
			kept = r.Last
			r.Journal.Fail(errors.New("no room"))
			if r.Journal.Durable() != r.Last || r.Journal.Sync(r.Last) != nil || r.Journal.Sync(r.Last+1) == nil {
				t.Errorf("%s: durable up to %d of %d", op, r.Journal.Durable(), r.Last)
			}
			if err := r.Journal.Close(); err == nil || err.Error() != "no room" {
				t.Errorf("%s: closing gave %v", op, err)
			}
			if got := contents(disk); !maps.Equal(got, before) {
				t.Errorf("%s: the files have changed: %v", op, disk)
			}
		}
		full = false
		again, err := open(fsys, persist.Always, nil)
		if err != nil || again.state() != db.states[kept] {
			t.Errorf("%s: with room: %v", op, err)
		}
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
