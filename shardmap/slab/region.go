package slab

import (
	"os"
	"slices"
	"unsafe"
)

const (
	regionBytes = 4 << 20

	// Free blocks stay resident up to trimFloor bytes and 1/trimShare of the blocks in use;
	// 1/tightShare while memory is short.
	trimFloor  = 8 << 20
	trimShare  = 4
	tightShare = 64
)

// pageBytes is the system's page size.
var pageBytes = os.Getpagesize()

// region is regionBytes of mapped memory at an address divisible by regionBytes, divided into
// blocks of one class. Guarded by Allocator.mu.
type region struct {
	mem    []byte
	class  int
	place  int      // index in Allocator.partial; -1: not there
	carved int      // blocks allocated so far: the rest was never used
	used   int      // blocks in use
	dirty  []uint16 // free blocks that are resident
	clean  []uint16 // free blocks whose memory was returned to the system
}

func (r *region) address() uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(r.mem))) }

func (r *region) full() bool {
	return len(r.dirty) == 0 && len(r.clean) == 0 && r.carved == len(r.mem)/blockBytes(r.class)
}

// take allocates a block, preferably a resident one.
func (r *region) take() (block []byte, dirty bool) {
	var i int
	switch {
	case len(r.dirty) > 0:
		i, dirty = int(r.dirty[len(r.dirty)-1]), true
		r.dirty = r.dirty[:len(r.dirty)-1]
	case len(r.clean) > 0:
		i = int(r.clean[len(r.clean)-1])
		r.clean = r.clean[:len(r.clean)-1]
	default:
		i = r.carved
		r.carved++
	}
	r.used++
	size := blockBytes(r.class)
	return r.mem[i*size : (i+1)*size : (i+1)*size], dirty
}

// put frees a block.
func (r *region) put(address uintptr) {
	r.dirty = append(r.dirty, uint16(int(address-r.address())/blockBytes(r.class)))
	r.used--
}

// trim returns the memory of all free blocks to the system, region by region, until few enough are
// resident: more may be freed meanwhile.
func (a *Allocator) trim() {
	for {
		a.mu.Lock()
		regions := make([]*region, 0, len(a.m.regions))
		for _, r := range a.m.regions {
			regions = append(regions, r)
		}
		a.mu.Unlock()
		for _, r := range regions {
			a.trimRegion(r)
		}
		a.mu.Lock()
		a.trimming = a.tooDirty()
		more := a.trimming
		a.mu.Unlock()
		if !more {
			return
		}
	}
}

// tooDirty reports whether too much free memory is resident. The caller holds mu.
func (a *Allocator) tooDirty() bool {
	share := trimShare
	if a.tight.Load() {
		share = tightShare
	}
	return a.dirty > trimFloor+a.used/share
}

// releaseWithin returns the whole pages within mem[start:end] to the system.
func releaseWithin(mem []byte, start, end int) {
	start, end = (start+pageBytes-1)&^(pageBytes-1), end&^(pageBytes-1)
	if start < end {
		releasePages(mem[start:end])
	}
}

// trimRegion returns the memory of a region's free blocks. It counts them as used meanwhile,
// because it holds no lock.
func (a *Allocator) trimRegion(r *region) {
	size := blockBytes(r.class)
	blocks := a.takeDirty(r)
	if len(blocks) == 0 {
		return
	}
	slices.Sort(blocks)
	for start := 0; start < len(blocks); {
		end := start + 1
		for end < len(blocks) && blocks[end] == blocks[end-1]+1 {
			end++
		}
		releaseWithin(r.mem, int(blocks[start])*size, (int(blocks[end-1])+1)*size)
		start = end
	}
	a.putClean(r, blocks)
}

func (a *Allocator) takeDirty(r *region) (blocks []uint16) {
	a.mu.Lock()
	defer a.mu.Unlock()
	blocks = r.dirty
	r.dirty = nil
	r.used += len(blocks)
	a.dirty -= len(blocks) * blockBytes(r.class)
	if r.full() && r.place >= 0 {
		a.setPartial(r, false)
	}
	return blocks
}

func (a *Allocator) putClean(r *region, blocks []uint16) {
	a.mu.Lock()
	defer a.mu.Unlock()
	r.clean = append(r.clean, blocks...)
	r.used -= len(blocks)
	a.updateLists(r)
}
