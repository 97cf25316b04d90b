package loop

import (
	"cmp"
	"sync"
	"sync/atomic"

	"github.com/tidwall/btree"
)

// durableWaits has the waiters that wait for the disk. Replies that wait for it are pendingReplies,
// which need neither a copy of the request nor to execute it again.
type durableWaits struct {
	any   atomic.Bool // there are some; written under mu
	mu    sync.Mutex
	list  *btree.BTreeG[durableWait] // by their LSNs; guarded by mu
	count uint64                     // guarded by mu
}

// durableWait is to be woken when all up to an LSN is on disk.
type durableWait struct {
	lsn, number uint64
	wake        func()
}

func (d *durableWaits) init() {
	sooner := func(a, b durableWait) bool {
		return cmp.Or(cmp.Compare(a.lsn, b.lsn), cmp.Compare(a.number, b.number)) < 0
	}
	d.list = btree.NewBTreeGOptions(sooner, btree.Options{NoLocks: true})
}

// WhenDurable implements engine.Journal.
func (j requestJournal) WhenDurable(lsn uint64, wake func()) (cancel func()) {
	d := &j.srv.durableWaits
	d.mu.Lock()
	d.count++
	w := durableWait{lsn, d.count, wake}
	d.list.Set(w)
	d.any.Store(true)
	d.mu.Unlock()
	if j.srv.isDurable(lsn) { // perhaps since before it was in the list
		d.synced(j.srv)
	}
	j.RequestSync(lsn)
	return func() { d.remove(w) }
}

func (d *durableWaits) remove(w durableWait) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.list.Delete(w)
	d.any.Store(d.list.Len() > 0)
}

// synced wakes those whose wait is over.
func (d *durableWaits) synced(srv *Server) {
	if !d.any.Load() {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for {
		w, ok := d.list.Min()
		if !ok || !srv.isDurable(w.lsn) {
			break
		}
		d.list.PopMin()
		w.wake()
	}
	d.any.Store(d.list.Len() > 0)
}
