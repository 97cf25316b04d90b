package shardmap

// directory maps hashes to shards. It is immutable; a split publishes a new one.
type directory struct {
	depth  uint     // the number of hash bits that select a slot
	shift  uint     // 64 - depth
	shards []*shard // 1<<depth; a shard of less depth fills several adjacent slots
}

func newDirectory(s *shard) *directory { return &directory{shift: 64, shards: []*shard{s}} }

func (d *directory) slot(hash uint64) uint64 { return hash >> d.shift }

func (d *directory) shard(hash uint64) *shard { return d.shards[hash>>d.shift] }

// each calls f for every shard once, in directory order.
func (d *directory) each(f func(s *shard)) {
	for i := 0; i < len(d.shards); i += d.span(d.shards[i]) {
		f(d.shards[i])
	}
}

// span returns the number of slots that s fills.
func (d *directory) span(s *shard) int { return 1 << (d.depth - s.depth) }

// after returns the directory with s replaced by its two halves.
func (d *directory) after(s, low, high *shard) *directory {
	depth := d.depth
	if s.depth == depth {
		depth++
	}
	next := &directory{depth: depth, shift: 64 - depth, shards: make([]*shard, 1<<depth)}
	for i := range next.shards {
		next.shards[i] = d.shards[i>>(depth-d.depth)]
	}
	first := s.prefix << (depth - s.depth)
	half := uint64(1) << (depth - low.depth)
	for i := range half {
		next.shards[first+i] = low
		next.shards[first+half+i] = high
	}
	return next
}
