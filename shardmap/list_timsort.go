package shardmap

import (
	"slices"

	"cyberdb-fast/codec/value"
)

// This is the sort of CPython 3.11 (Objects/listobject.c, Objects/listsort.txt; the merge order is
// Munro and Wild's powersort), comparison by comparison. So keys of mixed types raise the error
// that Python raises, and keys without a total order (nan, sets) end up in Python's order.

const (
	shortRun    = 64 // lists shorter than this are sorted by binary insertion alone
	firstGallop = 7  // a merge gallops after so many wins in a row
)

// timsort sorts positions of keys.
type timsort struct {
	keys      [][]byte
	a         []int32 // the positions
	tmp       []int32
	runs      []sortedRun
	minGallop int
	meter     *sortMeter
	err       error // the first error; from then on every comparison is false
}

// sortedRun is a sorted run of a; power is that of its border with the next run.
type sortedRun struct{ start, n, power int }

// mergeSorted returns the positions of the keys in order, by Python's <. Errors: those of <;
// ErrLong if the comparisons exceed the meter.
func mergeSorted(keys [][]byte, reverse bool, m *sortMeter) ([]int32, error) {
	t := &timsort{keys: keys, meter: m, a: make([]int32, len(keys)), minGallop: firstGallop}
	for i := range t.a {
		t.a[i] = int32(i)
	}
	if reverse {
		slices.Reverse(t.a) // and back below: equal keys keep their order
	}
	t.sort()
	if t.err != nil {
		return nil, t.err
	}
	if reverse {
		slices.Reverse(t.a)
	}
	return t.a, nil
}

func (t *timsort) less(x, y int32) bool {
	if t.err != nil {
		return false
	}
	a, b := t.keys[x], t.keys[y]
	if !t.meter.compares(a, b) {
		t.err = ErrLong
		return false
	}
	less, err := value.Less(a, b)
	t.err = err
	return less
}

func (t *timsort) sort() {
	least := minRun(len(t.a))
	for lo := 0; lo < len(t.a) && len(t.a) > 1 && t.err == nil; {
		n := t.countRun(lo)
		if n < least {
			forced := min(least, len(t.a)-lo)
			t.insertionSort(t.a[lo:lo+forced], n)
			n = forced
		}
		t.push(lo, n)
		lo += n
	}
	for len(t.runs) > 1 && t.err == nil {
		i := len(t.runs) - 2
		if i > 0 && t.runs[i-1].n < t.runs[i+1].n {
			i--
		}
		t.mergeAt(i)
	}
}

func minRun(n int) int {
	rest := 0
	for ; n >= shortRun; n >>= 1 {
		rest |= n & 1
	}
	return n + rest
}

// countRun returns the length of the run that starts at lo. It reverses the run if it descends.
func (t *timsort) countRun(lo int) int {
	a := t.a[lo:]
	if len(a) == 1 {
		return 1
	}
	descends := t.less(a[1], a[0])
	n := 2
	for n < len(a) && t.less(a[n], a[n-1]) == descends {
		n++
	}
	if descends {
		slices.Reverse(a[:n])
	}
	return n
}

// insertionSort sorts a, whose first n are sorted.
func (t *timsort) insertionSort(a []int32, n int) {
	for ; n < len(a); n++ {
		pivot, l, r := a[n], 0, n
		for l < r {
			if p := l + (r-l)/2; t.less(pivot, a[p]) {
				r = p
			} else {
				l = p + 1
			}
		}
		copy(a[l+1:n+1], a[l:n])
		a[l] = pivot
	}
}

// push adds a run. Before that it merges earlier runs whose border has more power than the new one.
func (t *timsort) push(start, n int) {
	if k := len(t.runs); k > 0 {
		p := power(t.runs[k-1].start, t.runs[k-1].n, n, len(t.a))
		for len(t.runs) > 1 && t.runs[len(t.runs)-2].power > p {
			t.mergeAt(len(t.runs) - 2)
		}
		t.runs[len(t.runs)-1].power = p
	}
	t.runs = append(t.runs, sortedRun{start: start, n: n})
}

// power returns the level of the border between two runs in the ideal merge tree over n elements.
func power(start, n1, n2, n int) int {
	a := 2*start + n1
	b := a + n1 + n2
	for p := 1; ; p++ {
		if a >= n {
			a -= n
			b -= n
		} else if b >= n {
			return p
		}
		a *= 2
		b *= 2
	}
}

// mergeAt merges runs i and i+1, except for the elements at both ends that are in place.
func (t *timsort) mergeAt(i int) {
	first, second := t.runs[i], t.runs[i+1]
	t.runs[i].n += second.n
	t.runs = slices.Delete(t.runs, i+1, i+2)

	a, b := t.a[first.start:first.start+first.n], t.a[second.start:second.start+second.n]
	from := first.start + t.gallopRight(b[0], a, 0)
	a = t.a[from:second.start]
	if len(a) == 0 {
		return
	}
	b = b[:t.gallopLeft(a[len(a)-1], b, len(b)-1)]
	switch {
	case len(b) == 0:
	case len(a) <= len(b):
		t.mergeLow(t.a[from:], a, b)
	default:
		t.mergeHigh(t.a[from:second.start+len(b)], a, b)
	}
}

// gallopLeft returns the position of the first element of a that is not less than key, searching
// from hint.
func (t *timsort) gallopLeft(key int32, a []int32, hint int) int {
	last, ofs := 0, 1
	if t.less(a[hint], key) {
		most := len(a) - hint
		for ofs < most && t.less(a[hint+ofs], key) {
			last, ofs = ofs, 2*ofs+1
		}
		last, ofs = hint+last, hint+min(ofs, most)
	} else {
		most := hint + 1
		for ofs < most && !t.less(a[hint-ofs], key) {
			last, ofs = ofs, 2*ofs+1
		}
		last, ofs = hint-min(ofs, most), hint-last
	}
	for last++; last < ofs; {
		if m := last + (ofs-last)/2; t.less(a[m], key) {
			last = m + 1
		} else {
			ofs = m
		}
	}
	return ofs
}

// gallopRight returns the position of the first element of a that key is less than, searching from
// hint.
func (t *timsort) gallopRight(key int32, a []int32, hint int) int {
	last, ofs := 0, 1
	if t.less(key, a[hint]) {
		most := hint + 1
		for ofs < most && t.less(key, a[hint-ofs]) {
			last, ofs = ofs, 2*ofs+1
		}
		last, ofs = hint-min(ofs, most), hint-last
	} else {
		most := len(a) - hint
		for ofs < most && !t.less(key, a[hint+ofs]) {
			last, ofs = ofs, 2*ofs+1
		}
		last, ofs = hint+last, hint+min(ofs, most)
	}
	for last++; last < ofs; {
		if m := last + (ofs-last)/2; t.less(key, a[m]) {
			ofs = m
		} else {
			last = m + 1
		}
	}
	return ofs
}

// mergeLow merges the adjacent runs a and b into dst, from the left. b's first element comes before
// all of a, a's last one after all of b.
func (t *timsort) mergeLow(dst, a, b []int32) {
	t.tmp = append(t.tmp[:0], a...)
	a = t.tmp
	put := func(from *[]int32, n int) {
		copy(dst, (*from)[:n])
		dst, *from = dst[n:], (*from)[n:]
	}
	defer func() { // either b is empty, or a has one element left, which comes last
		if len(a) == 1 {
			put(&b, len(b))
		}
		copy(dst, a)
	}()
	put(&b, 1)
	for len(b) > 0 && len(a) > 1 {
		for wonA, wonB := 0, 0; wonA < t.minGallop && wonB < t.minGallop; {
			if t.less(b[0], a[0]) {
				put(&b, 1)
				wonA, wonB = 0, wonB+1
			} else {
				put(&a, 1)
				wonA, wonB = wonA+1, 0
			}
			if len(b) == 0 || len(a) == 1 {
				return
			}
		}
		t.minGallop++
		for again := true; again; {
			t.minGallop = max(t.minGallop-1, 1)
			wonA := t.gallopRight(b[0], a, 0)
			if put(&a, wonA); len(a) <= 1 {
				return
			}
			if put(&b, 1); len(b) == 0 {
				return
			}
			wonB := t.gallopLeft(a[0], b, 0)
			if put(&b, wonB); len(b) == 0 {
				return
			}
			if put(&a, 1); len(a) == 1 {
				return
			}
			again = wonA >= firstGallop || wonB >= firstGallop
		}
		t.minGallop++
	}
}

// mergeHigh is mergeLow from the right; dst ends where b ends.
func (t *timsort) mergeHigh(dst, a, b []int32) {
	t.tmp = append(t.tmp[:0], b...)
	b = t.tmp
	put := func(from *[]int32, n int) {
		rest := len(*from) - n
		copy(dst[len(dst)-n:], (*from)[rest:])
		dst, *from = dst[:len(dst)-n], (*from)[:rest]
	}
	defer func() { // either a is empty, or b has one element left, which comes first
		if len(b) == 1 {
			put(&a, len(a))
		}
		copy(dst[len(dst)-len(b):], b)
	}()
	put(&a, 1)
	for len(a) > 0 && len(b) > 1 {
		for wonA, wonB := 0, 0; wonA < t.minGallop && wonB < t.minGallop; {
			if t.less(b[len(b)-1], a[len(a)-1]) {
				put(&a, 1)
				wonA, wonB = wonA+1, 0
			} else {
				put(&b, 1)
				wonA, wonB = 0, wonB+1
			}
			if len(a) == 0 || len(b) == 1 {
				return
			}
		}
		t.minGallop++
		for again := true; again; {
			t.minGallop = max(t.minGallop-1, 1)
			wonA := len(a) - t.gallopRight(b[len(b)-1], a, len(a)-1)
			if put(&a, wonA); len(a) == 0 {
				return
			}
			if put(&b, 1); len(b) == 1 {
				return
			}
			wonB := len(b) - t.gallopLeft(a[len(a)-1], b, len(b)-1)
			if put(&b, wonB); len(b) <= 1 {
				return
			}
			if put(&a, 1); len(a) == 0 {
				return
			}
			again = wonA >= firstGallop || wonB >= firstGallop
		}
		t.minGallop++
	}
}
