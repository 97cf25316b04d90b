// Package pubsub passes messages from publishers to subscriptions. It keeps them in memory alone,
// and delivers each at most once.
//
// A [Hub] has all subscriptions of a server. A [Subscriber] has those of one connection, and ends
// them with it. A [Subscription] takes what is published to its channels, and to all channels whose
// names begin with one of its prefixes. Its queue is bounded: a subscription that does not receive
// in time misses the oldest messages, and learns how many, and where.
//
// The bytes of a message are kept once for all the queues that it is in. When the messages of all
// queues have more than the hub's limit, the oldest of them are dropped, so a subscription that
// receives in time is not affected by those that do not.
//
// Locks, in the order in which they are taken: Subscriber.mu, Hub.mu, Subscription.mu, memory.mu.
// None is held for longer than it takes to look at some hundred names. All methods may be called
// from any goroutine.
package pubsub
