package client

import (
	"context"
	"fmt"
	"sync"
	"testing"
)

// The peer of these benchmarks runs in the same process on the same cores: they compare clients,
// not servers.

func BenchmarkGet(b *testing.B) {
	for _, goroutines := range []int{1, 100, 1000} {
		b.Run(fmt.Sprint(goroutines), func(b *testing.B) {
			d := benchDict(b)
			share(b, goroutines, func() error {
				_, err := d.Get(context.Background(), "key of 16 bytes.")
				return err
			})
		})
	}
}

func BenchmarkGetWithDeadline(b *testing.B) {
	for _, goroutines := range []int{1, 100, 1000} {
		b.Run(fmt.Sprint(goroutines), func(b *testing.B) {
			d, ctx := benchDict(b), testContext(b)
			share(b, goroutines, func() error {
				_, err := d.Get(ctx, "key of 16 bytes.")
				return err
			})
		})
	}
}

func BenchmarkSet(b *testing.B) {
	for _, goroutines := range []int{1, 100, 1000} {
		b.Run(fmt.Sprint(goroutines), func(b *testing.B) {
			d := benchDict(b)
			share(b, goroutines, func() error {
				return d.Set(context.Background(), "key of 16 bytes.", "a value of thirty-two bytes.....")
			})
		})
	}
}

func BenchmarkPipelinedGet(b *testing.B) {
	d := benchDict(b)
	const depth = 64
	b.ReportAllocs()
	for i := 0; i < b.N; i += depth {
		p := d.client.Pipeline()
		for range depth {
			d.With(p).Get("key of 16 bytes.")
		}
		if err := p.Do(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
}

func benchDict(b testing.TB) *Dict[string, string] {
	c := dialPeer(b, startPeerWith(b, append([]byte{0xd9, 32}, "a value of thirty-two bytes....."...)), nil)
	if err := c.Ping(testContext(b)); err != nil {
		b.Fatal(err)
	}
	return DictOf[string, string](c, "t")
}

// share divides b.N operations among goroutines.
func share(b *testing.B, goroutines int, op func() error) {
	b.ReportAllocs()
	b.ResetTimer()
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for i := g; i < b.N; i += goroutines {
				if err := op(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}
