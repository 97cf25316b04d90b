package loop

import (
	"log/slog"

	"cyberdb-fast/codec"
	"cyberdb-fast/persist"
)

func (srv *Server) flushJournal() {
	if srv.journal != nil {
		srv.journal.Flush()
	}
}

// writable returns an error if changes must be refused, because they could not be written to disk
// or their LSNs are not reserved there.
func (srv *Server) writable() error {
	if srv.numbers == nil ||
		srv.numbers.Allow(srv.store.Clock()) &&
			(srv.journal == nil || srv.journal.Writable() && !srv.backlogged.Load()) {
		return nil
	}
	return srv.whyRefused()
}

// whyRefused returns writable's error.
func (srv *Server) whyRefused() error {
	if err := srv.numbers.Err(); err != nil && !srv.numbers.Allow(srv.store.Clock()) {
		return readOnly(err)
	}
	if srv.journal != nil {
		if err := srv.journal.Err(); err != nil {
			return readOnly(err)
		}
		if err := srv.journal.Full(); err != nil {
			return &codec.Error{
				Status:  codec.StatusReadOnly,
				Message: "the disk is full, changes are refused until disk space is free again: " + err.Error(),
			}
		}
	}
	return &codec.Error{
		Status:  codec.StatusOverloaded,
		Message: "the disk is too slow: too much waits to be written, or for LSNs to be reserved",
	}
}

// readOnly is the error of a change that is refused because of err.
func readOnly(err error) error {
	return &codec.Error{
		Status:  codec.StatusReadOnly,
		Message: "changes are refused, since they could not be kept: " + err.Error(),
	}
}

// mostNumbers is how many LSNs one request assigns at most: one for each argument, and for its
// table.
const mostNumbers = 2 * codec.MaxArguments

// numbersInFlight returns how many LSNs may be assigned after a call of Numbers.Allow: by a request
// on each event loop and each worker, and by one save.
func (srv *Server) numbersInFlight() uint64 {
	return uint64(srv.cfg.EventLoops+maxWorkers+1) * mostNumbers
}

// onRenew is called when the next range of LSNs cannot be reserved, and with nil when it can be
// again.
func (srv *Server) onRenew(err error) {
	if err != nil {
		srv.log.Warn(
			"the next range of LSNs cannot be reserved, changes are refused once the current one is used up: free "+
				"disk space or repair the disk",
			slog.Any("error", err),
		)
		return
	}
	srv.log.Info("the next range of LSNs is reserved")
}

// checkBacklog checks whether too much waits in memory to be written.
func (srv *Server) checkBacklog() {
	if srv.journal == nil {
		return
	}
	srv.backlogged.Store(srv.journal.Pending() > srv.limits.backlogBytes)
}

// mustWait says whether the reply to a request that may have changed something waits for the disk:
// by the policy, because its client demands it, or because what was appended, and n bytes more, may
// find no room there.
func (srv *Server) mustWait(demanded bool, n int) bool {
	return srv.journal != nil && (srv.cfg.Data.Fsync == persist.Always || demanded || !srv.journal.HasRoom(n))
}

// inFlightBytes returns persist.Options.InFlightBytes: one operation that is not announced for each
// event loop, each worker and a save.
func (srv *Server) inFlightBytes() int64 {
	return int64(srv.cfg.EventLoops+maxWorkers+1) * 2 * persist.LargeOperationBytes
}

// journalBroken logs that the journal cannot be written any more.
func (srv *Server) journalBroken() {
	err := srv.journal.Err()
	srv.reportPersistPanic("panic while the journal was written", err)
	srv.log.Error(
		"the journal is broken, changes are refused, reads continue: free disk space or repair the disk, then restart",
		slog.Any("error", err),
		slog.Uint64("durable", srv.journal.Durable()),
		slog.Uint64("applied", srv.store.Clock()),
	)
	if srv.cfg.Data.ExitOnIOError {
		go srv.endWith(err)
	}
}

// onFull is called by the journal's flusher when no more room can be reserved on the disk, and with
// nil when it can be again.
func (srv *Server) onFull(err error) {
	if err != nil {
		srv.log.Error(
			"the disk is full, changes are refused until disk space is free again, reads continue; nothing that was "+
				"acknowledged is lost",
			slog.Any("error", err),
		)
		return
	}
	srv.log.Info("disk space is free again, changes are accepted")
}

// onBegin is called by the journal's flusher when its next segment cannot be begun, and with nil
// when it can be again.
func (srv *Server) onBegin(err error) {
	if err != nil {
		srv.log.Warn(
			"the journal's next segment cannot be begun, the current one grows; nothing is lost: free descriptors or "+
				"disk space",
			slog.Any("error", err),
		)
		return
	}
	srv.log.Info("the journal's next segment is begun")
}
