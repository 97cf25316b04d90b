package shardmap

import (
	"runtime"
	"testing"
)

// TestUpdateWhilePolicyChanges: an update whose dict evicts what expires first has locked all its
// shards, also if the policy has changed meanwhile.
func TestUpdateWhilePolicyChanges(t *testing.T) {
	l := newLimited(t, 64, Options{MaxEntries: 1000})
	for i := range 1000 {
		if err := l.set(number(i), number(i)); err != nil {
			t.Fatal(err)
		}
	}
	for range 20 {
		if err := l.d.lockAll(&l.c); err != nil {
			t.Fatal(err)
		}
		locked := make(chan int)
		go func() {
			c := &Call{}
			err := l.d.readPairs(c, append(number(1), number(1)...), 1)
			locked <- 0
			if err == nil {
				err = l.d.lockUpdate(c)
			}
			if err != nil {
				t.Error(err)
			}
			locked <- len(c.lockedShards)
			c.unlockShards()
		}()
		<-locked
		for range 1000 {
			runtime.Gosched() // it waits for a lock now, most probably
		}
		shards := len(l.c.lockedShards)
		l.d.setOptions(Options{MaxEntries: 1000, Policy: NearestDeadline})
		l.c.unlockShards()
		if n := <-locked; n != shards {
			t.Fatalf("%d of %d shards are locked", n, shards)
		}
		if err := l.d.Configure(&l.c, func(o *Options) { o.Policy = S3FIFO }); err != nil {
			t.Fatal(err)
		}
	}
}
