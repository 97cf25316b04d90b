package shardmap

import (
	"cmp"
	"slices"
	"sort"
	"sync"
)

// Mark says when LSNs were assigned: those up to LSN at Time or before, in milliseconds since 1970
// UTC.
type Mark struct {
	Time int64
	LSN  uint64
}

// marks say how old versions are. Old marks are further apart than new ones: by about a thousandth
// of their age. A version is never taken for older than it is.
type marks struct {
	mu   sync.Mutex
	list []Mark // ascending
	thin int    // thin out the list when it is longer
}

// agePrecision is the part of its age by which a version may be taken for younger than it is.
const agePrecision = 1024

// minThin is the least length of a list that is thinned out.
const minThin = 4096

// add adds a mark. One that is not after the last mark is ignored.
func (m *marks) add(mark Mark) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := len(m.list); n > 0 && (mark.LSN <= m.list[n-1].LSN || mark.Time < m.list[n-1].Time) {
		return
	}
	m.list = append(m.list, mark)
	if len(m.list) > max(m.thin, minThin) {
		m.list = thinned(m.list, mark.Time)
		m.thin = 2 * len(m.list)
	}
}

// thinned leaves out the marks that the precision does not need.
func thinned(list []Mark, now int64) []Mark {
	kept := list[:1]
	for i := 1; i < len(list)-1; i++ {
		if list[i+1].Time-kept[len(kept)-1].Time > (now-list[i+1].Time)/agePrecision {
			kept = append(kept, list[i])
		}
	}
	return append(kept, list[len(list)-1])
}

// merge adds marks that were saved.
func (m *marks) merge(saved []Mark) {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := append(m.list, saved...)
	slices.SortFunc(all, func(a, b Mark) int { return cmp.Or(cmp.Compare(a.LSN, b.LSN), cmp.Compare(a.Time, b.Time)) })
	m.list = slices.CompactFunc(all, func(a, b Mark) bool { return a.LSN == b.LSN })
}

// upTo returns the highest LSN that is known to have been assigned at a time or before (0: none
// is), and when the next mark was made; now, if there is none.
func (m *marks) upTo(time, now int64) (lsn uint64, next int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := sort.Search(len(m.list), func(i int) bool { return m.list[i].Time > time })
	if i > 0 {
		lsn = m.list[i-1].LSN
	}
	if i == len(m.list) {
		return lsn, now
	}
	return lsn, m.list[i].Time
}

// timeOf returns a time at or after the one at which an LSN was assigned; now, if it is not known.
func (m *marks) timeOf(lsn uint64, now int64) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := sort.Search(len(m.list), func(i int) bool { return m.list[i].LSN >= lsn })
	if i == len(m.list) {
		return now
	}
	return m.list[i].Time
}

// since returns the marks from the last one before a time on, at least gap apart.
func (m *marks) since(time, gap int64) []Mark {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := sort.Search(len(m.list), func(i int) bool { return m.list[i].Time >= time })
	var list []Mark
	for _, mark := range m.list[max(i-1, 0):] {
		if n := len(list); n > 1 && mark.Time-list[n-2].Time < gap {
			list[n-1] = mark
		} else {
			list = append(list, mark)
		}
	}
	return list
}

// last returns the LSN of the last mark.
func (m *marks) last() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.list) == 0 {
		return 0
	}
	return m.list[len(m.list)-1].LSN
}
