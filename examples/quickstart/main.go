// Command quickstart uses a dict of structs, a counter and a list. README.md shows its first lines.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"

	"cyberdb-fast/client"
)

// User is one value of the dict "users".
type User struct {
	Name string `cyberdb:"name"`
	Age  int    `cyberdb:"age"`
}

func main() {
	url := "cyberdb://127.0.0.1:9980" // password: CYBERDB_PASSWORD or CYBERDB_PASSWORD_FILE
	if len(os.Args) > 1 {
		url = os.Args[1] // the connect line that the server prints
	}
	ctx := context.Background()
	db, err := client.Open(ctx, url, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	if err := run(ctx, db, os.Stdout); err != nil {
		log.Print(err)
	}
}

func run(ctx context.Context, db *client.Client, out io.Writer) error {
	users := client.DictOf[string, User](db, "users") // a handle; goroutines may share it
	if _, err := users.Ensure(ctx); err != nil {      // creates the dict if it is missing
		return err
	}
	if err := users.Set(ctx, "ada", User{"Ada", 36}); err != nil {
		return err
	}
	ada, err := users.Get(ctx, "ada")
	if err != nil {
		return err
	}
	fmt.Fprintln(out, ada.Name, "is", ada.Age)

	if _, err := users.Get(ctx, "eve"); errors.Is(err, client.ErrKey) {
		fmt.Fprintln(out, err)
	}

	// Every method is one atomic request, so concurrent increments are never lost.
	visits := client.DictOf[string, int](db, "visits")
	if _, err := visits.Ensure(ctx); err != nil {
		return err
	}
	if _, err := visits.Increment(ctx, "home", 1); err != nil {
		return err
	}

	// A pipeline sends any number of requests in one write and waits once for all replies.
	queue := client.ListOf[string](db, "queue")
	if _, err := queue.Ensure(ctx); err != nil {
		return err
	}
	p := db.Pipeline()
	queue.With(p).Clear()
	queue.With(p).Extend("cherry", "apple", "banana")
	queue.With(p).Sort(client.Itself, client.Ascending)
	first := queue.With(p).PopLeft()
	rest := queue.With(p).Slice(client.None, client.None, client.None)
	if err := p.Do(ctx); err != nil {
		return err
	}
	fmt.Fprintln(out, first.Value(), rest.Value())
	return nil
}
