package loop

import "sync"

// sessionSet holds the open sessions and, of them, the paused ones.
type sessionSet struct {
	mu     sync.Mutex
	open   map[*session]struct{} // guarded by mu
	paused map[*session]struct{} // guarded by mu
}

func (set *sessionSet) init() {
	set.open = make(map[*session]struct{})
	set.paused = make(map[*session]struct{})
}

func (set *sessionSet) add(s *session) {
	set.mu.Lock()
	defer set.mu.Unlock()
	set.open[s] = struct{}{}
}

func (set *sessionSet) remove(s *session) {
	set.mu.Lock()
	defer set.mu.Unlock()
	delete(set.open, s)
	delete(set.paused, s)
}

func (set *sessionSet) pause(s *session) {
	set.mu.Lock()
	defer set.mu.Unlock()
	set.paused[s] = struct{}{}
}

func (set *sessionSet) unpause(s *session) {
	set.mu.Lock()
	defer set.mu.Unlock()
	delete(set.paused, s)
}

// each calls f for every open session; it returns false if there is none.
func (set *sessionSet) each(f func(s *session)) bool {
	set.mu.Lock()
	defer set.mu.Unlock()
	for s := range set.open {
		f(s)
	}
	return len(set.open) > 0
}

func (set *sessionSet) eachPaused(f func(s *session)) {
	set.mu.Lock()
	defer set.mu.Unlock()
	for s := range set.paused {
		f(s)
	}
}

// anyPaused says whether there is a paused session.
func (set *sessionSet) anyPaused() bool {
	set.mu.Lock()
	defer set.mu.Unlock()
	return len(set.paused) > 0
}
