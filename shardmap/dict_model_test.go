package shardmap

import (
	"testing"
)

func TestDictAgainstModel(t *testing.T) {
	cases := []struct {
		name  string
		split int // leastSplit
		keys  int
		steps int
		big   bool
	}{
		{"few keys", minSplit, 20, 20000, false},
		{"few keys, many shards", 4, 100, 20000, false},
		{"some keys, big records", 200, 500, 20000, true},
		{"many keys", 600, 6000, 20000, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSession(t, seeded(t), c.keys)
			s.big, s.call.MayBlock = c.big, c.big // values of more than InlineBytes among them
			s.store.minSplit = c.split
			if c.big {
				s.store.minSplitBytes = 20000
			}
			s.recreate()
			for i := range c.keys / 2 {
				k, before := formOf(i, 0), s.store.Clock()
				s.ok(s.dict.Set(&s.call, k.encoded, []byte{1}))
				s.model.set(k, []byte{1}, s.assigned(before, 1))
			}
			if raceEnabled {
				c.steps /= 5
			}
			for i := range c.steps {
				s.step()
				if i%5000 == 0 {
					s.check()
				}
			}
			s.check()
			s.drain()
			s.check()
		})
	}
}

// recreate begins anew with an empty dict.
func (s *session) recreate() {
	s.ok(s.store.Drop(&Call{}, "table"))
	table, err := s.store.Create(&s.call, "table", KindDict, nil, 0)
	s.ok(err)
	s.dict, s.model = table.Dict(), newModel()
}

// drain empties the dict, part by part and then by clear, and fills it again.
func (s *session) drain() {
	for len(s.model.byNorm) > 10 {
		s.popItem()
		s.delete()
	}
	for range 1000 {
		s.set()
	}
	before := s.store.Clock()
	s.call.HasIf = false
	s.ok(s.dict.Clear(&s.call))
	s.assigned(before, 1)
	s.model = newModel()
	s.model.deadline = s.call.TTL
	s.check()
	before = s.store.Clock()
	s.ok(s.dict.Clear(&s.call))
	s.assigned(before, 0)
	for range 100 {
		s.set()
	}
}

func TestDictGrowsAndShrinks(t *testing.T) {
	s := newSession(t, seeded(t), 1)
	const n = 60000
	for i := range n {
		k, before := formOf(i, 0), s.store.Clock()
		s.ok(s.dict.Set(&s.call, k.encoded, []byte{7}))
		s.model.set(k, []byte{7}, s.assigned(before, 1))
	}
	if shards := s.shards(); shards < 5 {
		t.Fatalf("%d shards, want at least 5", shards)
	}
	s.openView()
	for i := 0; i < n; i += 3 {
		k, before := formOf(i, 0), s.store.Clock()
		s.ok(s.dict.Delete(&s.call, k.encoded))
		s.assigned(before, 1)
		s.model.remove(s.model.find(k))
	}
	s.openView()
	for len(s.model.byNorm) > 0 {
		s.popItem()
	}
	s.popItem()
	s.check()
	for i := range 2000 {
		k, before := formOf(i, 0), s.store.Clock()
		s.ok(s.dict.Set(&s.call, k.encoded, []byte{8}))
		s.model.set(k, []byte{8}, s.assigned(before, 1))
	}
	s.check()
}

func (s *session) shards() int {
	n := 0
	s.dict.dir.Load().each(func(*shard) { n++ })
	return n
}

// byteChoices takes decisions from a fuzzer's bytes, zeros when they are used up.
type byteChoices []byte

func (b *byteChoices) IntN(n int) int {
	x := 0
	for limit := 1; limit < n && len(*b) > 0; limit <<= 8 {
		x = x<<8 | int((*b)[0])
		*b = (*b)[1:]
	}
	return x % n
}

func FuzzDictOps(f *testing.F) {
	f.Add([]byte("0123456789 abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
	f.Fuzz(func(t *testing.T, data []byte) {
		choices := byteChoices(data)
		s := newSession(t, &choices, 30)
		s.store.minSplit = 4
		s.recreate()
		for len(choices) > 0 {
			s.step()
		}
		s.check()
	})
}
