package persist

import (
	"fmt"
	"sync"

	"github.com/zeebo/xxh3"

	"cyberdb-fast/persist/sequence"
)

// load is one Load. One goroutine reads groups in the order of the file; workers check and
// decompress them; the caller's goroutine passes them to the loader in order.
type load struct {
	r        *Reader
	loader   Loader
	progress func(done, total int64)
	sum      *xxh3.Hasher // over the whole file; owned by the reading goroutine

	// owned by the caller's goroutine
	tables  uint32
	current Table  // the current table
	left    uint64 // items that it must still have
	held    uint64 // held items among these
	items   uint64
}

// group is one block, or the blocks of one large item.
type group struct {
	at    int64       // offset of the first block
	end   int64       // offset after the last block
	first blockHeader // with the raw length of all blocks together
	parts []part
	raw   []byte
	block Block
	table Table
	err   error
	done  chan struct{} // closed by the worker once raw or err is set
}

type part struct {
	at     int64
	header blockHeader
	stored []byte
}

// groupsAhead is the number of groups per worker that are read ahead.
const groupsAhead = 4

func (l *load) run(workers int) error {
	jobs := make(chan *group, groupsAhead*workers)
	order := make(chan *group, groupsAhead*workers)
	stop := make(chan struct{})
	var running sync.WaitGroup
	var readErr error
	running.Go(func() {
		defer close(jobs)
		defer close(order)
		if p := sequence.Guarded(func() { readErr = l.read(jobs, order, stop) }); p != nil {
			readErr = p
		}
	})
	for range workers {
		running.Go(func() {
			for g := range jobs {
				if p := sequence.Guarded(func() { g.err = g.decode(l.r) }); p != nil {
					g.err = p
				}
				close(g.done)
			}
		})
	}
	err := func() error {
		defer func() { // even after a panic of the loader
			close(stop)
			for range order { // so that the reading goroutine notices
			}
			running.Wait()
		}()
		return l.deliver(order)
	}()
	if err != nil {
		return err
	}
	if readErr != nil {
		return readErr
	}
	return l.finish()
}

// read reads the file from its header to its footer.
func (l *load) read(jobs, order chan<- *group, stop <-chan struct{}) error {
	_, _ = l.sum.Write(l.r.head) // never fails
	end := l.r.size - cdbFooterBytes
	var blocks uint32
	for at := int64(cdbHeaderBytes); at < end; {
		g, err := l.readGroup(at, end, &blocks)
		if err != nil {
			return err
		}
		at = g.end
		if g.first.typ == blockIndex {
			if g.at < l.r.foot.index {
				return l.r.blockDamage(g.at, &g.first, "a part of the index is among the tables")
			}
			continue // Open has read it
		}
		if g.at >= l.r.foot.index {
			return l.r.blockDamage(g.at, &g.first, "a part of a table is in the index")
		}
		select {
		case order <- g:
			jobs <- g
		case <-stop:
			return nil
		}
	}
	if blocks != l.r.foot.blocks {
		return l.r.damage(end, fmt.Sprintf("the file has %d blocks, the footer counts %d", blocks, l.r.foot.blocks))
	}
	_, _ = l.sum.Write(l.r.foot.appendSummed(nil)) // never fails
	if l.sum.Sum64() != l.r.foot.sum {
		return l.r.damage(end, "the file does not match its checksum")
	}
	return nil
}

// readGroup reads the block at an offset and those in which its item continues. decode checks the
// payloads.
func (l *load) readGroup(at, end int64, blocks *uint32) (*group, error) {
	g := &group{at: at, done: make(chan struct{})}
	for more := true; more; {
		var head [blockHeaderBytes]byte
		n := min(end-at, blockHeaderBytes)
		if err := l.r.readAt(head[:n], at); err != nil {
			return nil, err
		}
		h, what := parseBlockHeader(head[:n])
		switch {
		case what != "":
			return nil, l.r.damage(at, what)
		case int64(h.stored) > end-at-blockHeaderBytes:
			return nil, l.r.blockDamage(at, &h, "the file ends inside the block")
		case h.block != *blocks:
			return nil, l.r.blockDamage(at, &h, fmt.Sprintf("block %d was expected", *blocks))
		case len(g.parts) > 0 && (h.typ != g.first.typ || h.table != g.first.table || h.items != 0):
			return nil, l.r.blockDamage(at, &h, "the block does not continue the one before")
		case int64(h.raw)+int64(g.first.raw) > maxGroupBytes:
			return nil, l.r.blockDamage(at, &h, "an item exceeds the maximum size")
		}
		stored := make([]byte, h.stored)
		if err := l.r.readAt(stored, at+blockHeaderBytes); err != nil {
			return nil, err
		}
		_, _ = l.sum.Write(head[:]) // never fails
		if len(g.parts) == 0 {
			g.first = h
		} else {
			g.first.raw += h.raw
		}
		g.parts = append(g.parts, part{at, h, stored})
		*blocks++
		at += blockHeaderBytes + int64(h.stored)
		more = h.more()
		if more && at == end {
			return nil, l.r.blockDamage(at, &h, "the file ends before the next part of the item")
		}
	}
	g.end = at
	return g, nil
}

// decode checks and decompresses a group.
func (g *group) decode(r *Reader) error {
	var err error
	if g.raw, err = g.decompress(r); err != nil {
		return err
	}
	g.parts = nil
	switch g.first.typ {
	case blockTable:
		table, unknown, ok := parseTable(g.raw, r.version)
		g.table = table
		switch {
		case !ok || !r.indexMatches(&g.first, g.at, &g.table):
			return r.blockDamage(g.at, &g.first, "the table differs from its index entry")
		case unknown != "":
			return r.unknown(g.table.Name, unknown)
		}
		e := &r.index[g.first.table]
		g.table.Items, g.table.Queue = e.Items, e.Queue
	case blockEntries, blockElements, blockHeld, blockCounted:
		g.block = Block{typ: g.first.typ, version: r.version, items: int(g.first.items), raw: g.raw}
		ok, unknown := g.block.wellFormed()
		switch {
		case !ok:
			return r.blockDamage(g.at, &g.first, "the items cannot be parsed")
		case unknown != "":
			return r.unknown(r.tableName(&g.first), unknown)
		}
	}
	return nil
}

func (h *blockHeader) kind() Kind {
	if h.typ == blockEntries {
		return Dict
	}
	return List
}

func (g *group) decompress(r *Reader) ([]byte, error) {
	var all []byte
	for i := range g.parts {
		p := &g.parts[i]
		if xxh3.Hash(p.stored) != p.header.sum {
			return nil, r.blockDamage(p.at, &p.header, "the block does not match its checksum")
		}
		raw, ok := decompress(nil, p.stored, p.header.codec, int(p.header.raw))
		if !ok {
			return nil, r.blockDamage(p.at, &p.header, "the block cannot be decompressed")
		}
		p.stored = nil
		if len(g.parts) == 1 {
			return raw, nil
		}
		all = append(all, raw...)
	}
	return all, nil
}

// deliver passes the groups to the loader.
func (l *load) deliver(order <-chan *group) error {
	for g := range order {
		<-g.done
		if g.err != nil {
			return g.err
		}
		if err := l.deliverGroup(g); err != nil {
			return err
		}
		if l.progress != nil {
			l.progress(g.end, l.r.size)
		}
	}
	return nil
}

func (l *load) deliverGroup(g *group) error {
	if g.first.typ == blockTable {
		if l.left > 0 {
			return l.short(g.at)
		}
		if g.first.table != l.tables {
			return l.r.blockDamage(g.at, &g.first, fmt.Sprintf("table %d was expected", l.tables))
		}
		l.tables++
		l.current, l.left, l.held = g.table, g.table.Items, g.table.Queue.Held
		return l.loader.Table(g.table)
	}
	n := uint64(g.block.Len())
	switch {
	case l.tables == 0 || g.first.table != l.tables-1 || g.first.kind() != l.current.Kind.items():
		return l.r.blockDamage(g.at, &g.first, "the block belongs to another table")
	case n > l.left:
		return l.r.blockDamage(g.at, &g.first, "the table has more items than the index says")
	}
	held := uint64(g.block.HeldLen())
	if held > l.held || held == 0 && l.held > 0 {
		return l.r.blockDamage(g.at, &g.first, "the table has other held items than the index says")
	}
	l.held -= held
	l.left -= n
	l.items += n
	return l.loader.Block(&g.block)
}

func (l *load) short(at int64) error {
	return &DamageError{
		File:   l.r.name,
		Offset: at,
		Table:  l.current.Name,
		Block:  -1,
		What:   fmt.Sprintf("%d items of the table are missing", l.left),
	}
}

// finish checks the totals at the end.
func (l *load) finish() error {
	switch {
	case l.left > 0:
		return l.short(l.r.foot.index)
	case l.tables != l.r.foot.tables || l.items != l.r.foot.items:
		return l.r.damage(
			l.r.foot.index,
			fmt.Sprintf("the file holds %d items in %d tables, the footer counts %d in %d",
				l.items, l.tables, l.r.foot.items, l.r.foot.tables),
		)
	}
	if l.progress != nil {
		l.progress(l.r.size, l.r.size)
	}
	return nil
}
