// Package sequence puts the operations of all writers into one sequence, in the order of their
// LSNs and without a gap, and hands it in batches to sinks.
//
//	Operation           what a request does, with its LSNs, its time and its semantics
//	Buffer              collects the operations of one writer
//	Sequencer           collects from the buffers, and orders; one goroutine
//	Batch               operations that follow one another; no operation is copied into it
//	File                the first sink: it stores the sequence, on the sequencer's goroutine
//	Sink, Attachment    a further sink, with a goroutine and a queue of its own
//
// An operation waits while another with a lower LSN is missing. So whatever a sink has taken is a
// complete beginning of the sequence.
//
// A sink that is slow, fails or panics is detached, and does not affect anything else. One that
// acknowledges is different: Sequencer.Durable waits for it, and its failure breaks the sequence as
// a failing disk does.
//
// The package reads a clock only to schedule its own work; an operation's time is the writer's.
package sequence
