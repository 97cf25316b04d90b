package secure

import (
	"errors"
	"io"
)

// ErrCut is returned by a Reader whose source ends before the stream does: the other side or
// something in between has interrupted it.
var ErrCut = errors.New("connection cut: its end was not announced")

// Reader reads the content of the records from a source, for clients that block on a socket.
type Reader struct {
	from   io.Reader
	opener *Opener
	buffer []byte // holds any record
	end    int    // of the bytes in buffer
	used   int    // of these, the bytes that were opened
	plain  []byte // opened, but not yet returned
}

// NewReader returns a Reader of from. first has the bytes of from that were read already.
func NewReader(from io.Reader, opener *Opener, first []byte) *Reader {
	r := &Reader{from: from, opener: opener, buffer: make([]byte, max(len(first), MaxRecordBytes+RecordOverhead))}
	r.end = copy(r.buffer, first)
	return r
}

// Read implements io.Reader.
//
// Errors: io.EOF at the end of the stream, ErrCut if the source ends before; ErrRecord, wrapped;
// the source's.
func (r *Reader) Read(p []byte) (int, error) {
	for len(r.plain) == 0 {
		plain, n, err := r.opener.Open(r.buffer[r.used:r.end])
		switch {
		case err == nil:
			r.plain, r.used = plain, r.used+n
		case errors.Is(err, ErrEnd):
			return 0, io.EOF
		case !errors.Is(err, ErrShort):
			return 0, err
		default:
			if err := r.more(); err != nil {
				return 0, err
			}
		}
	}
	n := copy(p, r.plain)
	r.plain = r.plain[n:]
	return n, nil
}

// more reads once from the source. It is called when all opened bytes have been returned.
func (r *Reader) more() error {
	r.end = copy(r.buffer, r.buffer[r.used:r.end])
	r.used = 0
	n, err := r.from.Read(r.buffer[r.end:])
	r.end += n
	switch {
	case n > 0:
		return nil // an error comes again
	case errors.Is(err, io.EOF):
		return ErrCut
	}
	return err
}
