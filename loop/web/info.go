package web

import (
	"maps"
	"slices"

	"cyberdb-fast/loop"
)

// number is what a figure may be.
type number interface {
	~int | ~int64 | ~uint64 | ~float64
}

// writeGauge writes a family with one sample, which goes up and down.
func writeGauge[N number](out *text, name, help string, value N) {
	out.family(name, gauge, help)
	out.sample(float64(value), none)
}

// writeCounter writes a family with one sample, which only grows.
func writeCounter[N number](out *text, name, help string, value N) {
	out.family(name, counter, help)
	out.sample(float64(value), none)
}

// truth returns 1 for true.
func truth(b bool) int {
	if b {
		return 1
	}
	return 0
}

// writeInfo writes the figures of INFO.
func writeInfo(out *text, i *loop.Info) {
	out.family("cyberdb_info", gauge, "1; its labels describe the server.")
	out.sample(1, label("version", i.Version).and("persistence", i.Persistence))
	writeGauge(out, "cyberdb_uptime_seconds", "Time since the server was started.", i.UptimeSeconds)
	writeGauge(out, "cyberdb_encrypted", "1 if connections are encrypted (--encrypt).", truth(i.Encrypted))
	writeProcess(out, i)
	writeConnections(out, i)
	writeWork(out, i)
	writeWaits(out, i)
	writeMessages(out, i)
	writeMemory(out, i)
	if i.Data != nil {
		writeData(out, i)
	}
}

func writeProcess(out *text, i *loop.Info) {
	writeGauge(out, "cyberdb_event_loops", "Event loops of the server.", i.EventLoops)
	writeGauge(out, "cyberdb_goroutines", "Goroutines of the process.", i.Goroutines)
	writeCounter(out, "cyberdb_cpu_seconds_total", "Processor time used, that of the kernel included.", i.CPUSeconds)
	writeCounter(out, "cyberdb_gc_cycles_total", "Garbage collections.", i.GCCycles)
	writeCounter(out, "cyberdb_gc_pause_seconds_total", "Pauses of the garbage collector.", i.GCPauseSeconds)
	writeCounter(out, "cyberdb_panics_total", "Panics, all of them caught.", i.Panics)
	writeCounter(out, "cyberdb_dropped_log_lines_total",
		"Lines of the log that could not be written in time.", i.DroppedLogLines)
}

func writeConnections(out *text, i *loop.Info) {
	writeGauge(out, "cyberdb_connections", "Open connections.", i.Connections)
	writeGauge(out, "cyberdb_connections_limit", "Most connections at once (--max-con).", i.MaxConns)
	out.family("cyberdb_connection_states", gauge, "Open connections by what they wait for.")
	for _, state := range slices.Sorted(maps.Keys(i.ConnectionStates)) {
		out.sample(float64(i.ConnectionStates[state]), label("state", state))
	}
	writeCounter(out, "cyberdb_logins_total", "Logins that have worked.", i.Logins)
	writeCounter(out, "cyberdb_failed_logins_total", "Logins with a wrong password.", i.FailedLogins)
	writeGauge(out, "cyberdb_waiting_logins", "Logins that wait for their turn now.", i.WaitingLogins)
	writeCounter(out, "cyberdb_refused_total", "Connections that were refused, failed logins among them.", i.Refused)
	writeCounter(out, "cyberdb_accept_errors_total", "Connections that could not be accepted.", i.AcceptErrors)
	writeCounter(out, "cyberdb_idle_closed_total",
		"Connections closed since they were idle (--timeout).", i.IdleClosed)
	writeCounter(out, "cyberdb_overrun_closed_total",
		"Connections closed for unread replies, or for too many requests ahead.", i.Overrun)
	writeCounter(out, "cyberdb_bad_frames_total", "Malformed messages.", i.BadFrames)
}

func writeWork(out *text, i *loop.Info) {
	writeCounter(out, "cyberdb_requests_total", "Requests executed.", i.Requests)
	writeGauge(out, "cyberdb_long_requests", "Requests that run in the background now.", i.LongRequests)
	writeGauge(out, "cyberdb_background_processors",
		"Processors that requests in the background use now.", i.Budgets.Processors.Used)
	writeGauge(out, "cyberdb_background_processors_limit",
		"Most processors that requests in the background use.", i.Budgets.Processors.Limit)
	writeGauge(out, "cyberdb_waiting_requests", "Requests that wait for a time or an event now.", i.WaitingRequests)
	writeGauge(out, "cyberdb_long_reads", "Long reads whose replies are being made.", i.Budgets.LongReads.Used)
	writeGauge(out, "cyberdb_long_reads_limit", "Most long reads at once.", i.Budgets.LongReads.Limit)
	writeGauge(out, "cyberdb_tables", "Tables, dicts and lists.", i.Tables)
	writeGauge(out, "cyberdb_poisoned_tables",
		"Tables that are closed since a panic left them partially changed.", i.PoisonedTables)
	writeGauge(out, "cyberdb_views", "Open views: long reads and saves.", i.Views)
	writeGauge(out, "cyberdb_clock", "LSN of the last change.", i.Clock)
}

func writeMemory(out *text, i *loop.Info) {
	writeGauge(out, "cyberdb_resident_bytes", "Resident memory of the process.", i.ResidentBytes)
	m := &i.Memory
	out.family("cyberdb_memory_bytes", gauge, "Resident memory of the process, by its part.")
	out.sample(float64(m.HeapBytes), label("part", "heap"))
	out.sample(float64(m.HeapIdleBytes), label("part", "heap_idle"))
	out.sample(float64(m.StackBytes), label("part", "stack"))
	out.sample(float64(m.SlabBytes), label("part", "slab"))
	out.sample(float64(m.OtherBytes), label("part", "other"))
	writeGauge(out, "cyberdb_slab_bytes", "Memory of tables, outside the Go heap.", i.SlabBytes)
	writeGauge(out, "cyberdb_slab_free_bytes", "The part of cyberdb_slab_bytes in no use.", i.SlabFreeBytes)

	b := &i.Budgets
	writeGauge(out, "cyberdb_used_memory_bytes",
		"Memory in use, as it is compared with --max-memory; 0 without it.", b.MemoryBytes.Used)
	writeGauge(out, "cyberdb_used_memory_limit_bytes", "That limit (--max-memory); 0: none.", b.MemoryBytes.Limit)
	writeGauge(out, "cyberdb_unsent_bytes",
		"Replies that are not sent yet, since clients do not read.", b.UnsentBytes.Used)
	writeGauge(out, "cyberdb_unsent_limit_bytes", "Above it, clients wait.", b.UnsentBytes.Limit)
	writeGauge(out, "cyberdb_buffered_input_bytes",
		"Requests that are incomplete, or wait.", b.BufferedInputBytes.Used)
	writeGauge(out, "cyberdb_buffered_input_limit_bytes", "Above it, requests are refused.", b.BufferedInputBytes.Limit)
	writeGauge(out, "cyberdb_unauthenticated_bytes",
		"Requests of clients of CyberDB's own protocol that have not logged in.", b.UnauthenticatedBytes.Used)
	writeGauge(out, "cyberdb_unauthenticated_limit_bytes",
		"Above it, these clients are closed; 0 without --legacy.", b.UnauthenticatedBytes.Limit)
}
