package engine

import (
	"sync"

	"cyberdb-fast/shardmap"
)

// maxPlainLocks is how many locks are known to be plain at once.
const maxPlainLocks = 1024

// plainLocks knows locks that are held in slot 0 alone, so that a request that does not find what
// it looks for need not look at all slots that a semaphore may have. It may know fewer than there
// are.
type plainLocks struct {
	mu     sync.Mutex
	table  *shardmap.Table // of the locks; guarded by mu
	grants uint64          // of slots above 0; guarded by mu
	names  map[string]bool // guarded by mu
}

// of makes the locks those of a table. p.mu is locked.
func (p *plainLocks) of(table *shardmap.Table) {
	if p.table != table {
		p.table, p.names = table, nil
		p.grants++
	}
}

// has reports whether a lock is known to be plain. seen is for note.
func (p *plainLocks) has(table *shardmap.Table, name []byte) (plain bool, seen uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.of(table)
	return p.names[string(name)], p.grants
}

// note notes that a lock had nothing above slot 0 since has was called, unless a slot was granted
// meanwhile.
func (p *plainLocks) note(table *shardmap.Table, name []byte, seen uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.of(table); p.grants != seen {
		return
	}
	if p.names == nil || len(p.names) >= maxPlainLocks {
		p.names = make(map[string]bool)
	}
	p.names[string(name)] = true
}

// granted notes that a slot above 0 was granted.
func (p *plainLocks) granted(table *shardmap.Table, name []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.of(table)
	p.grants++
	delete(p.names, string(name))
}
