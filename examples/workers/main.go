// Command workers is a pool of workers. A job that fails is tried again after a second; after three
// times it goes to the table "failed". A job whose worker ends is tried again after a minute.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"sync"
	"time"

	"cyberdb-fast/client"
)

var options = client.ListOptions{MaxDeliveries: 3, DeadLetter: "failed"}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	db, err := client.Open(ctx, os.Getenv("CYBERDB_URL"), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	jobs := client.ListOf[string](db, "jobs")
	if _, err := jobs.EnsureWith(ctx, options); err != nil {
		log.Fatal(err)
	}
	run(ctx, jobs, 8, func(_ context.Context, job string) error { _, err := fmt.Println(job); return err })
}

// run handles jobs, n at a time, until ctx ends.
func run(ctx context.Context, jobs *client.List[string], n int, handle func(context.Context, string) error) {
	done := context.WithoutCancel(ctx) // a job that was begun is ended
	var workers sync.WaitGroup
	for range n {
		workers.Go(func() {
			for ctx.Err() == nil {
				job, ok, err := jobs.Take(ctx, time.Minute, client.Forever)
				if err == nil && ok {
					if failure := handle(ctx, job.Value); failure != nil {
						err = jobs.Nack(done, job.Receipt, time.Second)
					} else {
						err = jobs.Ack(done, job.Receipt)
					}
				}
				if err != nil && ctx.Err() == nil {
					log.Print(err)
					time.Sleep(time.Second)
				}
			}
		})
	}
	workers.Wait()
}
