package shardmap

// directory leads from a hash to its shard. It is immutable; splits publish another.
type directory struct {
	depth  uint     // bits of the hash that are looked at
	shift  uint     // 64 - depth
	shards []*shard // 1<<depth; a shard of less depth stands in several places next to each other
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

// span returns in how many places s stands.
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
