package engine

import (
	"io"
	"iter"

	"cyberdb-fast/codec"
)

// Stream is a long read whose view is cut: it shows the moment of the cut, whenever it is written.
// Another goroutine may use it while the executor continues.
type Stream struct {
	// Begin, if it is not nil, is called first. The client's next request is executed once Begin
	// has returned, because Begin must not see its changes.
	Begin func()
	// Write makes the body of the reply and writes it to w, in pieces. Each write may block.
	// Errors: w's; those of the read, for Engine.Fail. It is called once at most.
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

// collect appends the complete reply of a stream.
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
