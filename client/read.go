package client

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/secure"
)

const (
	firstReadBytes = 64 << 10
	maxReplyBytes  = codec.MaxReplyFrameBytes + 64 // a whole reply frame
)

// serve reads replies and completes calls until the link is down.
func (l *link) serve() {
	l.fail(l.readAll())
	l.finish()
}

func (l *link) readAll() error {
	buf := make([]byte, max(firstReadBytes, len(l.first)))
	end := copy(buf, l.first)
	l.first = nil
	for {
		used, err := l.take(buf[:end])
		if err != nil {
			return err
		}
		end = copy(buf, buf[used:end])
		if end == len(buf) { // the frame at the front is larger than the buffer
			buf = append(buf, make([]byte, maxReplyBytes-len(buf))...)
		}
		n, err := l.in.Read(buf[end:])
		end += n
		switch {
		case errors.Is(err, io.EOF) && l.notice != nil:
			return l.notice
		case errors.Is(err, io.EOF):
			return errors.New("the server closed it")
		case errors.Is(err, secure.ErrCut):
			return errors.New("it was cut: the server did not end it")
		case errors.Is(err, secure.ErrRecord):
			return fmt.Errorf("%w: somebody has changed what the server sent: %w", ErrProtocol, err)
		case err != nil:
			return err
		}
	}
}

// take delivers the whole frames at the front of b, and returns how many bytes those are.
func (l *link) take(b []byte) (used int, err error) {
	l.replies = l.replies[:0]
	for {
		if len(b)-used >= 4 && binary.LittleEndian.Uint32(b[used:]) > maxReplyBytes-4 {
			return used, fmt.Errorf("%w: a reply frame of %d bytes", ErrProtocol, binary.LittleEndian.Uint32(b[used:]))
		}
		reply, n, err := codec.ParseReply(b[used:])
		if errors.Is(err, codec.ErrShort) {
			break
		}
		if err != nil {
			return used, fmt.Errorf("%w: %w", ErrProtocol, err)
		}
		used += n
		l.replies = append(l.replies, reply)
	}
	if len(l.replies) == 0 {
		return used, nil
	}
	err = l.match()
	for i := range l.targets {
		if q := l.targets[i]; q != nil { // cutShort may have cleared it
			l.deliver(q, i)
		}
	}
	clear(l.targets)
	return used, err
}

// match finds the call of each reply in one go: nil for those that nobody waits for any more. After
// an error, those before it hold.
func (l *link) match() error {
	l.targets = l.targets[:0]
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.replies {
		r := &l.replies[i]
		if r.ID == 0 {
			l.targets = append(l.targets, nil)
			if r.Status != codec.StatusOK {
				l.notice = replyError("", "", r.Status, r.Body)
			}
			continue
		}
		at := r.ID % maxSlots
		if int(at) >= len(l.slots) || l.slots[at].id != r.ID || !l.slots[at].taken {
			return fmt.Errorf("%w: a reply to request %d, which is not outstanding", ErrProtocol, r.ID)
		}
		s := &l.slots[at]
		l.targets = append(l.targets, s.call)
		if r.Flags&codec.FlagMore == 0 {
			s.call, s.taken = nil, false
			l.due -= s.bytes
			l.free = append(l.free, at)
		}
	}
	l.roomLocked()
	return nil
}

// deliver adds the frame at to q's reply; the last one completes it.
func (l *link) deliver(q *call, at int) {
	r := &l.replies[at]
	more := r.Flags&codec.FlagMore != 0
	if r.Flags&codec.FlagVersion != 0 {
		q.version = r.Version
	}
	if q.stream != nil {
		if r.Status == codec.StatusOK && !q.stream.push(r.Body) && more {
			l.abandon(q)
			return
		}
	} else {
		if r.Status != codec.StatusOK { // what came before it is void
			q.reply = q.reply[:0]
		}
		if most := q.client.options.MaxReplyBytes; len(q.reply)+len(r.Body) > most {
			l.cutShort(q, at, most)
			return
		}
		q.reply = append(q.reply, r.Body...)
	}
	if more {
		return
	}
	q.status = r.Status
	if q.stream != nil {
		var err error
		if r.Status != codec.StatusOK {
			err = replyError(q.op.String(), q.table, r.Status, r.Body)
		}
		q.stream.end(err)
	}
	q.complete()
}

// cutShort completes q, the target of frame at, without its reply, which has more than most bytes.
// What of it is still to come is dropped.
func (l *link) cutShort(q *call, at, most int) {
	ends := l.replies[at].Flags&codec.FlagMore == 0
	for i := at + 1; i < len(l.targets); i++ {
		if l.targets[i] == q {
			l.targets[i] = nil
			ends = ends || l.replies[i].Flags&codec.FlagMore == 0
		}
	}
	if !ends { // else match has freed the slot, and the caller cannot give up any more
		l.mu.Lock()
		s := &l.slots[q.id%maxSlots]
		waits := s.call == q
		if waits {
			s.call = nil
		}
		l.mu.Unlock()
		if !waits { // its caller has given up
			return
		}
	}
	q.reply = nil
	q.lost = fmt.Errorf(
		"%w: more than %d bytes; read the table in parts or by Scan, or raise Options.MaxReplyBytes",
		ErrReplyTooLarge,
		most,
	)
	q.complete()
}
