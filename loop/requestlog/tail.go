package requestlog

import (
	"slices"
	"sync/atomic"
	"time"
)

const (
	// tailSize is how many entries a tail keeps.
	tailSize = 4096
	// MaxFilters is how many different tails are followed at once.
	MaxFilters = 16
	// TailTime is how long requests are kept after a tail was asked for.
	TailTime = 3 * time.Second
	// MaxPage is the most entries of one answer.
	MaxPage = 1000
)

// Filter says which requests a tail has.
type Filter struct {
	Table string        // "": of all tables, and of none
	Least time.Duration // that it was executed, at least
}

func (f *Filter) passes(e *Entry) bool {
	return e.Execution >= f.Least && (f.Table == "" || f.Table == string(e.Table))
}

// followed is a filter that was asked for.
type followed struct {
	Filter
	until time.Time
}

// Page is a part of a tail.
type Page struct {
	Next    uint64  `json:"next"`   // the id to ask for next
	Missed  uint64  `json:"missed"` // entries of all tails after the id asked for that are not kept any more
	Entries []Shown `json:"entries"`
}

// Tail keeps the requests of the present, while a client asks for them: those that pass a filter
// that was asked for in the last TailTime.
type Tail struct {
	on       atomic.Bool
	ring     Ring
	followed []followed // guarded by ring.mu
}

// NewTail returns a tail that keeps nothing yet.
func NewTail() *Tail { return &Tail{ring: Ring{most: tailSize}} }

// On says whether requests are kept. It costs one load.
func (t *Tail) On() bool { return t.on.Load() }

// Add adds a request, if it passes a filter. It returns false if no client follows any more: then
// On is false.
func (t *Tail) Add(e *Entry) bool {
	t.ring.mu.Lock()
	on, passes := t.look(e)
	t.ring.mu.Unlock()
	if passes {
		t.ring.Add(e)
	}
	return on
}

// look says whether a client follows, and whether the entry passes one's filter.
func (t *Tail) look(e *Entry) (on, passes bool) {
	now := time.Now()
	t.expire(now)
	for i := range t.followed {
		if t.followed[i].passes(e) {
			return true, true
		}
	}
	return t.on.Load(), false
}

// expire forgets the filters that no client asks for any more. The caller has locked ring.mu.
func (t *Tail) expire(now time.Time) {
	t.followed = slices.DeleteFunc(t.followed, func(f followed) bool { return now.After(f.until) })
	t.on.Store(len(t.followed) > 0)
}

// Read returns the entries after an id that pass a filter, oldest first, at most limit of those
// that are kept. From now on requests that pass the filter are kept for TailTime. after is
// Page.Next of the page before; a negative one begins now.
//
// It returns false if clients follow too many different filters already.
func (t *Tail) Read(after int64, f Filter, limit int) (page Page, ok bool) {
	now := time.Now()
	t.ring.mu.Lock()
	defer t.ring.mu.Unlock()
	t.expire(now)
	if !t.follow(followed{f, now.Add(TailTime)}) {
		return page, false
	}
	page.Entries = []Shown{}
	total := t.ring.total
	page.Next = total
	if after < 0 || uint64(after) >= total { // an id of an earlier start of the server
		return page, true
	}
	oldest := total - uint64(len(t.ring.entries))
	next := max(uint64(after), oldest)
	page.Missed = next - uint64(after)
	for page.Next = next; page.Next < total && len(page.Entries) < limit; {
		page.Next++
		if e := t.ring.at(page.Next); f.passes(&e.Entry) {
			page.Entries = append(page.Entries, e.shown())
		}
	}
	return page, true
}

// follow adds a filter, or gives it more time. The caller has locked ring.mu.
func (t *Tail) follow(f followed) bool {
	i := slices.IndexFunc(t.followed, func(old followed) bool { return old.Filter == f.Filter })
	switch {
	case i >= 0:
		t.followed[i] = f
	case len(t.followed) == MaxFilters:
		return false
	default:
		t.followed = append(t.followed, f)
	}
	t.on.Store(true)
	return true
}
