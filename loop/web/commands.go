package web

import (
	"maps"
	"slices"

	"cyberdb-fast/loop/stats"
)

// writeCommands writes what the event loops have recorded of each command that was used, and of
// lookups.
func writeCommands(out *text, totals *stats.Totals) {
	lookups := totals.Tables()
	lookups.Add(totals.Other)
	writeCounter(out, "cyberdb_hits_total", "Keys that were looked up and found, in all tables.", lookups.Hits)
	writeCounter(out, "cyberdb_misses_total", "Keys that were looked up and not there, in all tables.", lookups.Misses)

	commands := totals.Commands
	out.family("cyberdb_commands_total", counter, "Requests answered, by command and status.")
	for _, c := range commands {
		for _, status := range slices.Sorted(maps.Keys(c.Statuses)) {
			out.sample(float64(c.Statuses[status]), label("command", c.Name).and("status", status))
		}
	}
	out.family("cyberdb_command_received_bytes_total", counter, "Bytes of requests, by command.")
	for _, c := range commands {
		out.sample(float64(c.BytesIn), label("command", c.Name))
	}
	out.family("cyberdb_command_sent_bytes_total", counter, "Bytes of replies, by command.")
	for _, c := range commands {
		out.sample(float64(c.BytesOut), label("command", c.Name))
	}
	out.family("cyberdb_command_duration_seconds", histogram,
		"Time from the arrival of a request until its reply is ready, by command.")
	for _, c := range commands {
		out.distribution(c.Latency.Buckets, c.Latency.SumSeconds, c.Latency.Count, label("command", c.Name))
	}
}
