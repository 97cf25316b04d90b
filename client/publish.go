package client

import (
	"context"

	"cyberdb-fast/codec"
)

// Publish sends v to all who subscribe to the channel, and returns to how many. The name of a
// channel has 1 to 1024 bytes. A message is not logged: subscribers that are not connected miss it.
func (c *Client) Publish(ctx context.Context, channel string, v any) (int, error) {
	q := c.write(codec.OpPublish, nil)
	add(q, channel)
	add(q, v)
	return request(ctx, q, decodeOne[int])
}

// Channels say to what a subscription is: to the channels of these names, and to all whose names
// begin with one of the prefixes. A message of a channel that fits twice comes once.
type Channels struct {
	Names    []string
	Prefixes []string
}

// Message is a message of a channel.
type Message[T any] struct {
	Channel string
	Value   T
	// Missed is how many messages the subscription has missed just before this one, because it was
	// too slow: the server keeps 1,024 messages of at most 1 MiB together.
	Missed int
	// Gap means that the connection was lost before this message: an unknown number of messages was
	// missed, too.
	Gap bool
}
