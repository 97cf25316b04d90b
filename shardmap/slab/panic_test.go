package slab

import "testing"

// TestPanicInBackground: a panic while memory is freed in the background is reported, and the
// allocator continues.
func TestPanicInBackground(t *testing.T) {
	a := New()
	reported := make(chan any)
	a.OnPanic(func(p any) { reported <- p })
	a.Background(func() { panic("defect") })
	if p := <-reported; p != "defect" {
		t.Error(p)
	}
	var blocks [][]byte
	for range 3 * trimFloor / MaxBlock {
		blocks = append(blocks, a.Alloc(MaxBlock))
	}
	a.mu.Lock()
	for _, r := range a.m.regions {
		r.mem = r.mem[: len(r.mem)/8 : len(r.mem)/8] // its blocks lie outside
	}
	a.mu.Unlock()
	for i := range blocks {
		if i%4 > 0 { // regions stay
			a.Free(blocks[i])
		}
	}
	<-reported
	b := a.Alloc(MinBlock)
	a.Free(b)
	a.Bytes()
	a.m.regions = nil // what is mapped of them cannot be unmapped any more
}
