package client_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"cyberdb-fast/client"
	"cyberdb-fast/loop/looptest"
)

// open returns a client of a new, empty server. A program would call client.Open instead.
func open(ctx context.Context) (c *client.Client, end func()) {
	server, err := looptest.New()
	if err != nil {
		panic(err)
	}
	c, err = client.Open(ctx, server.URL(), nil)
	if err != nil {
		panic(err)
	}
	return c, func() {
		_ = c.Close()
		server.Stop()
	}
}

func Example() {
	ctx := context.Background()
	server, _ := looptest.New() // or cyberdb-fast, running somewhere
	defer server.Stop()

	c, err := client.Open(ctx, server.URL(), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	colours := client.DictOf[string, string](c, "colours")
	if err := colours.Create(ctx); err != nil {
		fmt.Println(err)
		return
	}
	_ = colours.Set(ctx, "sky", "blue")
	sky, _ := colours.Get(ctx, "sky")
	fmt.Println("the sky is", sky)
	_, err = colours.Get(ctx, "sea")
	fmt.Println(errors.Is(err, client.ErrKey), err)
	// Output:
	// the sky is blue
	// true cyberdb: DICT GET "colours": KeyError: 'sea'
}

func ExampleDurable() {
	dir, _ := os.MkdirTemp("", "cyberdb")
	defer os.RemoveAll(dir)
	server, _ := looptest.NewOnDisk(dir)
	defer server.Stop()

	ctx := context.Background()
	c, err := client.Open(ctx, server.URL(), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	orders := client.DictOf[int, string](c, "orders")
	paid := client.ListOf[int](c, "paid")
	_, _ = orders.Ensure(ctx)
	_, _ = paid.Ensure(ctx)

	// One request, then two that share the wait.
	if err := orders.Set(client.Durable(ctx), 1001, "a bicycle"); err != nil {
		fmt.Println("not sure to be kept:", err)
	}
	p := c.Pipeline()
	orders.With(p).Set(1002, "a bell")
	paid.With(p).Append(1001)
	fmt.Println(p.Do(client.Durable(ctx)))
	// Output:
	// <nil>
}

func ExampleDict() {
	ctx := context.Background()
	c, end := open(ctx)
	defer end()

	stock := client.DictOf[string, int](c, "stock")
	_ = stock.Create(ctx, client.Item[string, int]{Key: "apples", Value: 12})
	_ = stock.Set(ctx, "pears", 3)
	_ = stock.Update(ctx, maps.All(map[string]int{"plums": 40}))
	n, _ := stock.Increment(ctx, "apples", -2)
	fmt.Println(n, "apples")

	items, failed := stock.All(ctx) // in order of insertion, as of one moment
	for name, n := range items {
		fmt.Println(name, n)
	}
	if err := failed(); err != nil {
		fmt.Println(err)
	}
	newest, _ := stock.PopItem(ctx)
	left, _ := stock.Len(ctx)
	fmt.Println(newest.Key, "are gone,", left, "left")
	// Output:
	// 10 apples
	// apples 10
	// pears 3
	// plums 40
	// plums are gone, 2 left
}

func ExampleDict_structs() {
	ctx := context.Background()
	c, end := open(ctx)
	defer end()

	type User struct {
		Name string   `cyberdb:"name"`
		Age  int      `cyberdb:"age"`
		Tags []string `cyberdb:"tags,omitempty"`
	}
	users := client.DictOf[int, User](c, "users")
	_ = users.Create(ctx)
	_ = users.Set(ctx, 7, User{Name: "Bob", Age: 31, Tags: []string{"admin"}})
	bob, _ := users.Get(ctx, 7)
	fmt.Printf("%+v\n", bob)

	natural, _ := client.DictOf[int, any](c, "users").Get(ctx, 7) // what Python sees: a dict
	fmt.Println(natural)
	// Output:
	// {Name:Bob Age:31 Tags:[admin]}
	// [{name Bob} {age 31} {tags [admin]}]
}

func ExampleDict_CompareAndSet() {
	ctx := context.Background()
	c, end := open(ctx)
	defer end()

	leader := client.DictOf[string, string](c, "leader")
	_ = leader.Create(ctx)
	first, _ := leader.SetIfAbsent(ctx, "job", "worker 1")
	second, _ := leader.SetIfAbsent(ctx, "job", "worker 2")
	fmt.Println(first, second)

	taken, _ := leader.CompareAndSet(ctx, "job", "worker 1", "worker 3")
	fmt.Println(taken)
	released, _ := leader.DeleteIfEqual(ctx, "job", "worker 1")
	fmt.Println(released)
	// Output:
	// true false
	// true
	// false
}

func ExampleDict_SetIf() {
	ctx := context.Background()
	c, end := open(ctx)
	defer end()

	page := client.DictOf[string, string](c, "pages")
	_ = page.Create(ctx)
	_ = page.Set(ctx, "home", "welcome")
	text, version, _ := page.GetVersioned(ctx, "home")
	_ = page.Set(ctx, "home", "another client's text") // meanwhile
	_, err := page.SetIf(ctx, "home", text+" all", version)
	fmt.Println(errors.Is(err, client.ErrVersionMismatch))

	_, err = page.SetIf(ctx, "news", "none", client.Present) // only what is there
	fmt.Println(errors.Is(err, client.ErrVersionMismatch))

	text, _ = page.Modify(ctx, "home", func(text string, found bool) (string, error) { return text + " all", nil })
	fmt.Println(text)
	// Output:
	// true
	// true
	// another client's text all
}

func ExampleList() {
	ctx := context.Background()
	c, end := open(ctx)
	defer end()

	queue := client.ListOf[string](c, "queue")
	_ = queue.Create(ctx, "write", "test")
	_ = queue.Append(ctx, "release")
	_ = queue.AppendLeft(ctx, "think")
	next, _ := queue.PopLeft(ctx)
	last, _ := queue.Get(ctx, -1)
	fmt.Println(next, "...", last)

	backwards, _ := queue.Slice(ctx, client.None, client.None, -1) // queue[::-1]
	fmt.Println(backwards)
	_, err := queue.Index(ctx, "rest")
	fmt.Println(errors.Is(err, client.ErrValue))
	// Output:
	// think ... release
	// [release test write]
	// true
}

func ExampleList_Sort() {
	ctx := context.Background()
	c, end := open(ctx)
	defer end()

	type Person struct {
		Name string
		Age  int
	}
	people := client.ListOf[Person](c, "people")
	_ = people.Create(ctx, Person{"Cleo", 30}, Person{"abe", 30}, Person{"Bo", 20})

	_ = people.Sort(ctx, client.By("Name").Lower(), client.Ascending)
	sorted, _ := people.Values(ctx)
	fmt.Println(sorted)
	_ = people.Sort(ctx, client.Tuple(client.By("Age").Neg(), client.By("Name").Len()), client.Ascending)
	sorted, _ = people.Values(ctx)
	fmt.Println(sorted)

	mixed := client.ListOf[any](c, "mixed")
	_ = mixed.Create(ctx, "a", 1)
	err := mixed.Sort(ctx, client.Itself, client.Ascending)
	fmt.Println(errors.Is(err, client.ErrType))
	// Output:
	// [{abe 30} {Bo 20} {Cleo 30}]
	// [{abe 30} {Cleo 30} {Bo 20}]
	// true
}

func ExamplePipeline() {
	ctx := context.Background()
	c, end := open(ctx)
	defer end()

	visits := client.DictOf[string, int](c, "visits")
	log := client.ListOf[string](c, "log")
	_ = visits.Create(ctx)
	_ = log.Create(ctx)

	p := c.Pipeline()
	n := visits.With(p).Increment("/", 1)
	log.With(p).Append("GET /")
	unknown := visits.With(p).Lookup("/about")
	length := log.With(p).Len()
	if err := p.Do(ctx); err != nil { // one write, one wait
		fmt.Println(err)
		return
	}
	fmt.Println(n.Value(), unknown.Value().Found, length.Value())
	// Output:
	// 1 false 1
}

func ExampleClient_Tables() {
	ctx := context.Background()
	c, end := open(ctx)
	defer end()

	_ = c.CreateDict(ctx, "settings", client.Item[any, any]{Key: "debug", Value: true})
	_ = c.CreateList(ctx, "jobs", 1, "two", 3.0)
	_ = c.Rename(ctx, "jobs", "work")
	tables, _ := c.Tables(ctx)
	names := slices.Collect(func(yield func(string) bool) {
		for _, t := range tables {
			if !yield(fmt.Sprintf("%s: a %s of %d", t.Name, t.Kind, t.Len)) {
				return
			}
		}
	})
	fmt.Println(names)
	_, err := client.ListOf[int](c, "settings").Len(ctx)
	fmt.Println(errors.Is(err, client.ErrWrongTableKind))
	// Output:
	// [settings: a dict of 1 work: a list of 3]
	// true
}
