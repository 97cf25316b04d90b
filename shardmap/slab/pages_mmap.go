//go:build !race

package slab

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// mapPages maps memory. It returns nil if the system has none.
func mapPages(length int) []byte {
	p, err := unix.MmapPtr(-1, 0, nil, uintptr(length), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil
	}
	return unsafe.Slice((*byte)(p), length)
}

// mapAligned maps a region at an address divisible by its size: it maps twice as much and unmaps
// both ends.
func mapAligned() []byte {
	wide := mapPages(2 * regionBytes)
	if wide == nil {
		return nil
	}
	head := int(-uintptr(unsafe.Pointer(unsafe.SliceData(wide))) % regionBytes)
	if head > 0 {
		unmapPages(wide[:head])
	}
	unmapPages(wide[head+regionBytes:])
	return wide[head : head+regionBytes : head+regionBytes]
}

func unmapPages(mem []byte) {
	// The only error is a range that is not page-aligned, and all ours are.
	_ = unix.MunmapPtr(unsafe.Pointer(unsafe.SliceData(mem)), uintptr(len(mem)))
}

// releasePages returns memory to the system but keeps the addresses mapped.
func releasePages(mem []byte) {
	// If the system refuses, the memory just stays resident.
	_ = unix.Madvise(mem, unix.MADV_DONTNEED)
}

func poison([]byte) {}
