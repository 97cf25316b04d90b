package loop

import (
	"errors"

	"github.com/valyala/bytebufferpool"

	"cyberdb-fast/codec/secure"
)

// records is the encrypted stream of a session, owned by the event loop. A nil *records is a
// connection without encryption.
type records struct {
	seal   *secure.Sealer
	opener *secure.Opener
	kept   *bytebufferpool.ByteBuffer // begins with what came of a record that is not whole; nil: none
	used   int                        // of kept, in this turn
}

// open returns what the records that are whole carry, decrypted in place and put together: views
// into in, or into what was kept, good until the turn's keep. Every byte is decrypted once. The
// error, if any, is the end of the stream, in order or not; what came before it holds.
func (s *session) open(in []byte) (plain []byte, err error) {
	r := s.records
	if r == nil || len(in) == 0 {
		return in, nil
	}
	if r.kept != nil {
		r.kept.B = append(r.kept.B, in...)
		in = r.kept.B
	}
	used := 0
	for {
		part, n, problem := r.opener.Open(in[used:])
		if problem != nil {
			err = problem
			break
		}
		if plain == nil {
			plain = part
		} else { // moves down over the tag and the length between the two
			plain = append(plain, part...)
		}
		used += n
	}
	if errors.Is(err, secure.ErrShort) {
		err = nil
	}
	if r.kept != nil {
		r.used = used
	} else if used < len(in) && err == nil {
		r.kept = bytebufferpool.Get()
		r.kept.B = append(r.kept.B, in[used:]...)
	}
	return plain, err
}

// keep ends the use of what open returned.
func (r *records) keep() {
	if r == nil || r.kept == nil {
		return
	}
	if r.used > 0 {
		r.kept.B = r.kept.B[:copy(r.kept.B, r.kept.B[r.used:])]
		r.used = 0
	}
	if len(r.kept.B) == 0 {
		r.drop()
	}
}

func (r *records) drop() {
	if r != nil && r.kept != nil {
		bytebufferpool.Put(r.kept)
		r.kept, r.used = nil, 0
	}
}

// streamEnded closes a session whose client has ended its stream, or whose stream was damaged.
func (s *session) streamEnded(problem error) {
	if !errors.Is(problem, secure.ErrEnd) {
		s.badFrame(problem)
	}
	s.close()
}

// seal returns out as it is to be sent.
func (s *session) seal(out []byte) ([]byte, error) {
	if s.records == nil {
		return out, nil
	}
	sealed, err := s.records.seal.Seal(s.loop.sealed[:0], out)
	s.loop.sealed = sealed
	if cap(sealed) > 4*flushBytes {
		s.loop.sealed = nil // a large reply's buffer is not kept
	}
	return sealed, err
}
