package web

import (
	"maps"
	"slices"

	"cyberdb-fast/loop"
)

// writeWaits writes which requests wait.
func writeWaits(out *text, i *loop.Info) {
	out.family("cyberdb_waits", gauge, "Requests that wait for a time or an event now, by command.")
	for _, command := range slices.Sorted(maps.Keys(i.Waits)) {
		out.sample(float64(i.Waits[command]), label("command", command))
	}
	writeGauge(out, "cyberdb_locks_held", "Locks, and leases of computations, that are held.", i.LocksHeld)
	writeCounter(out, "cyberdb_grants_returned_total",
		"Locks, leases and items given back because their replies could not be sent.", i.GrantsReturned)
}

// writeMessages writes the figures of publish and subscribe.
func writeMessages(out *text, i *loop.Info) {
	m := &i.Messages
	writeGauge(out, "cyberdb_subscriptions", "Subscriptions of connected clients.", m.Subscriptions)
	writeGauge(out, "cyberdb_subscribed_channels", "Channels that are subscribed to by name.", m.Channels)
	writeGauge(out, "cyberdb_subscribed_prefixes", "Prefixes of channels that are subscribed to.", m.Prefixes)
	writeGauge(out, "cyberdb_queued_messages", "Messages that wait for a subscriber, each counted once.", m.Queued)
	writeGauge(out, "cyberdb_message_bytes", "Memory of these messages and of the subscriptions.", m.Bytes)
	writeGauge(out, "cyberdb_message_limit_bytes", "Above it, the oldest messages are dropped.", m.LimitBytes)
	writeCounter(out, "cyberdb_messages_published_total", "Messages that were published.", m.Published)
	writeCounter(out, "cyberdb_messages_delivered_total",
		"Messages that were received; one may count for several subscriptions.", m.Delivered)
	writeCounter(out, "cyberdb_messages_missed_total",
		"Messages that subscriptions have missed; one may count for several.", m.Missed)
}
