package engine

import (
	"log/slog"

	"cyberdb-fast/shardmap"
)

const (
	// LargeReplyBytes is the size of a reply above which it takes long to send: it is kept out of
	// memory while there is little room for replies.
	LargeReplyBytes = 4 << 20
	// AnnouncedBytes is the size above which a change is announced to the journal before its LSNs
	// are assigned.
	AnnouncedBytes = 4 << 10
)

// Env is what an engine needs of the program that it runs in. Store and Logger must be set. The
// rest is optional: each field says what the engine does without it. An engine does not read the
// time: a door tells its executor (Executor.Time), and Do calls Now.
type Env struct {
	Store  *shardmap.Store
	Logger *slog.Logger // for panics and internal errors

	// Commands is the command table; nil: the protocol's, Protocol.
	Commands *Commands
	// Changes returns a log that records what requests change, for one executor at a time; nil:
	// nothing is logged.
	Changes func() shardmap.Log
	// Journal keeps the logs on disk; nil: there is none, and a request with the flag DURABLE is
	// refused.
	Journal Journal
	// Admission says whether there is room for a request; nil: there is room for all.
	Admission Admission
	// Now returns the time of the store, in milliseconds since 1970 UTC, for requests that Do
	// executes; nil: it is 0. It must not go back.
	Now func() int64
	// Info returns what INFO answers, JSON; nil: INFO is refused.
	Info func() ([]byte, error)
	// Sections are the sections of INFO that it has besides the engine's own, by name. They are
	// constant.
	Sections map[string]Section
	// Pace returns a function that a walk over all tables calls for each of them and for each item,
	// without a lock. It sleeps if other requests need the processors, and its error, for the
	// client, ends the walk. nil: no walk sleeps or ends early.
	Pace func() func() error
	// MessageBytes is how many bytes the messages that wait for subscribers may have, with all that
	// is kept for the subscriptions; 0: 128 MiB.
	MessageBytes int64
	// Save saves the tables and returns once they are on disk; nil: SAVE is refused. The client
	// gets a *codec.Error unchanged.
	Save func() error
}

// Journal is the journal as the engine sees it. Its methods may be called from any goroutine.
type Journal interface {
	// Announce announces that a change of n bytes, more than AnnouncedBytes, may be logged. With
	// -n: it was logged, or will not be.
	Announce(n int)
	// Flush writes what the logs have recorded, and syncs it as the policy says.
	Flush()
	// Durable returns the LSN up to which all changes are on disk.
	Durable() uint64
	// WhenDurable makes wake be called once, when all up to an LSN is on disk, or never will be. If
	// that is so already, it may call wake itself. cancel ends it.
	WhenDurable(lsn uint64, wake func()) (cancel func())
	// Waits says whether the reply to a request that may have changed something must wait until the
	// change is on disk. demanded: its client asks for that.
	Waits(demanded bool) bool
}

// Admission refuses requests for which there is no room. The errors of its methods are the client's
// answers, mostly a *codec.Error with StatusReadOnly or StatusOverloaded. Its methods may be called
// from any goroutine; Change is called for each request that changes something, Grow for each that
// adds data.
//
// Lend and Return are for what requests in the background need while they work.
type Admission interface {
	shardmap.Memory
	// Change returns an error if nothing may be changed: it could not be kept on disk.
	Change() error
	// Grow returns an error if there is no memory for a request of so many bytes that adds data.
	Grow(bytes int) error
	// Evict returns how many bytes of entries are to be evicted before a request of so many bytes
	// adds data; 0: none. Evicted notes how many were.
	Evict(bytes int) int
	Evicted(bytes int)
	// LargeReply returns an error if too much output is unsent to make a reply of more than
	// LargeReplyBytes.
	LargeReply() error
	// CountOutput counts bytes that are kept until clients have read the replies made of them. A
	// negative number takes them out of the count.
	CountOutput(bytes int)
}

// unlimited is the Admission of an Env without one.
type unlimited struct{}

func (unlimited) Lend(int) error    { return nil }
func (unlimited) Return(int)        {}
func (unlimited) Change() error     { return nil }
func (unlimited) Grow(int) error    { return nil }
func (unlimited) Evict(int) int     { return 0 }
func (unlimited) Evicted(int)       {}
func (unlimited) LargeReply() error { return nil }
func (unlimited) CountOutput(int)   {}
