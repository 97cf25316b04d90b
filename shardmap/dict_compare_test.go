package shardmap

import (
	"sync"
	"testing"

	"cyberdb-fast/codec/value"
)

// TestCompareAndSetCounts has goroutines count by CompareAndSet, inline and in the background: no
// count is lost.
func TestCompareAndSetCounts(t *testing.T) {
	const goroutines, each = 8, 300
	table, err := NewStore().Create(&Call{MayBlock: true}, "d", KindDict, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	d, key := table.Dict(), intElem(1)
	if err := d.Set(&Call{}, key, intElem(0)); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for g := range goroutines {
		all.Go(func() {
			c := Call{MayBlock: g%2 == 0}
			for n := 0; n < each; {
				old, err := d.Get(&c, nil, key)
				if err != nil {
					t.Error(err)
					return
				}
				next, err := value.Add(nil, old, intElem(1))
				if err != nil {
					t.Error(err)
					return
				}
				done, err := d.CompareAndSet(&c, key, old, next)
				if err != nil {
					t.Error(err)
					return
				}
				if done {
					n++
				}
			}
		})
	}
	all.Wait()
	if got, err := d.Get(&Call{}, nil, key); err != nil || !value.Equal(got, intElem(goroutines*each)) {
		t.Errorf("%x, %v", got, err)
	}
}
