package engine

import (
	"errors"
	"math"

	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/codec"
)

// Wait is what a request waits for. The door executes the request again, from the beginning, once
// this has happened; until then nothing of it is done.
type Wait struct {
	// When makes wake be called, once at least, when the request may have something to do, from any
	// goroutine. It is called before the request is executed once more: what happens before that
	// is found then, and what happens after it wakes. cancel ends it; it may be called after wake
	// too. An example is shardmap.Table.WhenChanged. Nil: the request waits for time alone.
	When func(wake func()) (cancel func())
	// Within is the most milliseconds of monotonic time from now until the request is executed
	// again. 0: as long as it takes; then When must be set.
	Within int64
	// End is called once, when the request is over: it has its reply, was refused or canceled, or
	// its connection has ended. Nil: there is nothing to do then. A command that makes a request
	// wait again keeps it.
	End func()
	// Outside: it waits for a gate, which others hold while they are executed, not for its turn. A
	// registration for one of the two does not serve the other.
	Outside bool

	place *place // in a line; nil: the request stands in none
}

// Over calls End, if there is one. A door calls it once for the last Wait of a request.
func (w *Wait) Over() {
	if w != nil && w.End != nil {
		w.End()
	}
}

// Origin is what a door knows of a request besides its frame.
type Origin struct {
	// Waited is how long ago the request that is executed again has arrived, in milliseconds of
	// monotonic time.
	Waited int64
	// Resumed is what the request that is executed again has waited for; nil: it is executed for
	// the first time.
	Resumed *Wait
	// Connection is where the request comes from; nil: no connection.
	Connection Connection
}

// Connection is a client's connection, as the engine sees it. Its methods may be called from any
// goroutine, except where said.
type Connection interface {
	// Client returns what the engine keeps for the connection, which it makes if need be.
	Client() *Client
	// Cancel ends the wait of the request with this id, which gets the error, and reports whether
	// it has. It is called on the goroutine of the executor of the connection.
	Cancel(id uint32, why *codec.Error) bool
}

// Client returns what the engine keeps for the connection of the request; nil: it has none.
func (x *Executor) Client() *Client {
	if x.Connection == nil {
		return nil
	}
	return x.Connection.Client()
}

// errWaits is returned by commands whose request waits.
var errWaits = errors.New("the request waits")

// WaitFor is what the Run of a command returns if the request cannot be executed yet, and has
// changed nothing: return x.WaitFor(...). The client's deadline, the end of its connection and the
// end of the server may end the wait; then the request is not executed again.
//
// Run makes the same decision each time. It finds out how long the request has waited by
// Executor.Waited, so a command with a time limit t, in milliseconds, answers when x.Waited() >= t,
// and otherwise waits within t - x.Waited().
func (x *Executor) WaitFor(w Wait) error {
	if x.call.Replay || w.When == nil && w.Within <= 0 {
		return errors.New("a request that cannot wait")
	}
	x.Wait = &w
	return errWaits
}

// WhenDurable is a Wait.When: wake is called once all up to an LSN is on disk, or never will be.
func (x *Executor) WhenDurable(lsn uint64) func(wake func()) (cancel func()) {
	return func(wake func()) (cancel func()) {
		if x.engine.env.Journal == nil {
			wake()
			return func() {}
		}
		return x.engine.env.Journal.WhenDurable(lsn, wake)
	}
}

// AppendCannotWait appends the reply of a door whose requests cannot wait.
func AppendCannotWait(out []byte, req *codec.Request) []byte {
	return AppendError(out, req.ID, &codec.Error{
		Status: codec.StatusUnsupported, Message: req.Op.String() + " would wait, which this connection cannot",
	})
}

// cancel ends the wait of another request of the connection. It returns whether that has waited.
func cancel(x *Executor) error {
	id, err := countArgument(x.args[0], "the id of a request", 0, math.MaxUint32)
	if err != nil {
		return err
	}
	ended := x.Connection != nil && !x.call.MayBlock && x.Connection.Cancel(uint32(id), canceledBy("CANCEL"))
	x.body = msgp.AppendBool(x.body, ended)
	return nil
}
