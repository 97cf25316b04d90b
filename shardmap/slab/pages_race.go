//go:build race

package slab

import "unsafe"

// The race detector only watches Go memory.

func mapPages(length int) []byte { return make([]byte, length) }

func mapAligned() []byte {
	wide := make([]byte, 2*regionBytes)
	head := int(-uintptr(unsafe.Pointer(unsafe.SliceData(wide))) % regionBytes)
	return wide[head : head+regionBytes : head+regionBytes]
}

func unmapPages([]byte) {}

func releasePages([]byte) {}

var pattern = [MinBlock]byte{0xdb, 0xdb, 0xdb, 0xdb}

// poison overwrites a freed block: a later read races with this.
func poison(mem []byte) {
	for n := 0; n < len(mem); {
		n += copy(mem[n:], pattern[:])
	}
}
