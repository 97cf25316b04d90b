package web

import "cyberdb-fast/loop"

// figure is a family with one sample: a figure of INFO.
type figure struct {
	name  string
	kind  kind
	help  string
	value func(*loop.Info) float64
}

// figures are those of every server.
var figures = []figure{
	{
		"cyberdb_uptime_seconds", gauge, "Time since the server was started.",
		func(i *loop.Info) float64 { return i.UptimeSeconds },
	},
	{
		"cyberdb_event_loops", gauge, "Event loops of the server.",
		func(i *loop.Info) float64 { return float64(i.EventLoops) },
	},
	{
		"cyberdb_encrypted", gauge, "1 if connections are encrypted (--encrypt).",
		func(i *loop.Info) float64 { return truth(i.Encrypted) },
	},
	{
		"cyberdb_connections", gauge, "Open connections.",
		func(i *loop.Info) float64 { return float64(i.Connections) },
	},
	{
		"cyberdb_connections_limit", gauge, "Most connections at once (--max-con).",
		func(i *loop.Info) float64 { return float64(i.MaxConns) },
	},
	{
		"cyberdb_requests_total", counter, "Requests executed.",
		func(i *loop.Info) float64 { return float64(i.Requests) },
	},
	{
		"cyberdb_long_requests", gauge, "Requests that run in the background now.",
		func(i *loop.Info) float64 { return float64(i.LongRequests) },
	},
	{
		"cyberdb_waiting_requests", gauge, "Requests that wait for a time or an event now.",
		func(i *loop.Info) float64 { return float64(i.WaitingRequests) },
	},
	{
		"cyberdb_tables", gauge, "Tables, dicts and lists.",
		func(i *loop.Info) float64 { return float64(i.Tables) },
	},
	{
		"cyberdb_poisoned_tables", gauge, "Tables that are closed since a panic left them partially changed.",
		func(i *loop.Info) float64 { return float64(i.PoisonedTables) },
	},
	{
		"cyberdb_views", gauge, "Open views: long reads and saves.",
		func(i *loop.Info) float64 { return float64(i.Views) },
	},
	{
		"cyberdb_clock", gauge, "LSN of the last change.",
		func(i *loop.Info) float64 { return float64(i.Clock) },
	},
	{
		"cyberdb_refused_total", counter, "Connections that were refused, failed logins among them.",
		func(i *loop.Info) float64 { return float64(i.Refused) },
	},
	{
		"cyberdb_failed_logins_total", counter, "Logins with a wrong password.",
		func(i *loop.Info) float64 { return float64(i.FailedLogins) },
	},
	{
		"cyberdb_waiting_logins", gauge, "Logins that wait for their turn now.",
		func(i *loop.Info) float64 { return float64(i.WaitingLogins) },
	},
	{
		"cyberdb_accept_errors_total", counter, "Connections that could not be accepted.",
		func(i *loop.Info) float64 { return float64(i.AcceptErrors) },
	},
	{
		"cyberdb_idle_closed_total", counter, "Connections closed since they were idle (--timeout).",
		func(i *loop.Info) float64 { return float64(i.IdleClosed) },
	},
	{
		"cyberdb_overrun_closed_total", counter, "Connections closed for unread replies or too many requests ahead.",
		func(i *loop.Info) float64 { return float64(i.Overrun) },
	},
	{
		"cyberdb_bad_frames_total", counter, "Malformed messages.",
		func(i *loop.Info) float64 { return float64(i.BadFrames) },
	},
	{
		"cyberdb_panics_total", counter, "Panics, all of them caught.",
		func(i *loop.Info) float64 { return float64(i.Panics) },
	},
	{
		"cyberdb_dropped_log_lines_total", counter, "Lines of the log that could not be written in time.",
		func(i *loop.Info) float64 { return float64(i.DroppedLogLines) },
	},
	{
		"cyberdb_memory_limit_bytes", gauge, "Memory that the server may use (--max-memory); 0: no limit.",
		func(i *loop.Info) float64 { return float64(i.MaxMemoryBytes) },
	},
	{
		"cyberdb_unsent_bytes", gauge, "Replies that are not sent yet, since clients do not read.",
		func(i *loop.Info) float64 { return float64(i.UnsentBytes) },
	},
	{
		"cyberdb_buffered_input_bytes", gauge, "Requests that are incomplete, or wait.",
		func(i *loop.Info) float64 { return float64(i.BufferedInputBytes) },
	},
	{
		"cyberdb_heap_bytes", gauge, "Memory of the Go heap.",
		func(i *loop.Info) float64 { return float64(i.HeapBytes) },
	},
	{
		"cyberdb_slab_bytes", gauge, "Memory of tables, outside the Go heap.",
		func(i *loop.Info) float64 { return float64(i.SlabBytes) },
	},
	{
		"cyberdb_slab_free_bytes", gauge, "The part of cyberdb_slab_bytes in no use.",
		func(i *loop.Info) float64 { return float64(i.SlabFreeBytes) },
	},
	{
		"cyberdb_goroutines", gauge, "Goroutines.",
		func(i *loop.Info) float64 { return float64(i.Goroutines) },
	},
}

// dataFigures are those of a server that keeps its tables on disk.
var dataFigures = []figure{
	{
		"cyberdb_saved_clock", gauge, "LSN up to which the data file holds all changes.",
		func(i *loop.Info) float64 { return float64(i.Data.SavedClock) },
	},
	{
		"cyberdb_saved_bytes", gauge, "Size of the data file.",
		func(i *loop.Info) float64 { return float64(i.Data.SavedBytes) },
	},
	{
		"cyberdb_saved_ago_seconds", gauge, "Time since a save was tried last.",
		func(i *loop.Info) float64 { return i.Data.SavedAgoSeconds },
	},
	{
		"cyberdb_save_seconds", gauge, "How long the last save took.",
		func(i *loop.Info) float64 { return i.Data.SaveSeconds },
	},
	{
		"cyberdb_save_failed", gauge, "1 if the last save failed.",
		func(i *loop.Info) float64 { return truth(i.Data.SaveError != "") },
	},
	{
		"cyberdb_durable_clock", gauge, "LSN up to which all changes are on disk.",
		func(i *loop.Info) float64 { return float64(i.Data.DurableClock) },
	},
	{
		"cyberdb_journal_bytes", gauge, "Size of the journal.",
		func(i *loop.Info) float64 { return float64(i.Data.JournalBytes) },
	},
	{
		"cyberdb_journal_pending_bytes", gauge, "Changes that wait to be written to the journal.",
		func(i *loop.Info) float64 { return float64(i.Data.PendingBytes) },
	},
	{
		"cyberdb_read_only", gauge, "1 if changes are refused: the journal is broken, or the disk is full.",
		func(i *loop.Info) float64 { return truth(i.Data.ReadOnly != "") },
	},
	{
		"cyberdb_journal_failed", gauge, "1 if the journal is broken, until the server is restarted.",
		func(i *loop.Info) float64 { return truth(i.Data.JournalError != "") },
	},
	{
		"cyberdb_segment_failed", gauge, "1 if the next segment of the journal cannot be begun.",
		func(i *loop.Info) float64 { return truth(i.Data.SegmentError != "") },
	},
	{
		"cyberdb_not_durable_total", counter, "Changes that were applied, and could not be written.",
		func(i *loop.Info) float64 { return float64(i.Data.NotDurable) },
	},
	{
		"cyberdb_skipped_requests", gauge, "Requests of the journal that the start has skipped, since they panic.",
		func(i *loop.Info) float64 { return float64(i.Data.Skipped) },
	},
	{
		"cyberdb_lost_operations", gauge, "Operations that were lost, as the start has found, at least.",
		func(i *loop.Info) float64 { return float64(i.Data.LostOperations) },
	},
	{
		"cyberdb_lost_bytes", gauge, "Bytes of the journal that the start has cut off.",
		func(i *loop.Info) float64 { return float64(i.Data.LostBytes) },
	},
}

// writeInfo writes the figures of INFO.
func writeInfo(out *text, info *loop.Info) {
	out.family("cyberdb_info", gauge, "1; its labels describe the server.")
	out.sample(1, "version", info.Version, "persistence", info.Persistence)
	writeFigures(out, figures, info)
	if info.Data != nil {
		writeFigures(out, dataFigures, info)
	}
}

func writeFigures(out *text, all []figure, info *loop.Info) {
	for _, f := range all {
		out.family(f.name, f.kind, f.help)
		out.sample(f.value(info))
	}
}

// truth returns 1 for true.
func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
