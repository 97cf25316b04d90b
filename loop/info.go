package loop

import (
	"errors"
	"runtime"
	"sync/atomic"
	"time"

	"cyberdb-fast/codec"
	"cyberdb-fast/loop/pubsub"
	"cyberdb-fast/loop/stats"
)

// counters are the counters that INFO shows. Written by event loops, the acceptor and the sweeper.
type counters struct {
	refused      atomic.Uint64 // connections not taken, and failed logins
	failedLogins atomic.Uint64 // by a wrong password
	logins       atomic.Uint64 // that have worked
	acceptErrors atomic.Uint64
	idleClosed   atomic.Uint64
	overrun      atomic.Uint64 // closed for replies that they did not read, or requests that they sent ahead
	badFrames    atomic.Uint64
	panics       atomic.Uint64 // in persist, and at the start; the engine counts the others
	notDurable   atomic.Uint64 // changes that were made, and could not be written to disk
}

// ReadOnly is Info.Persistence of a server that had no room for a journal when it started.
const ReadOnly = "read-only"

// Info is what INFO answers, as JSON.
type Info struct {
	Version       string  `json:"version"`
	UptimeSeconds float64 `json:"uptime_seconds"`
	EventLoops    int     `json:"event_loops"`
	Connections   int64   `json:"connections"`
	MaxConns      int     `json:"max_connections"`
	// of the connections, also of those whose clients have not logged in: what they wait for
	ConnectionStates map[string]int64 `json:"connection_states"`
	Requests         uint64           `json:"requests"`
	LongRequests     int64            `json:"long_requests"` // in the background
	// that wait for a time or an event while their connections go on
	WaitingRequests int64            `json:"waiting_requests"`
	Waits           map[string]int64 `json:"waits"`           // these by command
	LocksHeld       int              `json:"locks_held"`      // with the leases of computations
	GrantsReturned  uint64           `json:"grants_returned"` // their replies could not be sent
	Messages        pubsub.Figures   `json:"messages"`        // publish and subscribe
	Tables          int              `json:"tables"`
	// of these, closed because a panic left them partially changed
	PoisonedTables int    `json:"poisoned_tables"`
	Views          int    `json:"views"`       // open
	Clock          uint64 `json:"clock"`       // LSN of the last change
	Persistence    string `json:"persistence"` // none; file; journal always, everysec or no; read-only

	Data *DataInfo `json:"data,omitempty"` // of a server that keeps its tables on disk

	Encrypted     bool   `json:"encrypted"`
	Logins        uint64 `json:"logins"` // that have worked
	Refused       uint64 `json:"refused"`
	FailedLogins  uint64 `json:"failed_logins"`
	WaitingLogins int64  `json:"waiting_logins"`
	AcceptErrors  uint64 `json:"accept_errors"`
	IdleClosed    uint64 `json:"idle_closed"`
	Overrun       uint64 `json:"overrun_closed"`
	BadFrames     uint64 `json:"bad_frames"`
	Panics        uint64 `json:"panics"`
	// lines of the log that could not be written, or were not read in time
	DroppedLogLines uint64 `json:"dropped_log_lines"`

	MaxMemoryBytes int64 `json:"max_memory_bytes"` // 0: no limit
	UnsentBytes    int64 `json:"unsent_bytes"`     // of replies, not yet sent to clients
	// of requests that are not complete, or wait; of clients with more than 64 KiB of them
	BufferedInputBytes int64  `json:"buffered_input_bytes"`
	HeapBytes          uint64 `json:"heap_bytes"`
	SlabBytes          int    `json:"slab_bytes"`      // of tables, mapped outside the heap
	SlabFreeBytes      int    `json:"slab_free_bytes"` // of these, in no use
	Goroutines         int    `json:"goroutines"`

	ProcessInfo
	Budgets Budgets `json:"budgets"`
}

// DataInfo is what INFO says of the files.
type DataInfo struct {
	File            string  `json:"file"`
	SavedClock      uint64  `json:"saved_clock"` // the file holds the changes up to this LSN
	UnsavedChanges  uint64  `json:"unsaved_changes"`
	SavedBytes      int64   `json:"saved_bytes"`
	SavedAgoSeconds float64 `json:"saved_ago_seconds"` // since the last save, or the last attempt
	SaveSeconds     float64 `json:"save_seconds"`      // how long the last save took
	SaveError       string  `json:"save_error"`        // of the last attempt; "": none
	// the last change that is on disk; without a journal, saved_clock
	DurableClock uint64 `json:"durable_clock"`
	LagChanges   uint64 `json:"lag_changes"` // those that are not on disk yet
	// of the journal: those after which replies leave
	Syncs        stats.Latency `json:"syncs"`
	JournalBytes int64         `json:"journal_bytes"`
	PendingBytes int64         `json:"pending_bytes"` // not yet written to the journal
	// requests of the journal that the start has skipped, since they panic
	Skipped      int    `json:"skipped_requests"`
	JournalError string `json:"journal_error"` // why changes are refused for good; "": they are not
	// why changes are refused: a broken journal, a full disk, a data directory that was moved; "":
	// they are taken
	ReadOnly string `json:"read_only"`
	// changes that were answered NotDurable: applied, and not on disk
	NotDurable uint64 `json:"not_durable"`

	LostOperations uint64 `json:"lost_operations"` // at least so many were lost, as the start has found; 0: none
	LostBytes      int64  `json:"lost_bytes"`      // of the journal that it has cut off
	LostFrom       uint64 `json:"lost_from"`       // LSN of the first that is lost; 0: none

	// why the journal's next segment cannot be begun, and the current one grows; "": it can
	SegmentError string `json:"segment_error"`
}

// Info returns the server's figures.
func (srv *Server) Info() Info {
	store, process := srv.store.Stats(), srv.processInfo()
	info := Info{
		Version:            srv.cfg.Version,
		Requests:           srv.served(),
		UptimeSeconds:      time.Since(srv.started).Seconds(),
		EventLoops:         srv.cfg.EventLoops,
		Connections:        srv.conns.Load(),
		MaxConns:           srv.cfg.MaxConns,
		ConnectionStates:   srv.connectionStates(),
		LongRequests:       srv.backgroundJobs.Load(),
		WaitingRequests:    srv.waiting.Load(),
		Waits:              srv.waiting.byCommand(),
		LocksHeld:          srv.engine.LocksHeld(),
		GrantsReturned:     srv.engine.GrantsReturned(),
		Messages:           srv.engine.Messages(),
		Tables:             store.Tables,
		PoisonedTables:     store.Poisoned,
		Views:              store.Views,
		Clock:              store.Clock,
		Persistence:        srv.persistence(),
		Data:               srv.dataInfo(),
		Encrypted:          srv.cfg.Encrypt,
		Logins:             srv.counters.logins.Load(),
		Refused:            srv.counters.refused.Load(),
		FailedLogins:       srv.counters.failedLogins.Load(),
		WaitingLogins:      srv.logins.waiting.Load(),
		AcceptErrors:       srv.counters.acceptErrors.Load(),
		IdleClosed:         srv.counters.idleClosed.Load(),
		Overrun:            srv.counters.overrun.Load(),
		BadFrames:          srv.counters.badFrames.Load(),
		Panics:             srv.counters.panics.Load() + srv.engine.Panics(),
		DroppedLogLines:    srv.cfg.DroppedLogLines(),
		MaxMemoryBytes:     srv.memory.limit,
		UnsentBytes:        srv.replies.bytes.Load(),
		BufferedInputBytes: srv.requests.bytes.Load(),
		HeapBytes:          uint64(process.Memory.HeapBytes),
		SlabBytes:          store.SlabBytes,
		SlabFreeBytes:      store.SlabFreeBytes,
		Goroutines:         runtime.NumGoroutine(),
		ProcessInfo:        process,
		Budgets:            srv.budgets(),
	}
	return info
}

// served returns how many requests the event loops have executed.
func (srv *Server) served() (n uint64) {
	srv.loopsMu.Lock()
	defer srv.loopsMu.Unlock()
	for _, l := range srv.loops {
		n += l.requests.Load()
	}
	return n
}

func (srv *Server) persistence() string {
	switch {
	case srv.cfg.Data.File == "":
		return "none"
	case srv.journal == nil:
		return "file"
	case srv.readOnly:
		return ReadOnly
	}
	return "journal " + srv.cfg.Data.Fsync.String()
}

func (srv *Server) dataInfo() *DataInfo {
	if srv.cfg.Data.File == "" {
		return nil
	}
	s := &srv.saver
	s.mu.Lock()
	d := &DataInfo{
		File: srv.cfg.Data.File, SavedClock: s.file.LSN, SavedBytes: s.file.Bytes, DurableClock: s.file.LSN,
		SavedAgoSeconds: time.Since(s.tried).Seconds(), SaveSeconds: s.took.Seconds(), SaveError: errorText(s.err),
		Skipped: s.skipped, NotDurable: srv.counters.notDurable.Load(),
		LostOperations: srv.lost.Operations, LostBytes: srv.lost.Bytes, LostFrom: srv.lost.From,
	}
	held := s.heldLSN
	s.mu.Unlock()
	var refused *codec.Error
	if errors.As(srv.writable(), &refused) && refused.Status == codec.StatusReadOnly {
		d.ReadOnly = refused.Message
	}
	clock := srv.store.Clock()
	d.UnsavedChanges = clock - min(clock, held)
	d.LagChanges = d.UnsavedChanges
	d.Syncs = srv.syncs.latency()
	if j := srv.journal; j != nil {
		d.DurableClock, d.JournalBytes, d.PendingBytes = j.Durable(), j.Size(), j.Pending()
		d.JournalError, d.SegmentError = errorText(j.Err()), errorText(j.SegmentErr())
		d.LagChanges = clock - min(clock, d.DurableClock)
	}
	return d
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
