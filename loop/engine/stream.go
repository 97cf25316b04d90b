package engine

import (
	"io"
	"iter"

	"cyberdb-fast/codec"
)

// Stream is a long read whose view is cut: what it gives is as of that moment, whenever it is made.
// It may be made on another goroutine, while the executor that made it goes on.
type Stream struct {
	// Begin, if it is not nil, is called first, and the client's next request is executed once it
	// has returned: it must not see what that changes.
	Begin func()
	// Write makes the body of the reply and writes it to w, piece by piece, for each of which it
	// may wait. Errors: w's; those of the read, for Engine.Describe. It is called once at most.
	Write func(w io.Writer) error
	// Close frees the view. It is called once, after Write if that is called.
	Close func()
}

// writeAll writes values.
func writeAll(w io.Writer, values iter.Seq[[]byte]) error {
	for val := range values {
		if _, err := w.Write(val); err != nil {
			return err
		}
	}
	return nil
}

// writer collects what is written.
type writer struct{ body []byte }

func (w *writer) Write(b []byte) (int, error) {
	w.body = append(w.body, b...)
	return len(b), nil
}

// collect appends the whole reply of a stream.
func (x *Executor) collect(out []byte, req *codec.Request) []byte {
	read := x.Stream
	defer read.Close()
	if read.Begin != nil {
		read.Begin()
	}
	out, at := codec.BeginReply(out, req.ID, codec.StatusOK)
	w := writer{body: out}
	if err := read.Write(&w); err != nil {
		return x.fail(w.body[:at], req, err)
	}
	return endReply(w.body, at)
}
