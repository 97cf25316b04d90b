package shardmap

// usage is what a shard knows about how its entries are used. It is there if the dict evicts what
// is not used, or has a time to idle. Guarded by the shard's lock.
//
// It is S3-FIFO (Yang et al., "FIFO queues are all you need for cache eviction", 2023) without
// queues: the order of insertion is the queue. Entries from the edge on are new: the small queue.
// When too many are new, the edge moves over the oldest of them, and those that were not used are
// evicted. The others belong to the main queue from then on. Otherwise the hand moves over the
// entries below the edge, takes one use from each, and evicts the first that has none left. A lap
// of the hand ends where the edge was when the lap began: if the end moved, entries that have just
// passed the edge would be evicted before those that the hand has passed.
//
// Ghosts are fingerprints of evicted keys. A key that returns soon stays when the edge passes it.
// They also say whether either queue is too short: see recall.
type usage struct {
	edge    int // the number of the first new entry
	hand    int
	lapEnd  int
	small   int     // live entries from edge on
	share   float64 // of the live entries that may be new
	ghosts  []uint32
	evicted [2]uint32 // entries that the edge, and that the hand, has evicted
}

// pageMarks has a byte for each entry of a page: how often it was used, the flags below, and the
// generation of its last use (idle.go).
type pageMarks [pageEntries]uint8

const (
	usesMask     = 3 // uses since the hand has passed, at most so many
	flagReturned = 1 << 2
	flagTaken    = 1 << 3 // it is about to be evicted
)

// Bounds of usage.share. It begins low: most workloads have more entries that are never used again
// than entries that are new and useful.
const (
	minShare   = 0.01
	firstShare = 0.05
	maxShare   = 0.9
)

func newUsage() *usage { return &usage{share: firstShare} }

// touch counts a use of entry num.
func (s *shard) touch(num int) {
	if s.usage != nil {
		s.countUse(num)
	}
}

func (s *shard) countUse(num int) {
	m := s.mark(num)
	if *m&usesMask < usesMask {
		*m++
	}
	if s.idling.length > 0 {
		s.idling.use(m, s.table.store.now.Load())
	}
}

// mark returns the mark of entry num.
func (s *shard) mark(num int) *uint8 {
	p := &s.pages[num>>pageBits]
	if p.marks == nil {
		p.marks = new(pageMarks)
	}
	return &p.marks[num&(pageEntries-1)]
}

// arrived notes the entry num, which is new.
func (s *shard) arrived(num int, hash uint64) {
	m := s.mark(num)
	*m = 0
	if s.usage.recall(hash, s.live) {
		*m = flagReturned
	}
	s.usage.small++
	if s.idling.length > 0 {
		s.idling.use(m, s.table.store.now.Load())
		s.schedule()
	}
}

// left notes that the entry num is removed.
func (u *usage) left(num int) {
	if u != nil && num >= u.edge {
		u.small--
	}
}

// shorten notes that the shard has only so many entries.
func (u *usage) shorten(count int) {
	if u != nil {
		u.edge, u.hand, u.lapEnd = min(u.edge, count), min(u.hand, count), min(u.lapEnd, count)
	}
}

// adoptUse carries over what is known about entry num of from, which is the last entry of s.
func (s *shard) adoptUse(from *shard, num int) {
	u, old := s.usage, from.usage
	if u == nil {
		return
	}
	if old == nil {
		u.small++
		return
	}
	if m := from.pages[num>>pageBits].marks; m != nil && m[num&(pageEntries-1)] != 0 {
		*s.mark(s.count - 1) = m[num&(pageEntries-1)]
	}
	if num >= old.edge {
		u.small++
	} else {
		u.edge = s.count
	}
	if num < old.hand {
		u.hand = s.count
	}
	if num < old.lapEnd {
		u.lapEnd = s.count
	}
}

// track begins or ends to count uses. The entries that are there count as new.
func (s *shard) track(tracks bool) {
	switch {
	case !tracks && s.usage != nil:
		s.freeUsage()
		for i := range s.pages {
			s.pages[i].marks = nil
		}
	case tracks && s.usage == nil:
		s.usage = newUsage()
		s.usage.small = s.live
	}
}

// freeUsage ends to count uses.
func (s *shard) freeUsage() {
	if s.usage != nil {
		s.table.store.freeIndex(s.usage.ghosts)
		s.usage = nil
	}
}

// takeUnused adds up to n entries that are not used to the call's victims, but not the one with the
// version spare. It looks at no more than looks entries.
func (s *shard) takeUnused(c *Call, n, looks int, spare uint64) {
	for left := s.live; n > 0; n-- {
		num := s.nextUnused(left, &looks, spare)
		if num < 0 {
			return
		}
		*s.mark(num) |= flagTaken
		c.victims = append(c.victims, victim{s, num})
		left--
	}
}

// nextUnused returns the next entry to evict, of so many that are live and not taken. -1: there is
// none but spare, or looks, from which it subtracts, has come to 0.
func (s *shard) nextUnused(live int, looks *int, spare uint64) int {
	const mostLaps = usesMask + 2 // then the main queue has nothing to evict
	u := s.usage
	for laps := 0; *looks > 0 && (laps <= mostLaps || u.small > 0); {
		if u.small > int(u.share*float64(live)) || u.small > 0 && (u.small >= live || laps > mostLaps) {
			num := s.nextLive(u.edge, s.count)
			u.edge = min(num+1, s.count)
			if num == s.count {
				u.small = 0 // cannot be: it counts those
				continue
			}
			u.small--
			*looks--
			m := s.mark(num)
			if *m&(usesMask|flagReturned) == 0 && s.entry(num).version() != spare {
				s.remember(num, 0)
				return num
			}
			*m &= generationMask
			laps = 0
			continue
		}
		if u.hand >= u.lapEnd {
			u.hand, u.lapEnd = 0, u.edge
			laps++
		}
		num := s.nextLive(u.hand, u.lapEnd)
		if u.hand = min(num+1, u.lapEnd); num == u.lapEnd {
			continue
		}
		*looks--
		switch m := s.mark(num); {
		case *m&flagTaken != 0 || s.entry(num).version() == spare:
		case *m&usesMask > 0:
			*m--
		default:
			s.remember(num, 1)
			return num
		}
	}
	return -1
}

// nextLive returns the first live entry from num on, end if there is none before that.
func (c *contents) nextLive(num, end int) int {
	for num < end {
		p := &c.pages[num>>pageBits]
		for i := num & (pageEntries - 1); i < len(p.entries) && num < end; i++ {
			if p.entries[i].live() {
				return num
			}
			num++
		}
		if rest := num & (pageEntries - 1); rest != 0 { // the page ends early
			num += pageEntries - rest
		}
	}
	return end
}
