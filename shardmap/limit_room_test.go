package shardmap

import (
	"errors"
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

// TestExpiredMakesRoom: entries that have expired and are still there do not make a dict full.
func TestExpiredMakesRoom(t *testing.T) {
	for _, policy := range []Policy{NoEviction, NearestDeadline} {
		l := newLimited(t, 64, Options{MaxEntries: 300, Policy: policy})
		l.store.SetNow(1000)
		l.c.Time = 1000
		for i := range 300 {
			if l.c.TTL = DefaultTTL; i < 100 {
				l.c.TTL = 50
			} else if i < 110 {
				l.c.TTL = 5000
			}
			if err := l.set(number(i), number(i)); err != nil {
				t.Fatal(err)
			}
		}
		l.c.TTL = DefaultTTL
		l.store.SetNow(1051)
		for i := range 100 {
			if err := l.set(number(1000+i), number(i)); err != nil {
				t.Fatalf("policy %v, entry %d: %v", policy, i, err)
			}
		}
		if r := l.d.Removals(); r.Expired != 100 || r.Evicted != 0 {
			t.Errorf("policy %v: %+v", policy, r)
		}
		checkCounts(t, l.d)
	}
}

// TestExpiredMakesRoomForBatch is the same for an update.
func TestExpiredMakesRoomForBatch(t *testing.T) {
	l := newLimited(t, minSplit, Options{MaxEntries: 10, Policy: NoEviction})
	l.store.SetNow(1000)
	l.c.Time, l.c.TTL = 1000, 50
	pairs := func(from int) (packed []byte) {
		for i := range 10 {
			packed = append(append(packed, number(from+i)...), number(i)...)
		}
		return packed
	}
	for from := range 3 {
		if err := l.d.Update(&l.c, pairs(10*from), 10); err != nil {
			t.Fatal(err)
		}
		l.c.Time += 51
		l.store.SetNow(l.c.Time)
	}
	checkCounts(t, l.d)
}

// TestChangesAboveLowerLimit: a dict that is above its limit, since the limit was lowered and
// nothing may be evicted, refuses new keys. Keys that it has can be changed, by all calls.
func TestChangesAboveLowerLimit(t *testing.T) {
	type change func(c *Call, d *Dict, key []byte) error
	updates := func(times int) change {
		return func(c *Call, d *Dict, key []byte) error {
			var packed []byte
			for i := range times {
				packed = append(append(packed, key...), number(i)...)
			}
			return d.Update(c, packed, times)
		}
	}
	for name, do := range map[string]change{
		"set":          func(c *Call, d *Dict, key []byte) error { return d.Set(c, key, number(1)) },
		"update":       updates(1),
		"update twice": updates(2),
		"long update":  updates(InlineElements + 1),
		"increment": func(c *Call, d *Dict, key []byte) error {
			_, err := d.Increment(c, nil, key, number(1))
			return err
		},
		"set default": func(c *Call, d *Dict, key []byte) error {
			_, _, err := d.SetDefault(c, nil, key, number(1))
			return err
		},
		"compare and set": func(c *Call, d *Dict, key []byte) error {
			_, err := d.CompareAndSet(c, key, nil, number(1))
			if err != nil {
				return err
			}
			old, err := d.Get(c, nil, key)
			if err == nil {
				_, err = d.CompareAndSet(c, key, old, number(2))
			}
			return err
		},
	} {
		for _, policy := range []Policy{NoEviction, NearestDeadline} {
			l := newLimited(t, minSplit, Options{})
			for i := range 10 {
				if err := l.set(number(i), number(i)); err != nil {
					t.Fatal(err)
				}
			}
			err := l.d.Configure(&l.c, func(o *Options) { o.MaxEntries, o.MaxBytes, o.Policy = 5, 0, policy })
			if err != nil {
				t.Fatal(err)
			}
			if err := do(&l.c, l.d, number(3)); err != nil {
				t.Errorf("%s, policy %v: a key that is there: %v", name, policy, err)
			}
			if err := do(&l.c, l.d, number(30)); !errors.Is(err, ErrFull) {
				t.Errorf("%s, policy %v: a new key: %v, not ErrFull", name, policy, err)
			}
			checkCounts(t, l.d)
		}
	}
}
