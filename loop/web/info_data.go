package web

import "cyberdb-fast/loop"

// writeData writes the figures of INFO that a server has which keeps its tables on disk.
func writeData(out *text, i *loop.Info) {
	d := i.Data
	writeGauge(out, "cyberdb_read_only",
		"1 if changes are refused: the journal is broken, or the disk is full.", truth(d.ReadOnly != ""))

	writeGauge(out, "cyberdb_saved_clock", "LSN up to which the data file holds all changes.", d.SavedClock)
	writeGauge(out, "cyberdb_unsaved_changes",
		"Changes that the data file does not hold yet.", d.UnsavedChanges)
	writeGauge(out, "cyberdb_saved_bytes", "Size of the data file.", d.SavedBytes)
	writeGauge(out, "cyberdb_saved_ago_seconds", "Time since a save was tried last.", d.SavedAgoSeconds)
	writeGauge(out, "cyberdb_save_seconds", "How long the last save took.", d.SaveSeconds)
	writeGauge(out, "cyberdb_save_failed", "1 if the last save failed.", truth(d.SaveError != ""))

	writeGauge(out, "cyberdb_durable_clock", "LSN up to which all changes are on disk.", d.DurableClock)
	writeGauge(out, "cyberdb_journal_lag_changes", "Changes that are not on disk yet.", d.LagChanges)
	writeGauge(out, "cyberdb_journal_bytes", "Size of the journal.", d.JournalBytes)
	writeGauge(out, "cyberdb_journal_pending_bytes",
		"Changes that wait to be written to the journal.", d.PendingBytes)
	writeGauge(out, "cyberdb_journal_pending_limit_bytes",
		"Above it, changes are refused.", i.Budgets.BacklogBytes.Limit)
	out.family("cyberdb_journal_sync_duration_seconds", histogram, "How long syncs of the journal took.")
	out.distribution(d.Syncs.Buckets, d.Syncs.SumSeconds, d.Syncs.Count, none)
	writeGauge(out, "cyberdb_journal_failed",
		"1 if the journal is broken, until the server is restarted.", truth(d.JournalError != ""))
	writeGauge(out, "cyberdb_segment_failed",
		"1 if the next segment of the journal cannot be begun.", truth(d.SegmentError != ""))
	writeCounter(out, "cyberdb_not_durable_total",
		"Changes that were applied, and could not be written.", d.NotDurable)

	writeGauge(out, "cyberdb_skipped_requests",
		"Requests of the journal that the start has skipped, since they panic.", d.Skipped)
	writeGauge(out, "cyberdb_lost_operations",
		"Operations that were lost, as the start has found, at least.", d.LostOperations)
	writeGauge(out, "cyberdb_lost_bytes", "Bytes of the journal that the start has cut off.", d.LostBytes)
}
