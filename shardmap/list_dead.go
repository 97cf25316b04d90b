package shardmap

import "errors"

// A dead letter moves from one list to another in one change, under the mutexes of both. They are
// locked in order of the creation of their tables.

// OnNoDeadLetters sets f to be called when dead letters of a list return to it, because the table
// that its options name is no list, or is poisoned, or would be that of the locks. It is called
// often, on any goroutine, under no lock. Set it before the store is in use.
func (s *Store) OnNoDeadLetters(f func(table, deadLetters string)) { s.noDeadLetters = f }

// lockDead locks the mutex and, if dead says so under it, that of the list of the dead letters.
// nil: there is none, or the table of that name cannot be used. c.unlockBoth unlocks them.
//
// Errors: those of lockToWrite; ErrBusy, with Call.Blocker if a long write owns the other list;
// ErrLong if that must be created, and an inline call cannot.
func (l *List) lockDead(c *Call, dead func() bool) (to *List, err error) {
	for {
		if err := l.lockToWrite(c); err != nil {
			return nil, err
		}
		if l.queue == nil || l.queue.options.DeadLetter == "" || !dead() {
			return nil, nil
		}
		name := l.queue.options.DeadLetter
		if name == l.table.Name() {
			return l, nil
		}
		c.unlock()
		if to, err = l.store.deadLetters(c, name); err != nil {
			return nil, err
		}
		if to == nil {
			if f := l.store.noDeadLetters; f != nil {
				f(l.table.Name(), name)
			}
			return nil, l.lockToWrite(c)
		}
		again, err := l.lockTo(c, to, name)
		if err != nil {
			return nil, err
		}
		if !again && l.queue != nil && l.queue.options.DeadLetter == name {
			return to, nil
		}
		c.unlockBoth()
	}
}

// lockTo locks the mutexes of both lists; to must have the name still. Errors, after which no mutex
// is locked: as those of lockDead. again: neither is locked, look the name up again.
func (l *List) lockTo(c *Call, to *List, name string) (again bool, err error) {
	c.Version = 0
	for {
		first, second := l, to
		if to.table.createdLSN < l.table.createdLSN {
			first, second = to, l
		}
		c.lock(&first.mu)
		c.lockToo(&second.mu)
		own := !l.table.unavailable(c) && l.table.state.Load() == present
		other := !to.table.lock.locked() && to.table.state.Load() == present && to.table.Name() == name
		if own && other {
			return false, nil
		}
		c.unlockBoth()
		switch {
		case !own:
			if err = l.table.checkName(c); err == nil {
				err = l.table.lock.waitOrBusy(c)
			}
		case to.table.lock.isPoisoned() || to.table.state.Load() != present || to.table.Name() != name:
			return true, nil
		default:
			if err = to.table.lock.waitOrBusy(c); errors.Is(err, ErrBusy) {
				c.Blocker = to.table
			}
		}
		if err != nil {
			return false, err
		}
	}
}

// deadLetters returns the list with a name, which it creates if there is none; nil: the name is
// that of a table that cannot be used, or of the locks. Errors: those of Create.
func (s *Store) deadLetters(c *Call, name string) (*List, error) {
	for {
		t, _ := s.lookup(name)
		if t == nil && name == LocksTable {
			return nil, nil
		}
		if t == nil {
			err := s.createDeadLetters(c, name)
			if err == nil || errors.Is(err, ErrTableExists) {
				continue
			}
			return nil, err
		}
		if t.list == nil || t.lock.isPoisoned() {
			return nil, nil
		}
		return t.list, nil
	}
}

// createDeadLetters creates a list, by an effect that is logged.
func (s *Store) createDeadLetters(c *Call, name string) error {
	if c.effect = c.effect[:0]; c.Effects != nil {
		c.effect = c.Effects.CreateList(c.effect, name)
	}
	request, options := c.Request, c.QueueOptions
	c.Request, c.QueueOptions = c.effect, QueueOptions{}
	defer func() { c.Request, c.QueueOptions = request, options }()
	_, err := s.create(c, name, KindList, nil, 0)
	return err
}
