package slab

import (
	"math/bits"
	"runtime"
	"sync"
	"sync/atomic"
	"unsafe"
)

// Sizes of blocks, in bytes.
const (
	MinBlock = 4 << 10
	MaxBlock = 1 << 20

	// Block classes are 1/8 of a power of two apart: 4, 4.5, 5 ... 7.5, 8, 9, 10 ... 15, 16, 18 ...
	// 1024 KiB.
	stepBits = 3
	steps    = 1 << stepBits
	minBits  = 12
	classes  = (20-minBits)*steps + 1
)

// An Allocator allocates and frees blocks. Use New.
type Allocator struct {
	mu        sync.Mutex
	m         *mappings
	partial   [classes][]*region // regions with a free block
	used      int                // bytes of blocks in use
	dirty     int                // bytes of free blocks that are resident
	trimming  bool               // a goroutine runs trim
	unmapping [][]byte           // mappings that a goroutine is to unmap

	tight   atomic.Bool
	onPanic atomic.Pointer[func(p any)]
}

// mappings is all memory of an Allocator.
type mappings struct {
	regions map[uintptr]*region // by address / regionBytes
	large   map[uintptr][]byte  // by address
	bytes   int
}

// New returns an Allocator that has no memory yet.
func New() *Allocator {
	a := &Allocator{m: &mappings{regions: make(map[uintptr]*region), large: make(map[uintptr][]byte)}}
	runtime.AddCleanup(a, (*mappings).unmapAll, a.m)
	return a
}

func (m *mappings) unmapAll() {
	for _, r := range m.regions {
		unmapPages(r.mem)
	}
	for _, block := range m.large {
		unmapPages(block)
	}
}

// Alloc returns a block: its length is size, its capacity is the block's. Its content is undefined.
// If the system has no memory, the block is on the Go heap.
func (a *Allocator) Alloc(size int) []byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	if size > MaxBlock {
		return a.allocLarge(size)
	}
	class := classOf(size)
	r := a.regionFor(class)
	if r == nil {
		return make([]byte, size, blockBytes(class))
	}
	block, dirty := r.take()
	if dirty {
		a.dirty -= cap(block)
	}
	a.used += cap(block)
	if r.full() {
		a.setPartial(r, false)
	}
	return block[:size]
}

// Free frees a block that Alloc returned. It may be resliced, but must start at the same address.
func (a *Allocator) Free(block []byte) {
	block = block[:cap(block)]
	if len(block) == 0 {
		return
	}
	poison(block)
	address := uintptr(unsafe.Pointer(unsafe.SliceData(block)))
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, ok := a.m.large[address]; ok {
		delete(a.m.large, address)
		a.m.bytes -= len(block)
		a.used -= len(block)
		a.unmap(block)
		return
	}
	r := a.m.regions[address/regionBytes]
	if r == nil {
		return // from the Go heap
	}
	a.used -= len(block)
	a.dirty += len(block)
	r.put(address)
	a.updateLists(r)
	if !a.trimming && a.tooDirty() {
		a.trimming = true
		a.Background(a.trim) // trimming stays on if that panics: no further trim
	}
}

// SetTight says whether memory is short: then less free memory stays resident.
func (a *Allocator) SetTight(tight bool) { a.tight.Store(tight) }

// ResidentBytes returns how much memory is in use, or free and still resident.
func (a *Allocator) ResidentBytes() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.used + a.dirty
}

// Bytes returns how much memory is mapped, and how much of it is unused.
func (a *Allocator) Bytes() (mapped, free int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.m.bytes, a.m.bytes - a.used
}

func (a *Allocator) allocLarge(size int) []byte {
	length := (size + MinBlock - 1) &^ (MinBlock - 1)
	block := mapPages(length)
	if block == nil {
		return make([]byte, size)
	}
	a.m.large[uintptr(unsafe.Pointer(unsafe.SliceData(block)))] = block
	a.m.bytes += length
	a.used += length
	return block[:size]
}

// regionFor returns a region with a free block of the class, nil if the system has no memory.
func (a *Allocator) regionFor(class int) *region {
	if p := a.partial[class]; len(p) > 0 {
		return p[len(p)-1]
	}
	mem := mapAligned()
	if mem == nil {
		return nil
	}
	r := &region{mem: mem, class: class, place: -1}
	a.m.regions[r.address()/regionBytes] = r
	a.m.bytes += regionBytes
	a.setPartial(r, true)
	return r
}

// updateLists puts a region that has a newly freed block into the list of its class. It unmaps the
// region if that is empty and not the last one of its class.
func (a *Allocator) updateLists(r *region) {
	if r.place < 0 {
		a.setPartial(r, true)
	}
	if r.used > 0 || len(a.partial[r.class]) == 1 && r.carved <= 1 {
		return
	}
	a.dirty -= len(r.dirty) * blockBytes(r.class)
	r.dirty = nil
	a.setPartial(r, false)
	delete(a.m.regions, r.address()/regionBytes)
	a.m.bytes -= regionBytes
	a.unmap(r.mem)
}

// unmap unmaps memory in the background: that takes milliseconds for a large mapping. The caller
// holds mu.
func (a *Allocator) unmap(mem []byte) {
	a.unmapping = append(a.unmapping, mem)
	if len(a.unmapping) == 1 {
		a.Background(a.unmapQueued) // if that panics, the mappings stay
	}
}

// unmapQueued unmaps what unmap has queued, until nothing is left.
func (a *Allocator) unmapQueued() {
	for done := 0; ; {
		a.mu.Lock()
		a.unmapping = a.unmapping[done:]
		gone := a.unmapping
		if len(gone) == 0 {
			a.unmapping = nil
		}
		a.mu.Unlock()
		if len(gone) == 0 {
			return
		}
		for _, mem := range gone {
			unmapPages(mem)
		}
		done = len(gone)
	}
}

// OnPanic sets f to be called when a goroutine of the Allocator panics. Memory that it would have
// returned stays mapped. Without OnPanic, the panic ends the process.
func (a *Allocator) OnPanic(f func(p any)) { a.onPanic.Store(&f) }

// Background runs f, which frees memory, on its own goroutine.
func (a *Allocator) Background(f func()) {
	go func() {
		defer a.reportPanic()
		f()
	}()
}

func (a *Allocator) reportPanic() {
	tell := a.onPanic.Load()
	if tell == nil {
		return // the panic continues
	}
	if p := recover(); p != nil {
		(*tell)(p)
	}
}

// setPartial adds a region to the list of those with a free block, or removes it.
func (a *Allocator) setPartial(r *region, on bool) {
	p := a.partial[r.class]
	if on {
		r.place = len(p)
		a.partial[r.class] = append(p, r)
		return
	}
	last := p[len(p)-1]
	p[r.place], last.place = last, r.place
	p[len(p)-1] = nil
	a.partial[r.class] = p[:len(p)-1]
	r.place = -1
}

// classOf returns the class of the smallest block that holds size bytes.
func classOf(size int) int {
	if size <= MinBlock {
		return 0
	}
	power := bits.Len(uint(size-1)) - 1 // size is above 1<<power
	step := (size - 1 - 1<<power) >> (power - stepBits)
	return (power-minBits)*steps + step + 1
}

func blockBytes(class int) int { return (steps + class%steps) << (minBits - stepBits + class/steps) }
