package client_test

import (
	"context"
	"fmt"

	"cyberdb-fast/client"
)

func ExampleClient_Subscribe() {
	ctx := context.Background()
	c, end := open(ctx)
	defer end()

	news, err := c.Subscribe(ctx, client.Channels{Names: []string{"weather"}, Prefixes: []string{"sport."}})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, _ = c.Publish(ctx, "weather", "rain")
	_, _ = c.Publish(ctx, "politics", "elections")
	n, _ := c.Publish(ctx, "sport.chess", "a draw")
	fmt.Println("the last one went to", n)

	messages, failed := news.Messages(ctx)
	for m := range messages {
		fmt.Println(m.Channel, "-", m.Value)
		if m.Channel == "sport.chess" {
			_ = news.Close()
		}
	}
	fmt.Println(failed())
	// Output:
	// the last one went to 1
	// weather - rain
	// sport.chess - a draw
	// <nil>
}
