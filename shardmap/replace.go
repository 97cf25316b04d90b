package shardmap

import "github.com/puzpuzpuz/xsync/v3"

// Replace installs restored tables at one instant, as if change number at had dropped all tables
// and created these. Its caller first takes the locks of all tables, as a long write takes that of
// one. So no call acts on a table when at is assigned. Calls in progress are repeated afterwards on
// the new tables; older views continue to show the old ones.

// maxTries is how often Replace releases the locks that it has when it meets a long write. After
// that it keeps them and waits.
const maxTries = 100

// Reserve assigns n LSNs to no change and returns the first. They become the LSNs of tables that
// are restored, to be adopted later.
func (s *Store) Reserve(c *Call, n uint64) (first uint64) {
	first = s.clock.Add(n) - n + 1
	logSkipped(c, first, n)
	return first
}

// logSkipped records that n LSNs from first on belong to no change.
func logSkipped(c *Call, first, n uint64) {
	for c.Log != nil && n > 0 {
		k := min(n, maxSkipped)
		c.Log.Append(first, k, c.Time, nil)
		first, n = first+k, n-k
	}
}

// advanceTo assigns all LSNs up to lsn: lsn to the call's Request, those before it to no change. It
// returns false if lsn is already assigned.
func (s *Store) advanceTo(c *Call, lsn uint64) bool {
	for {
		last := s.Clock()
		if last >= lsn {
			return false
		}
		if s.clock.CompareAndSwap(last, lsn) {
			logSkipped(c, last+1, lsn-last-1)
			if c.Log != nil {
				c.Log.Append(lsn, 1, c.Time, c.Request)
			}
			return true
		}
	}
}

// Adopt installs restored tables in an empty store that is in use, as of the LSN at; it assigns all
// LSNs up to that. keep makes the tables durable: it is called before they become visible, and its
// error ends Adopt. Meanwhile only creations wait; inline ones return ErrLong. All names must
// differ.
//
// Errors, after which none of the tables is installed: ErrNotEmpty; ErrClock; that of keep.
func (s *Store) Adopt(c *Call, tables []*Restorer, at uint64, keep func() error) error {
	names, list := catalogOf(tables, at)
	h := s.adopting.acquire()
	defer s.adopting.release(h)
	if s.Len() > 0 { // creations that began before the lock was taken have ended
		return ErrNotEmpty
	}
	if err := keep(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.advanceTo(c, at) {
		return ErrClock
	}
	s.exchangeLocked(names, list)
	return nil
}

// Replace replaces all tables of a store that is in use by restored ones, as of the LSN at; it
// assigns all LSNs up to that. It waits for long writes in progress. All names must differ. Errors,
// after which nothing has changed: ErrClock.
func (s *Store) Replace(c *Call, tables []*Restorer, at uint64) error {
	names, list := catalogOf(tables, at)
	owned, old := s.ownAll()
	defer owned.release()
	views, err := s.exchange(c, old, names, list, at)
	if err != nil {
		return err
	}
	for _, t := range old {
		if t.table.lock.isPoisoned() { // its memory is not freed
			s.poisoned.Add(-1)
			continue
		}
		if l := t.table.list; l != nil { // the garbage collector frees it
			c.lock(&l.mu)
			l.unschedule()
			c.unlock()
		}
		if d := t.table.dict; d != nil {
			w := t.table.write(at, views)
			d.lockShards(c)
			c.handoverShards(&w)
			d.retireShards(c, &w)()
		}
		owned.releaseOne(t.table)
	}
	return nil
}

// catalogOf returns the map and the list of restored tables, which have their names as of at.
func catalogOf(tables []*Restorer, at uint64) (*tableMap, *tableList) {
	names, list := xsync.NewMapOf[string, *Table](xsync.WithPresize(len(tables))), newTableList()
	for _, r := range tables {
		r.finish()
		r.table.namedLSN = at
		names.Store(r.name, r.table)
		list.Set(namedTable{r.name, r.table, at})
	}
	return names, list
}

// exchange assigns at and installs the new tables in place of the old ones, whose locks the caller
// owns. It returns the views that may show the old tables. The caller holds mu, which exchange
// unlocks in any case.
func (s *Store) exchange(c *Call, old []namedTable, names *tableMap, list *tableList, at uint64) (*viewList, error) {
	defer s.mu.Unlock()
	exchanged := false
	defer func() {
		if exchanged {
			return
		}
		for _, t := range old { // they stay, even after a panic
			t.table.state.Store(present)
		}
	}()
	// Before the LSN is assigned, so that a view of one of them with a higher LSN finds that it
	// is replaced.
	for _, t := range old {
		t.table.state.Store(replaced)
	}
	if !s.advanceTo(c, at) {
		return nil, ErrClock
	}
	views := s.openViews()
	for _, t := range old {
		views.handoverName(t.table, at)
	}
	s.exchangeLocked(names, list)
	exchanged = true
	for _, t := range old {
		t.table.watchers.changed()
		t.table.ends.changed()
	}
	return views, nil
}

// ownership is the ownership of many tables' locks.
type ownership map[*Table]*lockOwner

// ownAll takes the locks of all tables, which it returns, and mu, so that no others can be created.
func (s *Store) ownAll() (ownership, []namedTable) {
	o := make(ownership)
	for tries := 1; ; tries++ {
		owner := o.acquire(tablesOf(s.copyList())) // most locks without mu, which creations need
		if owner == nil {
			s.mu.Lock()
			tables := tablesOf(s.list)
			if owner = o.acquire(tables); owner == nil {
				return o, tables
			}
			s.mu.Unlock()
		}
		if tries < maxTries {
			o.release() // no call waits for the long write of another table
		}
		<-owner.released
	}
}

// acquire takes the locks of all tables given, except those that it owns. It stops at the first
// lock that another owner has, and returns that owner.
func (o ownership) acquire(tables []namedTable) (owner *lockOwner) {
	for _, t := range tables {
		if o[t.table] != nil {
			continue
		}
		h, owner := t.table.lock.tryAcquire()
		if owner == poisoned { // no call acts on it
			continue
		}
		if owner != nil {
			return owner
		}
		o[t.table] = h
		t.table.drainCalls()
	}
	return nil
}

// drainCalls locks and unlocks each lock of the table once. Calls that started before the table
// lock was taken have then ended.
func (t *Table) drainCalls() {
	if t.dict != nil {
		t.dict.drainCalls()
		return
	}
	t.list.mu.Lock()
	t.list.mu.Unlock() //nolint:staticcheck // an empty critical section is the point
}

// release releases all locks.
func (o ownership) release() {
	for t := range o {
		o.releaseOne(t)
	}
}

func (o ownership) releaseOne(t *Table) {
	t.lock.release(o[t])
	delete(o, t)
}
