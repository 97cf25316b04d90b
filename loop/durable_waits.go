package loop

import (
	"sync"
	"sync/atomic"
)

// durableWaits has the waiters that wait for the disk. Replies that wait for it are pendingReplies,
// which need neither a copy of the request nor to execute it again.
type durableWaits struct {
	any  atomic.Bool // there are some; written under mu
	mu   sync.Mutex
	list map[*durableWait]struct{} // guarded by mu
}

// durableWait is to be woken when all up to an LSN is on disk.
type durableWait struct {
	lsn  uint64
	wake func()
}

// WhenDurable implements engine.Journal.
func (j requestJournal) WhenDurable(lsn uint64, wake func()) (cancel func()) {
	d, w := &j.srv.durableWaits, &durableWait{lsn, wake}
	d.mu.Lock()
	if d.list == nil {
		d.list = make(map[*durableWait]struct{})
	}
	d.list[w] = struct{}{}
	d.any.Store(true)
	d.mu.Unlock()
	if j.srv.isDurable(lsn) { // perhaps since before it was in the list
		d.synced(j.srv)
	}
	j.RequestSync(lsn)
	return func() { d.remove(w) }
}

func (d *durableWaits) remove(w *durableWait) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.list, w)
	d.any.Store(len(d.list) > 0)
}

// synced wakes those whose wait is over.
func (d *durableWaits) synced(srv *Server) {
	if !d.any.Load() {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for w := range d.list {
		if srv.isDurable(w.lsn) {
			delete(d.list, w)
			w.wake()
		}
	}
	d.any.Store(len(d.list) > 0)
}
