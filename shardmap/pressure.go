package shardmap

import (
	"sync"
	"sync/atomic"
)

// A store that is to stay below a limit of memory evicts entries of all its dicts. Lists stay.
//
// The shards of all dicts take turns. Each looks at the same part of its entries and evicts those
// that were not used. So the lap of a hand takes about as long in each shard, and an entry stays
// that is used often enough for that, in whichever dict it is.

const (
	// looksPart: at its turn a shard looks at one of so many entries. That is less than
	// maxForgotten of the largest shard.
	looksPart = 128
	// mostTurns is how many shards a call looks at.
	mostTurns = 4 * looksPart
	// mostTurnsBlocking is the same for a call that may block.
	mostTurnsBlocking = 64 * mostTurns
)

// pressure has the shards of all dicts. A list of them is made now and then; shards that have been
// split since are skipped.
type pressure struct {
	on      bool        // constant once the store is in use
	high    atomic.Bool // see SetPressure
	making  sync.Mutex
	shards  atomic.Pointer[[]*shard]
	turn    atomic.Uint64
	evicted atomic.Uint64
}

// EvictAll makes the store able to evict entries of all dicts: it counts how all of them are used.
// Call it before the store is in use.
func (s *Store) EvictAll() { s.pressure.on = true }

// SetPressure says whether memory is short. While it is, dicts are compacted earlier: only that
// frees the memory of evicted entries.
func (s *Store) SetPressure(high bool) {
	s.pressure.high.Store(high)
	s.slabs.SetTight(high)
}

// ResidentBytes returns the memory outside the Go heap that the store occupies.
func (s *Store) ResidentBytes() int { return s.slabs.ResidentBytes() }

// ListEvictable lists the dicts that Evict may evict from. It takes time for each of them; call it
// in the background, again from time to time.
func (s *Store) ListEvictable() {
	s.pressure.making.Lock()
	defer s.pressure.making.Unlock()
	var shards []*shard
	for _, d := range s.Dicts {
		dir := d.dir.Load()
		dir.each(func(s *shard) { shards = append(shards, s) })
	}
	s.pressure.shards.Store(&shards)
}

// Evict evicts entries of any dicts until they had so many bytes or more, and returns how many they
// had. It returns less if it has looked at many shards; 0: there is probably nothing to evict.
func (s *Store) Evict(c *Call, bytes int) (evicted int) {
	list := s.pressure.shards.Load()
	if list == nil || len(*list) == 0 {
		return 0
	}
	turns := mostTurns
	if c.MayBlock {
		turns = mostTurnsBlocking
	}
	for turn := 0; turn < turns && evicted < bytes; turn++ {
		n := s.pressure.turn.Add(1)
		sh := (*list)[n%uint64(len(*list))]
		evicted += sh.relieve(c, n)
	}
	s.pressure.evicted.Add(uint64(evicted))
	return evicted
}

// relieve evicts entries of the shard at turn n. It returns how many bytes they had.
func (s *shard) relieve(c *Call, n uint64) (evicted int) {
	c.lock(&s.mu)
	defer c.unlock()
	t := s.table
	if s.retired || s.usage == nil || t.state.Load() != present || t.lock.locked() || t.lock.isPoisoned() {
		return 0
	}
	looks := s.live / looksPart
	if rest := uint64(s.live % looksPart); mix(n)%looksPart < rest {
		looks++
	}
	if o := t.dict.options.Load(); o.InForce() == NearestDeadline {
		t.dict.takeVictims(c, s, o, min(looks, maxForgotten), 0)
	} else {
		s.takeUnused(c, min(looks, maxForgotten), looks, 0)
	}
	if len(c.victims) == 0 {
		return 0
	}
	for _, v := range c.victims {
		evicted += len(s.record(s.entry(v.num))) + EntryOverhead
	}
	t.dict.forget(c, Evicted, true)
	return evicted
}
