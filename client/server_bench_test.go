package client_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"cyberdb-fast/client"
)

// In these benchmarks server and client share one process and its processors. They measure whole
// round trips.

func BenchmarkServer(b *testing.B) {
	ctx := context.Background()
	for _, goroutines := range []int{1, 100, 1000} {
		c := startServer(b).Client(b, nil)
		d := client.DictOf[string, string](c, "d")
		if err := d.Create(
			ctx,
			client.Item[string, string]{Key: "key of 16 bytes.", Value: "a value of thirty-two bytes....."},
		); err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprint("Get/", goroutines), func(b *testing.B) {
			share(b, goroutines, func() error {
				_, err := d.Get(ctx, "key of 16 bytes.")
				return err
			})
		})
		b.Run(fmt.Sprint("Set/", goroutines), func(b *testing.B) {
			share(b, goroutines, func() error {
				return d.Set(ctx, "key of 16 bytes.", "a value of thirty-two bytes.....")
			})
		})
	}
}

func BenchmarkServerAll(b *testing.B) {
	ctx := context.Background()
	d := client.DictOf[int, string](startServer(b).Client(b, nil), "d")
	const items = 100_000
	if err := d.CreateFrom(ctx, func(yield func(int, string) bool) {
		for i := range items {
			if !yield(i, "a value of thirty-two bytes.....") {
				return
			}
		}
	}); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		all, failed := d.All(ctx)
		n := 0
		for range all {
			n++
		}
		if err := failed(); err != nil || n != items {
			b.Fatal(n, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/items, "ns/item")
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
