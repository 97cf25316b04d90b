package shardmap

// A dict with a time to idle removes entries that were not used for that long. Time is divided into
// generations of that length, in each shard by itself, and the mark of an entry has the generation
// of its last use. An entry whose last use is two generations ago has expired: it was idle for one
// to two generations.
//
// A shard's generation ends a little late, when the sweep has removed what has expired. Until then
// uses already count for the next one.

const (
	generationShift = 4
	generationMask  = 3 << generationShift // in a mark: the generation modulo 4
)

// idling is a shard's part of the time to idle. Guarded by the shard's lock.
type idling struct {
	length     int64 // of a generation, in milliseconds; 0: entries do not expire by being idle
	ends       int64 // when the generation ends; 0: it has not begun, because the time was not known
	generation uint8 // modulo 4
	looked     int   // entries that the sweep has looked at since the generation ended
	assumed    int64 // how many generations had passed then, 2 for more
}

// passed returns how many generations have ended, that the sweep has not ended yet.
func (i *idling) passed(now int64) int64 {
	if i.length == 0 || i.ends == 0 || now < i.ends {
		return 0
	}
	return 1 + (now-i.ends)/i.length
}

// ended reports whether an entry with a mark has expired when so many generations have passed.
func (i *idling) ended(mark uint8, passed int64) bool {
	switch (i.generation - mark>>generationShift) & 3 {
	case 0: // used in the generation that the sweep knows
		return passed >= 2
	case 1: // in the one before
		return passed >= 1
	case 2:
		return true
	}
	return false // since
}

// use notes in a mark that its entry is used.
func (i *idling) use(mark *uint8, now int64) {
	generation := i.generation
	if i.passed(now) > 0 {
		generation++
	}
	*mark = *mark&^generationMask | generation&3<<generationShift
}

// idle reports whether entry num has expired because it was not used. One that was made to live
// for ever has not.
func (c *contents) idle(num int, now int64) bool {
	passed := c.idling.passed(now)
	return passed > 0 && c.idleSince(num, passed)
}

// idleSince is idle when so many generations have passed.
func (c *contents) idleSince(num int, passed int64) bool {
	mark := uint8(0)
	if m := c.pages[num>>pageBits].marks; m != nil {
		mark = m[num&(pageEntries-1)]
	}
	return c.idling.ended(mark, passed) && c.deadlineOf(c.entry(num)) != Forever
}

// startIdling sets the time to idle, and counts all entries as used now.
func (s *shard) startIdling(length int64) {
	if s.idling.length == length {
		return
	}
	s.idling = idling{length: length}
	for i := range s.pages {
		if m := s.pages[i].marks; m != nil {
			for j := range m {
				m[j] &^= generationMask
			}
		}
	}
}

// takeIdle adds up to limit entries that were not used to the call's victims. It returns whether
// there may be more. If not, the generation ends, if its time has come.
func (s *shard) takeIdle(c *Call, now int64, limit int) (more bool) {
	i := &s.idling
	if i.length == 0 {
		return false
	}
	if i.ends == 0 {
		i.ends = now + i.length
		return false
	}
	passed := min(i.passed(now), 2)
	if passed == 0 {
		return false
	}
	if passed != i.assumed { // entries that it has looked at have expired since, and are hidden
		i.assumed, i.looked = passed, 0
	}
	for ; i.looked < s.count; i.looked++ {
		if !s.entry(i.looked).live() || !s.idleSince(i.looked, passed) {
			continue
		}
		if len(c.victims) == limit {
			return true
		}
		c.victims = append(c.victims, victim{s, i.looked})
	}
	i.looked, i.assumed = 0, 0
	i.generation = (i.generation + 1) & 3
	i.ends += i.length
	if passed > 1 { // all that is left was used since
		i.ends = now + i.length
	}
	return false
}

// nextIdle returns when takeIdle has work; 0: it has none.
func (s *shard) nextIdle() int64 {
	if s.idling.length == 0 || s.live == 0 {
		return 0
	}
	return max(s.idling.ends, 1)
}
