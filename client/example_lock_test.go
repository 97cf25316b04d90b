package client_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cyberdb-fast/client"
)

func ExampleClient_Lock() {
	ctx := context.Background()
	c, end := open(ctx)
	defer end()
	accounts := client.DictOf[string, int](c, "accounts")
	_ = accounts.Create(ctx)

	lock, err := c.Lock(ctx, "accounts", client.LockOptions{TTL: 10 * time.Second})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = c.TryLock(ctx, "accounts", client.LockOptions{})
	fmt.Println("another owner:", errors.Is(err, client.ErrLockHeld))

	// The server refuses the request if the lock is lost, however late it comes.
	fmt.Println("with the lock:", accounts.Set(lock.IfFence(ctx), "bob", 100))
	fmt.Println("unlock:", lock.Unlock(ctx))
	err = accounts.Set(lock.IfFence(ctx), "bob", 0)
	fmt.Println("without it:", errors.Is(err, client.ErrLockLost))
	// Output:
	// another owner: true
	// with the lock: <nil>
	// unlock: <nil>
	// without it: true
}

func ExampleLock_Context() {
	ctx := context.Background()
	c, end := open(ctx)
	defer end()

	// A hard lease: the client does not renew it.
	lock, err := c.Lock(ctx, "report", client.LockOptions{TTL: 50 * time.Millisecond, NoRenew: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	work, cancel := lock.Context(ctx)
	defer cancel()
	<-work.Done() // work that takes too long
	fmt.Println(errors.Is(context.Cause(work), client.ErrLockLost))
	fmt.Println(errors.Is(lock.Unlock(ctx), client.ErrLockLost))
	// Output:
	// true
	// true
}
