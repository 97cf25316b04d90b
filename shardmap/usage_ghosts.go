package shardmap

import "math/bits"

// A ghost is what is left of an evicted entry:
//
//	31   30          17 16            0
//	+----+-------------+---------------+
//	| by | when        | fingerprint   |    by: 0 the edge, 1 the hand
//	+----+-------------+---------------+
//
// when is usage.evicted[by] / ghostGrain. Ghosts are in a table without chains: a new one displaces
// the one at its place.
const (
	ghostPrint     = 1<<17 - 1
	ghostWhenShift = 17
	ghostWhenMask  = 1<<14 - 1
	ghostByShift   = 31
	ghostGrain     = 4

	minGhosts = 64
)

// The share of new entries follows the ghosts. A key returns that either has evicted lately, among
// the last live/lately entries: with so many more entries the queue would still have had it. So the
// queue should be longer, by shareStep entries.
const (
	lately    = 20
	leastLate = 4
	shareStep = 2

	// returnsWithin times as many evictions as there are live entries may pass before a key comes
	// again and still stays. Few ghosts survive as many.
	returnsWithin = 4
)

// ghost returns the place of a hash among n ghosts, and its fingerprint, which is not 0.
func ghost(hash uint64, n int) (slot int, print uint32) {
	x := mix(hash) // the hashes of a shard have their upper bits in common
	return int(x >> 32 * uint64(n) >> 32), uint32(x)&ghostPrint | 1
}

// ghostSlots rounds n up to a size that slab has.
func ghostSlots(n int) int {
	step := 1 << (bits.Len(uint(n)) - 4)
	return (n + step - 1) / step * step
}

// remember makes entry num, which is about to be evicted, a ghost.
func (s *shard) remember(num, by int) {
	u := s.usage
	if want := max(s.live, minGhosts); len(u.ghosts) < want*3/4 {
		s.table.store.freeIndex(u.ghosts)
		u.ghosts = s.table.store.newIndex(ghostSlots(want))
	}
	u.evicted[by]++
	slot, print := ghost(s.table.store.hashOf(s.canonical(s.entry(num))), len(u.ghosts))
	when := u.evicted[by] / ghostGrain & ghostWhenMask
	u.ghosts[slot] = uint32(by)<<ghostByShift | when<<ghostWhenShift | print
}

// recall looks for the ghost of a key that is inserted, in a shard with so many live entries, and
// removes it. returned: the edge has evicted the key not long ago.
func (u *usage) recall(hash uint64, live int) (returned bool) {
	if len(u.ghosts) == 0 {
		return false
	}
	slot, print := ghost(hash, len(u.ghosts))
	g := u.ghosts[slot]
	if g&ghostPrint != print {
		return false
	}
	u.ghosts[slot] = 0
	by := g >> ghostByShift
	age := int((u.evicted[by]/ghostGrain-g>>ghostWhenShift)&ghostWhenMask) * ghostGrain
	step := shareStep / float64(max(live, 1))
	switch {
	case age > max(live/lately, leastLate):
	case by == 0:
		u.share = min(u.share+step, maxShare)
	default:
		u.share = max(u.share-step, minShare)
	}
	return by == 0 && age <= returnsWithin*live
}
