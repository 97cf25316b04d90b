package fstest

import (
	"maps"
	"math/rand/v2"
	"slices"
)

// PowerCut returns what the disk may hold after a power cut now. The Disk itself is unchanged.
func (d *Disk) PowerCut(rng *rand.Rand) *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	after := NewDisk()
	after.NoLinks, after.inodes = d.NoLinks, d.inodes
	maps.Copy(after.dirs, d.dirs)
	names := maps.Clone(d.synced)
	last, any := rng.IntN(len(d.changes)+1), rng.IntN(2) == 0
	for i, c := range d.changes {
		if any && rng.IntN(2) == 0 || !any && i >= last {
			continue
		}
		c.apply(names)
	}
	contents := map[*inode]*inode{} // links stay links
	for _, name := range slices.Sorted(maps.Keys(names)) {
		node := names[name]
		if contents[node] == nil {
			data := node.afterCut(rng)
			contents[node] = &inode{number: node.number, data: data, synced: slices.Clone(data)}
		}
		after.names[name] = contents[node]
	}
	after.synced = maps.Clone(after.names)
	return after
}

// afterCut returns what is left of the file.
func (n *inode) afterCut(rng *rand.Rand) []byte {
	length := len(n.synced)
	if k := rng.IntN(len(n.lengths) + 1); k < len(n.lengths) {
		length = n.lengths[k]
		if least := len(n.synced); length > least && rng.IntN(2) == 0 {
			length = least + rng.IntN(length-least+1) // a write that was under way
		}
	}
	data := make([]byte, length)
	copy(data, n.synced)
	mode := rng.IntN(4) // all new, all old, each sector by chance, zeroed by chance
	for _, w := range n.writes {
		for at := w.from; at < w.to; {
			end := min((at/sectorBytes+1)*sectorBytes, w.to)
			if mode == 0 || mode >= 2 && rng.IntN(2) == 0 {
				copySector(data, n.data, at, end)
			} else if mode == 3 {
				clearSector(data, at, end)
			}
			at = end
		}
	}
	return data
}

func copySector(dst, src []byte, from, to int) {
	if to = min(to, len(dst), len(src)); from < to {
		copy(dst[from:to], src[from:to])
	}
}

func clearSector(dst []byte, from, to int) {
	if to = min(to, len(dst)); from < to {
		clear(dst[from:to])
	}
}
