package shardmap

import "cyberdb-fast/codec/value"

// CompareAndSet stores val under key if the value there equals old, as Python compares, and reports
// whether it did. A nil old means that the key must be absent; a nil val removes the key. Without a
// time to live the entry keeps its deadline.
func (d *Dict) CompareAndSet(c *Call, given, old, val []byte) (bool, error) {
	var k key
	if err := d.resolve(c, given, &k); err != nil {
		return false, err
	}
	k.keeps = k.keeps || c.TTL == DefaultTTL
	d.buildBlock(&k, val)
	defer d.freeBlock(&k)
	s, num, holds, err := d.lockCompared(c, &k, old)
	if err != nil || !holds {
		return false, err
	}
	switch {
	case val != nil:
		if err := d.setLocked(c, s, &k, num, val); err != nil {
			return false, err
		}
	case num >= 0:
		d.deleteLocked(c, s, k.hash, num)
	default: // absent, and it stays absent
		c.unlock()
	}
	return true, nil
}

// lockCompared is lockResolved for a key whose value must equal want, as in hasValue. If it does
// not, nothing is locked. A call that may block compares a copy without the lock, because comparing
// may take long, and then locks again: an unchanged version means an unchanged value.
func (d *Dict) lockCompared(c *Call, k *key, want []byte) (s *shard, num int, holds bool, err error) {
	for equal := uint64(0); ; equal = c.Version {
		if s, num, err = d.lockResolved(c, k, true); err != nil {
			return nil, 0, false, err
		}
		if !c.MayBlock || want == nil || num < 0 {
			if holds = s.hasValue(num, want); !holds {
				c.unlock()
			}
			return s, num, holds, nil
		}
		if c.Version == equal {
			return s, num, true, nil
		}
		have, err := d.readLocked(c, s, nil, num)
		if err != nil || !value.Equal(have, want) {
			return nil, 0, false, err
		}
	}
}

// hasValue reports whether entry num has a value that equals want. A nil want means that there must
// be no entry.
func (s *shard) hasValue(num int, want []byte) bool {
	if want == nil || num < 0 {
		return want == nil && num < 0
	}
	_, have := s.pair(s.entry(num))
	return value.Equal(have, want)
}
