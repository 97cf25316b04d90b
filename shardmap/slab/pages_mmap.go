//go:build !race

package slab

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// mapPages maps memory, nil if the system gives none.
func mapPages(length int) []byte {
	p, err := unix.MmapPtr(-1, 0, nil, uintptr(length), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil
	}
	return unsafe.Slice((*byte)(p), length)
}

// mapAligned maps a region at an address divisible by its size: it maps twice as much and cuts off
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

// releasePages gives memory back to the system and keeps the addresses.
func releasePages(mem []byte) {
	// Advice refused leaves the memory resident, no worse.
	_ = unix.Madvise(mem, unix.MADV_DONTNEED)
}

func poison([]byte) {}
