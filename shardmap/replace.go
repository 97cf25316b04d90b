package shardmap

import "github.com/puzpuzpuz/xsync/v3"

// Tables that were restored beside the store take their place in it all at one moment: as if the
// mutation with the number at had dropped all tables and made these. Where there are tables, the
// one who replaces them first owns the gates of all of them, as a long write owns that of one. So
// nobody acts on any of them when the number is drawn, calls on their way are made again
// afterwards, on the new tables, and views from before go on showing the old ones.

// mostTries is how often whoever wants all gates lets go of those that it has when it meets a long
// write. Then it keeps them, and waits.
const maxTries = 100

// Reserve draws n numbers for nothing, and returns the first: what is restored to be adopted has
// them as its own.
func (s *Store) Reserve(c *Call, n uint64) (first uint64) {
	first = s.clock.Add(n) - n + 1
	logSkipped(c, first, n)
	return first
}

// logSkipped takes down n numbers from first on that were drawn for nothing.
func logSkipped(c *Call, first, n uint64) {
	for c.Log != nil && n > 0 {
		k := min(n, maxSkipped)
		c.Log.Append(first, k, nil)
		first, n = first+k, n-k
	}
}

// advanceTo draws the numbers up to lsn: those before it for nothing, lsn for the call's Request.
// False: it was drawn already.
func (s *Store) advanceTo(c *Call, lsn uint64) bool {
	for {
		last := s.Clock()
		if last >= lsn {
			return false
		}
		if s.clock.CompareAndSwap(last, lsn) {
			logSkipped(c, last+1, lsn-last-1)
			if c.Log != nil {
				c.Log.Append(lsn, 1, c.Request)
			}
			return true
		}
	}
}

// Adopt puts restored tables among the store's, which has none, while others use it: as of the LSN
// at, which it draws, with all before it. What makes the tables last is keep's to do: it is called
// before anybody sees them, and its error ends Adopt. Creations, and they alone, wait meanwhile:
// those that are inline answer ErrLong. All names must differ.
//
// Errors, after which none of the tables is there: ErrNotEmpty; ErrClock; that of keep.
func (s *Store) Adopt(c *Call, tables []*Restorer, at uint64, keep func() error) error {
	names, list := catalogOf(tables, at)
	h := s.adopting.acquire()
	defer s.adopting.release(h)
	if s.Len() > 0 { // creations that came before the gate's sign have ended
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

// Replace puts restored tables in the place of all that the store has, while others use it: as of
// the LSN at, which it draws, with all before it. It waits for long writes that are under way. All
// names must differ. Errors, after which nothing has happened: ErrClock.
func (s *Store) Replace(c *Call, tables []*Restorer, at uint64) error {
	names, list := catalogOf(tables, at)
	owned, old := s.ownAll()
	defer owned.release()
	views, err := s.exchange(c, old, names, list, at)
	if err != nil {
		return err
	}
	for _, t := range old {
		if t.table.lock.isPoisoned() { // its memory stays where it is
			s.poisoned.Add(-1)
			continue
		}
		if d := t.table.dict; d != nil { // a list is the collector's
			w := t.table.write(at, views)
			d.lockShards(c)
			c.handoverShards(&w)
			d.retireShards(c, &w)()
		}
		owned.releaseOne(t.table)
	}
	return nil
}

// catalogOf returns the map and the list of restored tables, which bear their names since at.
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

// exchange draws at and puts others in the place of the old tables, whose gates the caller owns. It
// returns the views that may see these. The caller holds mu, which is let go, whatever happens.
func (s *Store) exchange(c *Call, old []namedTable, names *tableMap, list *tableList, at uint64) (*viewList, error) {
	defer s.mu.Unlock()
	exchanged := false
	defer func() {
		if exchanged {
			return
		}
		for _, t := range old { // they stay, after a panic too
			t.table.state.Store(present)
		}
	}()
	// Before the number is drawn: whoever cuts a view of one of them after it finds that it is
	// replaced.
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
	return views, nil
}

// ownership is that of many tables' gates.
type ownership map[*Table]*lockOwner

// ownAll makes the caller the owner of all tables, which it returns, and holds mu: there are no
// others until it is released.
func (s *Store) ownAll() (ownership, []namedTable) {
	o := make(ownership)
	for tries := 1; ; tries++ {
		owner := o.acquire(tablesOf(s.copyList())) // most of it without mu, for which creations wait
		if owner == nil {
			s.mu.Lock()
			tables := tablesOf(s.list)
			if owner = o.acquire(tables); owner == nil {
				return o, tables
			}
			s.mu.Unlock()
		}
		if tries < maxTries {
			o.release() // nobody waits for the long write of another table
		}
		<-owner.released
	}
}

// acquire makes the caller the owner of all tables given, but for those that it owns. It ends with
// the first that another one owns.
func (o ownership) acquire(tables []namedTable) (owner *lockOwner) {
	for _, t := range tables {
		if o[t.table] != nil {
			continue
		}
		h, owner := t.table.lock.tryAcquire()
		if owner == poisoned { // nobody acts on it any more
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

// drainCalls goes once through every lock of the table: calls that came before the gate's sign have ended
// then.
func (t *Table) drainCalls() {
	if t.dict != nil {
		t.dict.drainCalls()
		return
	}
	t.list.mu.Lock()
	t.list.mu.Unlock() //nolint:staticcheck // an empty critical section is the point
}

// release opens all gates.
func (o ownership) release() {
	for t := range o {
		o.releaseOne(t)
	}
}

func (o ownership) releaseOne(t *Table) {
	t.lock.release(o[t])
	delete(o, t)
}
