package slab

import (
	"bytes"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"
	"unsafe"
)

func seed(t *testing.T) uint64 {
	seed := rand.Uint64()
	if text := os.Getenv("CYBERDB_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("CYBERDB_SEED: %v", err)
		}
	}
	t.Logf("CYBERDB_SEED=%d", seed)
	return seed
}

func TestSizes(t *testing.T) {
	a := New()
	for _, c := range []struct{ size, capacity int }{
		{1, 4 << 10},
		{4096, 4 << 10},
		{4097, 4608},
		{4608, 4608},
		{4609, 5120},
		{8192, 8 << 10},
		{8193, 9 << 10},
		{15361, 16 << 10},
		{65536, 64 << 10},
		{65537, 72 << 10},
		{900000, 896 << 10},
		{1 << 20, 1 << 20},
		{1<<20 + 1, 1<<20 + 4096},
	} {
		b := a.Alloc(c.size)
		if len(b) != c.size || cap(b) != c.capacity {
			t.Errorf("Alloc(%d): length %d capacity %d, want capacity %d", c.size, len(b), cap(b), c.capacity)
		}
		if uintptr(unsafe.Pointer(&b[0]))%(MinBlock/steps) != 0 {
			t.Errorf("Alloc(%d): not aligned", c.size)
		}
		a.Free(b[:1])
	}
	if mapped, free := a.Bytes(); mapped != free {
		t.Errorf("%d of %d bytes in use after all were freed", mapped-free, mapped)
	}
}

// block is a block in use and the byte that fills it.
type block struct {
	mem  []byte
	fill byte
}

func (b block) whole() bool { return bytes.Count(b.mem, []byte{b.fill}) == len(b.mem) }

// TestBlocksAreTheirOwn allocates and frees from several goroutines, while free memory goes back:
// no block may change but by its user.
func TestBlocksAreTheirOwn(t *testing.T) {
	a := New()
	s := seed(t)
	var tasks sync.WaitGroup
	for i := range uint64(3) {
		tasks.Go(func() {
			pick := rand.New(rand.NewPCG(s, i))
			var blocks []block
			for step := range 1500 {
				if n := len(blocks); n > 0 && (pick.IntN(2) == 0 || step > 1200) {
					j := pick.IntN(n)
					if !blocks[j].whole() {
						t.Errorf("block of %d bytes was changed", len(blocks[j].mem))
					}
					a.Free(blocks[j].mem)
					blocks[j] = blocks[n-1]
					blocks = blocks[:n-1]
					continue
				}
				b := block{a.Alloc(1 + pick.IntN(1<<(10+pick.IntN(12)))), byte(step)}
				copy(b.mem, bytes.Repeat([]byte{b.fill}, len(b.mem)))
				blocks = append(blocks, b)
				if step%500 == 0 {
					a.trim()
				}
			}
			for _, b := range blocks {
				if !b.whole() {
					t.Errorf("block of %d bytes was changed", len(b.mem))
				}
				a.Free(b.mem)
			}
		})
	}
	tasks.Wait()
	if mapped, free := a.Bytes(); mapped != free || mapped > classes*regionBytes {
		t.Errorf("%d bytes mapped, %d free after all were freed", mapped, free)
	}
}

func TestFreeMemoryGoesBack(t *testing.T) {
	a := New()
	var blocks [][]byte
	for range 64 << 20 / MinBlock {
		b := a.Alloc(MinBlock)
		b[0] = 1
		blocks = append(blocks, b)
	}
	for i, b := range blocks {
		if i%64 != 0 {
			a.Free(b)
		}
	}
	for end := time.Now().Add(10 * time.Second); ; runtime.Gosched() {
		a.mu.Lock()
		dirty, limit, trimming := a.dirty, trimFloor+a.used/trimShare, a.trimming
		a.mu.Unlock()
		if dirty <= limit && !trimming {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%d free bytes are resident, want at most %d", dirty, limit)
		}
	}
	for i, b := range blocks {
		if i%64 == 0 && b[0] != 1 {
			t.Fatal("a block in use has lost its bytes")
		}
	}
	for i := range 1000 {
		b := a.Alloc(MinBlock)
		b[i] = 1 // memory that went back may be used again
	}
}

func TestAllocDoesNotAllocate(t *testing.T) {
	a := New()
	kept := a.Alloc(MinBlock)
	defer a.Free(kept)
	if n := testing.AllocsPerRun(1000, func() { a.Free(a.Alloc(MinBlock)) }); n != 0 {
		t.Errorf("%v allocations per Alloc and Free, want 0", n)
	}
}

func BenchmarkAllocFree(b *testing.B) {
	a := New()
	kept := a.Alloc(MinBlock)
	for b.Loop() {
		a.Free(a.Alloc(MinBlock))
	}
	a.Free(kept)
}
