package rope

import (
	"bytes"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/tinylib/msgp/msgp"
)

// seeded returns a random source whose seed is printed and may be set by CYBERDB_SEED.
func seeded(t testing.TB) *rand.Rand {
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("CYBERDB_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("CYBERDB_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// shape says which elements a test uses.
type shape int

const (
	tiny  shape = iota // one byte
	short              // up to 9 bytes
	mixed              // up to a few hundred bytes, now and then larger than a leaf
	large              // around the size of a leaf
)

var shapes = map[string]shape{"tiny": tiny, "short": short, "mixed": mixed, "large": large}

func (s shape) element(r *rand.Rand) []byte {
	size := 0
	switch s {
	case tiny:
		return msgp.AppendInt(nil, r.IntN(128))
	case short:
		return msgp.AppendInt64(nil, int64(r.Uint64())>>r.IntN(64))
	case mixed:
		size = r.IntN(300)
		if r.IntN(200) == 0 {
			size = LeafBytes - 10 + r.IntN(2*LeafBytes)
		}
	case large:
		size = LeafBytes - 20 + r.IntN(40)
	}
	return msgp.AppendBytes(nil, bytes.Repeat([]byte{byte(r.Uint32())}, size))
}

func (s shape) elements(r *rand.Rand, n int) [][]byte {
	elems := make([][]byte, n)
	for i := range elems {
		elems[i] = s.element(r)
	}
	return elems
}

// pair is a rope and the plain slice that it must equal.
type pair struct {
	rope  Rope
	model [][]byte
}

func (p *pair) insert(i int, elems ...[]byte) { p.model = slices.Insert(p.model, i, elems...) }

// step does one random operation to both, and overwrites what it gave to the rope if that is still
// the caller's.
func (p *pair) step(r *rand.Rand, s shape) {
	n := len(p.model)
	e := s.element(r)
	many := s.elements(r, r.IntN(40))
	if r.IntN(20) == 0 {
		many = s.elements(r, r.IntN(3000/(1+10*int(s))))
	}
	given, packed := slices.Clone(e), bytes.Join(many, nil)
	owned := r.IntN(4) == 0
	op := r.IntN(14)
	if n == 0 && op >= 5 {
		op %= 5
	}
	switch op {
	case 0:
		give(owned, p.rope.Append, p.rope.AppendOwned, given)
		p.insert(n, e)
	case 1:
		p.rope.Prepend(given)
		clear(given)
		p.insert(0, e)
	case 2:
		i := r.IntN(n + 1)
		give(owned, func(e []byte) { p.rope.Insert(i, e) }, func(e []byte) { p.rope.InsertOwned(i, e) }, given)
		p.insert(i, e)
	case 3:
		p.rope.AppendPacked(packed, len(many))
		clear(packed)
		p.insert(n, many...)
	case 4:
		i := r.IntN(n + 1)
		p.rope.InsertPacked(i, packed, len(many))
		clear(packed)
		p.insert(i, many...)
	case 5, 6:
		i := r.IntN(n)
		give(owned, func(e []byte) { p.rope.Set(i, e) }, func(e []byte) { p.rope.SetOwned(i, e) }, given)
		p.model[i] = e
	case 7:
		i := r.IntN(n + 1)
		j := min(n, i+r.IntN(60))
		if r.IntN(20) == 0 {
			j = i + r.IntN(n-i+1)
		}
		p.rope.DeleteRange(i, j)
		p.model = slices.Delete(p.model, i, j)
	case 12: // itself, twice: nodes are shared
		if n < 1500 {
			p.rope.AppendRoot(p.rope.Freeze())
			p.model = append(p.model, p.model...)
		}
	case 13: // mostly at the front, as leases end
		i := min(n, r.IntN(3), r.IntN(n+1))
		j := min(n, i+r.IntN(3))
		p.rope.DeleteFew(i, j, r.IntN(LeafBytes))
		p.model = slices.Delete(p.model, i, j)
	default:
		i := []int{0, n - 1, r.IntN(n), r.IntN(n)}[op-8]
		for range min(r.IntN(4), n-i) {
			p.rope.Delete(i)
			p.model = slices.Delete(p.model, i, i+1)
		}
	}
}

// give calls copies and overwrites the element, or calls owned.
func give(isOwned bool, copies, owned func([]byte), elem []byte) {
	if isOwned {
		owned(elem)
		return
	}
	copies(elem)
	clear(elem)
}

func (p *pair) verify(t testing.TB, r *rand.Rand) {
	t.Helper()
	if err := p.rope.Check(); err != nil {
		t.Fatal(err)
	}
	equal(t, r, &p.rope.Root, p.model)
}

// equal compares a rope with its model by every way of reading.
func equal(t testing.TB, r *rand.Rand, root *Root, model [][]byte) {
	t.Helper()
	n := len(model)
	packed := bytes.Join(model, nil)
	if root.Len() != n || root.Bytes() != len(packed) {
		t.Fatalf("%d elements of %d bytes, want %d of %d", root.Len(), root.Bytes(), n, len(packed))
	}
	if !bytes.Equal(root.AppendRange(nil, 0, n), packed) {
		t.Fatal("contents differ")
	}
	i := r.IntN(n + 1)
	j := i + r.IntN(n-i+1)
	if !bytes.Equal(root.AppendRange(nil, i, j), bytes.Join(model[i:j], nil)) {
		t.Fatalf("elements %d to %d differ", i, j)
	}
	want, most := len(bytes.Join(model[i:j], nil)), r.IntN(len(packed)+1)
	if got := root.RangeBytes(i, j, most); got != want && (got <= most || got > want) {
		t.Fatalf("elements %d to %d have %d bytes, counted %d, at most %d", i, j, want, got, most)
	}
	at := i
	for k, e := range root.Range(i, j) {
		if k != at || !bytes.Equal(e, model[k]) {
			t.Fatalf("Range(%d, %d): element %d differs (at %d)", i, j, k, at)
		}
		at++
	}
	if at != j {
		t.Fatalf("Range(%d, %d) ended at %d", i, j, at)
	}
	for k, e := range root.Backward(i, j) {
		at--
		if k != at || !bytes.Equal(e, model[k]) {
			t.Fatalf("Backward(%d, %d): element %d differs (at %d)", i, j, k, at)
		}
	}
	if at != i {
		t.Fatalf("Backward(%d, %d) ended at %d", i, j, at)
	}
	for range min(n, 20) {
		k := r.IntN(n)
		if !bytes.Equal(root.Get(k), model[k]) {
			t.Fatalf("element %d differs", k)
		}
	}
}

func TestAgainstSlice(t *testing.T) {
	for name, s := range shapes {
		t.Run(name, func(t *testing.T) {
			r := seeded(t)
			for range 20 / (1 + int(s)) {
				var p pair
				for range 300 {
					p.step(r, s)
					if r.IntN(8) == 0 {
						p.verify(t, r)
					}
				}
				p.verify(t, r)
			}
		})
	}
}

// TestFrozen keeps frozen roots while the rope changes, and compares each with the model at that
// time.
func TestFrozen(t *testing.T) {
	for name, s := range shapes {
		t.Run(name, func(t *testing.T) {
			r := seeded(t)
			type moment struct {
				root  *Root
				model [][]byte
			}
			var (
				p       pair
				moments []moment
			)
			for range 400 {
				p.step(r, s)
				switch r.IntN(8) {
				case 0:
					moments = append(moments, moment{p.rope.Freeze(), slices.Clone(p.model)})
				case 1:
					if len(moments) > 0 {
						m := moments[r.IntN(len(moments))]
						p = pair{rope: *m.root.Thaw(), model: slices.Clone(m.model)}
					}
				}
			}
			p.verify(t, r)
			for _, m := range moments {
				if err := m.root.Check(); err != nil {
					t.Fatal(err)
				}
				equal(t, r, m.root, m.model)
			}
		})
	}
}

// TestLarge grows a rope of three levels in every way and empties it again.
func TestLarge(t *testing.T) {
	r := seeded(t)
	var p pair
	const n = 20_000
	elems := mixed.elements(r, n)
	fill := map[string]func(e []byte){
		"append":  func(e []byte) { p.rope.Append(e); p.insert(len(p.model), e) },
		"prepend": func(e []byte) { p.rope.Prepend(e) },
		"ascending in the middle": func(e []byte) {
			p.rope.Insert((p.rope.Len()+1)/2, e)
		},
		"random": func(e []byte) { p.rope.Insert(r.IntN(p.rope.Len()+1), e) },
	}
	for name, add := range fill {
		t.Run(name, func(t *testing.T) {
			p = pair{}
			for _, e := range elems {
				add(e)
			}
			p.model = p.model[:0]
			for _, e := range p.rope.Range(0, p.rope.Len()) {
				p.model = append(p.model, slices.Clone(e))
			}
			p.verify(t, r)
			if p.rope.mid.height < 2 {
				t.Fatalf("height %d: the test wants a deeper tree", p.rope.mid.height)
			}
			checkMemory(t, &p.rope)
			for len(p.model) > 0 {
				for range min(len(p.model), 100) {
					i := r.IntN(len(p.model))
					p.rope.Delete(i)
					p.model = slices.Delete(p.model, i, i+1)
				}
				if len(p.model)%3000 < 100 {
					p.verify(t, r)
					checkMemory(t, &p.rope)
				}
			}
		})
	}
}

// checkMemory fails if the rope takes more than twice its packed bytes (and a little for the nodes
// and the two ends).
func checkMemory(t *testing.T, rope *Rope) {
	t.Helper()
	if got, most := rope.memoryBytes(), 2*(rope.Bytes()+2*rope.Len())+1<<14; got > most {
		t.Fatalf("%d elements of %d bytes take %d bytes of memory", rope.Len(), rope.Bytes(), got)
	}
}

// memoryBytes returns what the buffers, offsets and nodes take, shared ones included.
func (r *Root) memoryBytes() int {
	var sum int
	for _, n := range []*node{r.head, r.mid.root, r.tail} {
		if n != nil {
			sum += n.memory()
		}
	}
	return sum
}

// nodeBytes is the size of a node without its slices.
const nodeBytes = 128

func (n *node) memory() int {
	sum := nodeBytes + cap(n.buf) + 2*cap(n.off) + 16*cap(n.kids)
	for _, kid := range n.kids {
		sum += kid.memory()
	}
	return sum
}

func TestMemoryAfterRandomDeletes(t *testing.T) {
	r := seeded(t)
	for name, s := range map[string]shape{"short": short, "mixed": mixed} {
		t.Run(name, func(t *testing.T) {
			var rope Rope
			for range 100_000 {
				rope.Append(s.element(r))
			}
			for rope.Len() > 0 {
				for range min(rope.Len(), 5000) {
					rope.Delete(r.IntN(rope.Len()))
				}
				checkMemory(t, &rope)
			}
		})
	}
}

// TestQueue runs elements through a rope from one end to the other: it must not grow.
func TestQueue(t *testing.T) {
	r := seeded(t)
	for _, length := range []int{0, 1, 10, 1000, 20_000} {
		var p pair
		for range length {
			e := short.element(r)
			p.rope.Append(e)
			p.insert(len(p.model), e)
		}
		left := r.IntN(2) == 0
		for range 20_000 {
			e := short.element(r)
			if left {
				p.rope.Prepend(e)
				p.rope.Delete(p.rope.Len() - 1)
				continue
			}
			p.rope.Append(e)
			if !bytes.Equal(p.rope.Get(0), append(p.model, e)[0]) {
				t.Fatal("wrong first element")
			}
			p.rope.Delete(0)
			p.model = append(p.model, e)[1:]
		}
		if err := p.rope.Check(); err != nil {
			t.Fatal(err)
		}
		if p.rope.Len() != length {
			t.Fatalf("%d elements, want %d", p.rope.Len(), length)
		}
		checkMemory(t, &p.rope)
	}
}

func TestAllocations(t *testing.T) {
	elem := msgp.AppendInt64(nil, 1<<40)
	var rope Rope
	for range 100_000 {
		rope.Append(elem)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for name, c := range map[string]struct {
		most float64
		f    func()
	}{
		"get":    {0, func() { rope.Get(r.IntN(rope.Len())) }},
		"set":    {0, func() { rope.Set(r.IntN(rope.Len()), elem) }},
		"append": {0.05, func() { rope.Append(elem) }},
		"queue":  {0.05, func() { rope.Append(elem); rope.Delete(0) }},
	} {
		const runs = 5000
		if got := testing.AllocsPerRun(1, func() {
			for range runs {
				c.f()
			}
		}) / runs; got > c.most {
			t.Errorf("%s: %v allocations", name, got)
		}
	}
}

func FuzzRope(f *testing.F) {
	f.Add(uint64(1), uint16(50), uint8(0))
	f.Add(uint64(2), uint16(300), uint8(2))
	f.Fuzz(func(t *testing.T, seed uint64, steps uint16, s uint8) {
		r := rand.New(rand.NewPCG(seed, 1))
		var p pair
		for range steps % 500 {
			p.step(r, shape(s)%4)
		}
		p.verify(t, r)
	})
}
