package client_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cyberdb-fast/client"
)

func ExampleDict_SetWithTTL() {
	ctx := context.Background()
	c, end := open(ctx)
	defer end()

	sessions := client.DictOf[string, string](c, "sessions")
	_ = sessions.Create(ctx)
	_ = sessions.SetWithTTL(ctx, "s1", "ada", 30*time.Minute)
	left, expires, _ := sessions.TTL(ctx, "s1")
	fmt.Println(expires, left.Round(time.Minute))

	_ = sessions.Expire(ctx, "s1", time.Millisecond)
	time.Sleep(5 * time.Millisecond)
	_, err := sessions.Get(ctx, "s1")
	fmt.Println(errors.Is(err, client.ErrKey))

	err = sessions.SetWithTTL(ctx, "s1", "ada", 0)
	fmt.Println(errors.Is(err, client.ErrValue))
	// Output:
	// true 30m0s
	// true
	// true
}

func ExampleDict_WithTTL() {
	ctx := context.Background()
	c, end := open(ctx)
	defer end()

	hits := client.DictOf[string, int](c, "hits")
	_ = hits.Create(ctx)
	minute := hits.WithTTL(time.Minute) // of the first hit
	for range 3 {
		n, _ := minute.Increment(ctx, "10.1.2.3", 1)
		fmt.Println(n, n <= 2)
	}
	_, expires, _ := hits.TTL(ctx, "10.1.2.3")
	fmt.Println(expires)

	p := c.Pipeline()
	n := minute.With(p).Increment("10.1.2.4", 1)
	left := hits.With(p).TTL("10.1.2.4")
	if err := p.Do(ctx); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(n.Value(), left.Value().Expires)
	// Output:
	// 1 true
	// 2 true
	// 3 false
	// true
	// 1 true
}

func ExampleDict_KeepTTL() {
	ctx := context.Background()
	c, end := open(ctx)
	defer end()

	carts := client.DictOf[string, int](c, "carts")
	_ = carts.Create(ctx)
	_ = carts.SetWithTTL(ctx, "ada", 1, time.Hour)
	_ = carts.KeepTTL().Set(ctx, "ada", 2)
	_, expires, _ := carts.TTL(ctx, "ada")
	fmt.Println(expires)
	_ = carts.Set(ctx, "ada", 3) // which removes the deadline
	_, expires, _ = carts.TTL(ctx, "ada")
	fmt.Println(expires)
	// Output:
	// true
	// false
}

func ExampleDict_Persist() {
	ctx := context.Background()
	c, end := open(ctx)
	defer end()

	logins := client.DictOf[string, bool](c, "logins")
	_ = logins.CreateWith(ctx, client.DictOptions{TTL: time.Hour})
	_ = logins.Set(ctx, "ada", true)
	left, expires, _ := logins.TTL(ctx, "ada")
	fmt.Println(expires, left.Round(time.Minute))
	_ = logins.Touch(ctx, "ada") // the hour begins anew
	_ = logins.Persist(ctx, "ada")
	_, expires, _ = logins.TTL(ctx, "ada")
	fmt.Println(expires)
	// Output:
	// true 1h0m0s
	// false
}

func ExampleDict_Configure() {
	ctx := context.Background()
	c, end := open(ctx)
	defer end()

	pages := client.DictOf[string, string](c, "pages")
	made, _ := pages.EnsureWith(ctx, client.DictOptions{MaxEntries: 100_000, TTL: time.Hour})
	o, _ := pages.Options(ctx)
	fmt.Println(made, o.MaxEntries, o.TTL, o.Policy)

	_ = pages.Configure(ctx, client.DictOptions{MaxEntries: client.None, MaxBytes: 1 << 30})
	o, _ = pages.Options(ctx)
	fmt.Println(o.MaxEntries, o.MaxBytes, o.TTL, o.Policy)
	// Output:
	// true 100000 1h0m0s s3fifo
	// 0 1073741824 1h0m0s s3fifo
}
