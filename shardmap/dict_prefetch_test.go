package shardmap

import (
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/tinylib/msgp/msgp"
)

// TestPrefetchChangesNothing: keys are expected and warmed, any bytes among them, while others
// insert, delete and clear; each finds what it wrote.
func TestPrefetchChangesNothing(t *testing.T) {
	const seed, writers, rounds = 11, 4, 3000
	t.Logf("seed %d", seed)
	s := NewStore()
	s.minSplit = 64
	var c Call
	table, err := s.Create(&c, "t", KindDict, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	shared, err := s.Create(&c, "shared", KindDict, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			var c Call
			random := rand.New(rand.NewPCG(seed, uint64(w)))
			d := table.Dict()
			for range rounds {
				keys := make([][]byte, random.IntN(70))
				for i := range keys {
					keys[i] = msgp.AppendInt(nil, random.IntN(2000)*writers+w)
					c.AddPrefetch(d, keys[i])
				}
				junk := make([]byte, random.IntN(20))
				for i := range junk {
					junk[i] = byte(random.Uint32())
				}
				c.AddPrefetch(shared.Dict(), junk)
				c.Prefetch()
				for i, key := range keys {
					if random.IntN(3) == 0 {
						_ = d.Delete(&c, key)
						continue
					}
					if err := d.Set(&c, key, msgp.AppendInt(nil, i)); err != nil {
						t.Errorf("set: %v", err)
					}
					if got, err := d.Get(&c, nil, key); err != nil || string(got) != string(msgp.AppendInt(nil, i)) {
						t.Errorf("key %x: got %x, %v", key, got, err)
					}
				}
				if err := shared.Dict().Set(&c, msgp.AppendInt(nil, random.IntN(9)), []byte{0xc0}); err != nil {
					t.Errorf("shared: %v", err)
				}
				if random.IntN(50) == 0 {
					if err := shared.Dict().Clear(&c); err != nil {
						t.Errorf("clear: %v", err)
					}
				}
			}
		})
	}
	wg.Wait()
}
