package client_test

import (
	"context"
	"fmt"
	"time"

	"cyberdb-fast/client"
)

func ExampleList_Take() {
	ctx := context.Background()
	c, end := open(ctx)
	defer end()

	jobs := client.ListOf[string](c, "jobs")
	_ = jobs.CreateWith(ctx, client.ListOptions{MaxDeliveries: 2, DeadLetter: "failed"})
	_ = jobs.Put(ctx, "send a letter", 0)
	_ = jobs.Put(ctx, "divide by zero", 0)
	_ = jobs.Put(ctx, "remind Bob", time.Hour)

	for {
		job, ok, err := jobs.Take(ctx, time.Minute, 0)
		if err != nil || !ok {
			break
		}
		fmt.Printf("%s, delivery %d\n", job.Value, job.Deliveries)
		if job.Value == "divide by zero" {
			_ = jobs.Nack(ctx, job.Receipt, 0) // to be tried again
			continue
		}
		_ = jobs.Ack(ctx, job.Receipt)
	}
	failed, _ := client.ListOf[string](c, "failed").Values(ctx)
	held, _ := jobs.Held(ctx)
	fmt.Println("failed:", failed, "delayed:", held.Delayed)
	// Output:
	// send a letter, delivery 1
	// divide by zero, delivery 1
	// divide by zero, delivery 2
	// failed: [divide by zero] delayed: 1
}
