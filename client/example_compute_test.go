package client_test

import (
	"context"
	"fmt"
	"time"

	"cyberdb-fast/client"
)

func ExampleCached() {
	ctx := context.Background()
	c, end := open(ctx)
	defer end()

	squares := client.DictOf[int, int](c, "squares")
	_ = squares.Create(ctx)
	square := client.Cached(
		squares,
		client.ComputeOptions{TTL: time.Minute},
		func(_ context.Context, n int) (int, error) {
			fmt.Println("computing the square of", n)
			return n * n, nil
		},
	)
	for range 3 {
		n, err := square(ctx, 12)
		fmt.Println(n, err)
	}
	// Output:
	// computing the square of 12
	// 144 <nil>
	// 144 <nil>
	// 144 <nil>
}
