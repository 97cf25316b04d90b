package loop

import (
	"errors"

	"github.com/valyala/bytebufferpool"

	"cyberdb-fast/codec/secure"
)

// records is the encrypted stream of a session, owned by the event loop. A nil *records is a
// connection without encryption.
type records struct {
	seal    *secure.Sealer
	opener  *secure.Opener
	keyed   bool                       // the keys are made, and the sweeper knows
	partial *bytebufferpool.ByteBuffer // begins with the part of a record that has arrived; nil: none
	used    int                        // of partial, in this read event
}

// open decrypts the complete records in place and returns what they carry, joined: a view into in,
// or into the partial record, valid until trim. Every byte is decrypted once. An error is the end
// of the stream, in order or not; plain is what came before it.
func (s *session) open(in []byte) (plain []byte, err error) {
	r := s.records
	if r == nil || len(in) == 0 {
		return in, nil
	}
	if r.partial != nil {
		r.partial.B = append(r.partial.B, in...)
		in = r.partial.B
	}
	s.keepKeys()
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
	if r.partial != nil {
		r.used = used
	} else if used < len(in) && err == nil {
		r.partial = bytebufferpool.Get()
		r.partial.B = append(r.partial.B, in[used:]...)
	}
	return plain, err
}

// keepKeys tells the sweeper that the keys are made.
func (s *session) keepKeys() {
	if !s.records.keyed {
		s.records.keyed = true
		s.auth.marks.set(hasKeys)
		s.srv.clock.start()
	}
}

// dropIdleKeys drops the keys of an encrypted connection that the sweeper has found idle.
func (s *session) dropIdleKeys() {
	if s.auth.marks.take(keysIdle) && s.records != nil {
		s.records.keyed = false
		s.auth.marks.clear(hasKeys)
		s.records.seal.DropKeys()
		s.records.opener.DropKeys()
	}
}

// trim ends the use of what open returned.
func (r *records) trim() {
	if r == nil || r.partial == nil {
		return
	}
	if r.used > 0 {
		r.partial.B = r.partial.B[:copy(r.partial.B, r.partial.B[r.used:])]
		r.used = 0
	}
	if len(r.partial.B) == 0 {
		r.drop()
	}
}

func (r *records) drop() {
	if r != nil && r.partial != nil {
		bytebufferpool.Put(r.partial)
		r.partial, r.used = nil, 0
	}
}

// streamEnded closes a session whose client has ended its stream, or whose stream was damaged.
func (s *session) streamEnded(problem error) {
	if !errors.Is(problem, secure.ErrEnd) {
		s.badFrame(problem)
	}
	s.close()
}

// seal returns out in the form to send.
func (s *session) seal(out []byte) ([]byte, error) {
	if s.records == nil {
		return out, nil
	}
	s.keepKeys()
	sealed, err := s.records.seal.Seal(s.loop.sealed[:0], out)
	s.loop.sealed = sealed
	if cap(sealed) > 4*flushBytes {
		s.loop.sealed = nil // a large reply's buffer is not kept
	}
	return sealed, err
}
