package persist

import (
	"fmt"
	"sync"

	"github.com/zeebo/xxh3"
)

// load is one Load: a goroutine reads groups in the order of the file, workers check and decompress
// them, the caller's goroutine gives them to the loader in order.
type load struct {
	r        *Reader
	loader   Loader
	progress func(done, total int64)
	sum      *xxh3.Hasher // over all; owned by the reading goroutine

	// owned by the caller's goroutine
	tables  uint32
	current Table  // the table at hand
	left    uint64 // items that it still must have
	items   uint64
}

// group is one block, or the blocks that one large item was cut into.
type group struct {
	at    int64       // offset of the first block
	end   int64       // and of what comes after the last
	first blockHeader // with the raw length of all blocks together
	parts []part
	raw   []byte
	block Block
	table Table
	err   error
	done  chan struct{} // closed by the worker: raw, or err, is there
}

type part struct {
	at     int64
	header blockHeader
	stored []byte
}

// groupsAhead is how many groups per worker may be read ahead.
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
		if p := guarded(func() { readErr = l.read(jobs, order, stop) }); p != nil {
			readErr = p
		}
	})
	for range workers {
		running.Go(func() {
			for g := range jobs {
				if p := guarded(func() { g.err = g.decode(l.r) }); p != nil {
					g.err = p
				}
				close(g.done)
			}
		})
	}
	err := func() error {
		defer func() { // after a panic of the one who takes the blocks, too
			close(stop)
			for range order { // let the reading goroutine see it
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
	_, _ = l.sum.Write(l.r.stamp.appendHeader(nil)) // never fails
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
				return l.r.blockDamage(g.at, &g.first, "a part of the index stands among the tables")
			}
			continue // Open has read it
		}
		if g.at >= l.r.foot.index {
			return l.r.blockDamage(g.at, &g.first, "a part of a table stands in the index")
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
		return l.r.damage(end, "the file does not match the checksum over all of it")
	}
	return nil
}

// readGroup reads the block at an offset, and those after it that it goes on in. The payloads are
// checked by decode.
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
			return nil, l.r.blockDamage(at, &h, "the block does not go on with the one before")
		case int64(h.raw)+int64(g.first.raw) > maxGroupBytes:
			return nil, l.r.blockDamage(at, &h, "an item is larger than any can be")
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
			return nil, l.r.blockDamage(at, &h, "the block goes on, and the file does not")
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
		p := parser{b: g.raw}
		g.table = p.table()
		if p.bad || p.left() > 0 || !r.indexMatches(&g.first, g.at, &g.table) {
			return r.blockDamage(g.at, &g.first, "the table is not what the index says of it")
		}
		g.table.Items = r.index[g.first.table].Items
	case blockEntries, blockElements:
		g.block = Block{kind: g.first.kind(), items: int(g.first.items), raw: g.raw}
		if !g.block.whole() {
			return r.blockDamage(g.at, &g.first, "the items cannot be taken apart")
		}
	}
	return nil
}

func (h *blockHeader) kind() Kind {
	if h.typ == blockElements {
		return List
	}
	return Dict
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

// deliver gives the groups to the loader.
func (l *load) deliver(order <-chan *group) error {
	for g := range order {
		<-g.done
		if g.err != nil {
			return g.err
		}
		if err := l.give(g); err != nil {
			return err
		}
		if l.progress != nil {
			l.progress(g.end, l.r.size)
		}
	}
	return nil
}

func (l *load) give(g *group) error {
	if g.first.typ == blockTable {
		if l.left > 0 {
			return l.short(g.at)
		}
		if g.first.table != l.tables {
			return l.r.blockDamage(g.at, &g.first, fmt.Sprintf("table %d was expected", l.tables))
		}
		l.tables++
		l.current, l.left = g.table, g.table.Items
		return l.loader.Table(g.table)
	}
	n := uint64(g.block.Len())
	switch {
	case l.tables == 0 || g.first.table != l.tables-1 || g.first.kind() != l.current.Kind:
		return l.r.blockDamage(g.at, &g.first, "the block belongs to another table")
	case n > l.left:
		return l.r.blockDamage(g.at, &g.first, "the table has more items than the index says")
	}
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

// finish checks what only the end can tell.
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
