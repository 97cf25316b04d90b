package legacy

import (
	"bytes"
	"errors"
	"fmt"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/pickle"
)

const (
	// BlockBytes is the size that messages are announced in.
	BlockBytes = 4096
	// MaxBodyBytes is the largest accepted body.
	MaxBodyBytes = codec.MaxFrameBytes
	// maxControlBytes is the most bytes of an announcement, or of the answer to one: CyberDB reads
	// each with one call.
	maxControlBytes = 4096
)

// ErrGarbage is returned, wrapped, for bytes that CyberDB's clients do not send, including
// encrypted messages with a wrong password. Close the connection.
var ErrGarbage = errors.New("not a message of CyberDB, or encrypted with another password")

// Step is what a connection waits for.
type Step uint8

// The steps of an exchange, in order. Between them the server sends "ready", the reply's
// announcement, and the reply.
const (
	AwaitCount Step = iota // the announcement of a request
	AwaitBody              // the request
	AwaitReady             // the answer to the reply's announcement
)

// Wire is the state of one connection. Its messages go like this:
//
//	client    N              blocks of 4096 bytes that the request fills
//	server    "ready"
//	client    the request    {"route": ..., ..., "password": ...}
//	server    N
//	client    "ready"
//	server    the reply      {"code": 1, "content": ...}
//
// Each is a pickle; if encrypted, it is the ciphertext of a pickle of {"content": pickle}. A
// message has no length: it ends where the pickle ends.
type Wire struct {
	cipher *Cipher // nil: plain
	step   Step
	count  int // blocks announced
	slack  int // bytes that may still come after the request's pickle, and are skipped

	// of the current message
	opened int // bytes deciphered
	scan   pickle.Scanner
	end    int // of its pickle; 0: not found yet
}

// NewWire returns the state of a new connection; c is nil if it is not encrypted.
func NewWire(c *Cipher) *Wire { return &Wire{cipher: c} }

// Step returns what the connection waits for.
func (w *Wire) Step() Step { return w.step }

// Begun reports whether a part of a message has been received.
func (w *Wire) Begun() bool { return w.opened > 0 }

// Next processes the received part b of a message and decrypts it in place. It returns the
// message's pickle, a view into b, once that is complete, otherwise nil. Drop what follows the
// pickle: clients wait for the answer. u is working space.
//
// Errors: ErrGarbage, wrapped.
func (w *Wire) Next(b []byte, u *pickle.Unpickler) ([]byte, error) {
	if w.cipher != nil {
		w.cipher.XOR(b[w.opened:], w.opened)
	}
	w.opened = len(b)
	if len(b) == 0 {
		return nil, nil
	}
	if w.step == AwaitReady && w.slack > 0 {
		return w.late(b, u)
	}
	if w.end == 0 {
		if err := w.findEnd(b); err != nil || w.end == 0 {
			return nil, err
		}
	}
	return w.unwrap(b[:w.end], u)
}

// findEnd looks for the end of the message's pickle.
func (w *Wire) findEnd(b []byte) error {
	if !w.begins(b) {
		return fmt.Errorf("%w: it begins with 0x%02x", ErrGarbage, b[0])
	}
	end, err := w.scan.End(b)
	most := maxControlBytes
	if w.step == AwaitBody {
		most = w.count * BlockBytes
	}
	switch {
	case err == nil && end <= most:
		w.end = end
		return nil
	case !errors.Is(err, pickle.ErrShort) && err != nil:
		return fmt.Errorf("%w: %w", ErrGarbage, err)
	case len(b) >= most:
		return fmt.Errorf("%w: no pickle ends within the %d bytes announced", ErrGarbage, most)
	}
	return nil
}

// begins reports whether a message of this step can begin with these bytes: requests, and
// everything encrypted, are dicts.
func (w *Wire) begins(b []byte) bool {
	if w.cipher == nil && w.step != AwaitBody {
		return true
	}
	return pickle.BeginsDict(b)
}

// IsClient reports whether a new connection uses CyberDB's protocol: b, which is not empty, begins
// with the protocol number of a pickle, as every message of CyberDB's clients does. c is nil if
// they do not encrypt. An encrypted message is recognizable from its second byte.
func IsClient(c *Cipher, b []byte) bool {
	const most = 16
	if c != nil {
		b = bytes.Clone(b[:min(len(b), most)])
		c.XOR(b, 0)
	}
	return (c == nil || len(b) > 1) && pickle.HasProtocol(b)
}

// maxWireObjects is the most objects in any message other than a request's own pickle: a dict, its
// key and its bytes.
const maxWireObjects = 16

// parseSmall parses a pickle with few objects.
func parseSmall(b []byte, u *pickle.Unpickler) (pickle.Object, error) {
	u.MaxObjects = maxWireObjects
	root, _, err := u.Parse(b)
	return root, err
}

// unwrap returns the pickle in a message.
func (w *Wire) unwrap(message []byte, u *pickle.Unpickler) ([]byte, error) {
	if w.cipher == nil {
		return message, nil
	}
	root, err := parseSmall(message, u)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrGarbage, err)
	}
	content := root.Field("content")
	if root.Len() != 2 || content.IsZero() || content.Kind() != pickle.Bytes {
		return nil, fmt.Errorf("%w: it is no dict of content alone", ErrGarbage)
	}
	return content.Text(), nil
}

// late finds "ready" after what the client has sent after its request's pickle, within the
// announced blocks.
func (w *Wire) late(b []byte, u *pickle.Unpickler) ([]byte, error) {
	for at := max(0, len(b)-maxControlBytes); at < len(b); at++ {
		tail := b[at:]
		if w.cipher != nil { // decryption starts anew with each message
			tail = append([]byte(nil), tail...)
			w.cipher.XOR(tail, at)
			w.cipher.XOR(tail, 0)
		}
		inner, err := w.unwrapWhole(tail, u)
		switch {
		case err == nil && IsReady(inner, u):
			return inner, nil
		case err == nil && at == 0:
			return nil, fmt.Errorf("%w: not ready for the reply", ErrGarbage)
		}
	}
	if len(b) > w.slack+maxControlBytes {
		return nil, fmt.Errorf("%w: %d bytes after the request", ErrGarbage, len(b))
	}
	return nil, nil
}

func (w *Wire) unwrapWhole(b []byte, u *pickle.Unpickler) ([]byte, error) {
	var scan pickle.Scanner
	end, err := scan.End(b)
	if err != nil {
		return nil, err
	}
	if _, err = parseSmall(b[:end], u); err != nil {
		return nil, err
	}
	return w.unwrap(b[:end], u)
}

// advance begins the next message; came is the length of the last one.
func (w *Wire) advance(step Step, came int) {
	w.slack = 0
	if w.step == AwaitBody {
		w.slack = max(w.count*BlockBytes-came, 0)
	}
	w.step, w.opened, w.end, w.scan = step, 0, 0, pickle.Scanner{}
}

// Counted handles an announcement, the message of AwaitCount, and appends the answer. Errors:
// ErrGarbage, wrapped. An announcement that is not a number is answered anyway, as CyberDB does
// before it fails.
func (w *Wire) Counted(dst, message []byte, u *pickle.Unpickler) ([]byte, error) {
	root, err := parseSmall(message, u)
	if err != nil {
		return dst, fmt.Errorf("%w: %w", ErrGarbage, err)
	}
	if err := u.Refused(); err != nil {
		return dst, fmt.Errorf("%w: %w", ErrGarbage, err)
	}
	n, ok := root.Int()
	if !ok || n < 1 || n > MaxBodyBytes/BlockBytes {
		return w.seal(
				dst,
				readyPickle,
			), fmt.Errorf(
				"%w: an announcement that is no number of blocks from 1 to %d",
				ErrGarbage,
				MaxBodyBytes/BlockBytes,
			)
	}
	w.advance(AwaitBody, 0)
	w.count = int(n)
	return w.seal(dst, readyPickle), nil
}

// Answered ends the request, the message of AwaitBody: it appends the announcement of a reply of so
// many bytes, as returned by Seal.
func (w *Wire) Answered(dst []byte, replyBytes int) []byte {
	w.advance(AwaitReady, w.opened)
	var room [16]byte
	count := (replyBytes + BlockBytes - 1) / BlockBytes
	return w.seal(dst, pickle.End(pickle.AppendInt(pickle.Begin(room[:0]), int64(count))))
}

// Done ends the exchange: AwaitReady was received, and the reply is sent.
func (w *Wire) Done() { w.advance(AwaitCount, 0) }

// ready is the answer to announcements.
const ready = "ready"

var readyPickle = pickle.End(pickle.AppendText(pickle.Begin(nil), ready))

// IsReady reports whether a message is that answer.
func IsReady(message []byte, u *pickle.Unpickler) bool {
	root, err := parseSmall(message, u)
	return err == nil && root.IsText(ready)
}

// Seal appends a pickle as a message.
func (w *Wire) Seal(dst, message []byte) []byte { return w.seal(dst, message) }

func (w *Wire) seal(dst, message []byte) []byte {
	if w.cipher == nil {
		return append(dst, message...)
	}
	at := len(dst)
	dst = pickle.AppendText(pickle.AppendDict(pickle.Begin(dst)), "content")
	dst = pickle.End(pickle.EndDict(pickle.AppendBytes(dst, message)))
	w.cipher.XOR(dst[at:], 0)
	return dst
}
