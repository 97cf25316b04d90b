package engine

import (
	"errors"
	"io"
	"sync"

	"cyberdb-fast/shardmap"
)

// The list of many tables is a long read whose view needs a walk over all tables, for their
// lengths. There is one walk at a time, in the background, and all requests that came before it
// began share its result. A request's session continues once the walk has ended, so that the list
// does not show the effects of its later requests.

// tableLists makes the lists of many tables.
type tableLists struct {
	walking sync.Mutex // locked during a walk

	mu   sync.Mutex
	next *tableList // of the walk that has not begun; nil: no request waits for one. Guarded by mu
}

// tableList is one list, for all requests that share it.
type tableList struct {
	users   int               // guarded by tableLists.mu
	listing *shardmap.Listing // nil: the walk has not begun. Guarded by walking
	own     int               // its bytes, counted by Admission.CountOutput; constant once the walk has ended
}

// viewTables lists many tables.
func viewTables(x *Executor) (Stream, error) {
	e := x.engine
	if e.env.Store.Len() > inlineTablesBytes { // the list has at least a byte for each table
		if err := e.env.Admission.LargeReply(); err != nil {
			return Stream{}, err
		}
	}
	list := e.lists.join()
	return Stream{
		Begin: func() { e.walk(list) },
		Close: func() { e.leave(list) },
		Write: func(w io.Writer) (err error) {
			var line []byte
			outdated := list.listing.Each(func(name string, kind shardmap.Kind, length int) bool {
				line = appendTable(line[:0], name, kind, length)
				_, err = w.Write(line)
				return err == nil
			})
			return errors.Join(err, outdated)
		},
	}, nil
}

// join returns the list of the walk that begins next.
func (l *tableLists) join() *tableList {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.next == nil {
		l.next = &tableList{}
	}
	l.next.users++
	return l.next
}

// walk returns when the list is complete. The first request of those that share the list makes it.
func (e *Engine) walk(list *tableList) {
	l := &e.lists
	l.walking.Lock()
	defer l.walking.Unlock()
	if list.listing != nil {
		return
	}
	l.mu.Lock()
	l.next = nil // later requests must see later changes
	l.mu.Unlock()
	list.listing = e.env.Store.List()
	list.own = list.listing.Measure()
	e.env.Admission.CountOutput(list.own)
}

// leave frees the list with the last request that shares it.
func (e *Engine) leave(list *tableList) {
	l := &e.lists
	l.mu.Lock()
	list.users--
	last := list.users == 0
	if last && l.next == list { // all were refused before the walk
		l.next = nil
	}
	l.mu.Unlock()
	if last && list.listing != nil {
		list.listing.Close()
		e.env.Admission.CountOutput(-list.own)
	}
}
