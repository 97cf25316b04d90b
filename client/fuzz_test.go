package client

import (
	"context"
	"net"
	"testing"

	"cyberdb-fast/codec"
)

// FuzzReplies feeds arbitrary bytes as the replies to three requests: nothing panics, and each call
// is completed exactly once.
func FuzzReplies(f *testing.F) {
	whole := append(ok(1<<indexBits, []byte{1}), ok(1<<indexBits+1, []byte{2})...)
	f.Add(append(whole, failure(1<<indexBits+2, &codec.Error{Status: codec.StatusKeyError, Message: "x"})...), 7)
	more, _ := longReply(f, 1<<indexBits, 9, 10)
	f.Add(more, 3)
	f.Add([]byte{6, 0, 0, 0, 0, 0, 0, 0, 38, 0}, 100)
	c, err := New(Options{Password: "x"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte, piece int) {
		ours, theirs := net.Pipe()
		_ = theirs.Close()
		cn := newConn(dialed{socket: ours}, func() {})
		var waiting []*call
		for i := range 3 {
			q := &call{client: c, frame: make([]byte, codec.HeaderBytes), done: make(chan struct{}, 2)}
			q.head = q
			q.incomplete.Store(1)
			if i == 2 {
				q.stream = newStream(1 << 20)
			}
			cn.mu.Lock()
			cn.enqueueLocked(q)
			cn.mu.Unlock()
			waiting = append(waiting, q)
		}
		feed(cn, b, max(1, piece&0xff))
		cn.runReader()
		for i, q := range waiting {
			if len(q.done) != 1 {
				t.Fatalf("call %d completed %d times", i, len(q.done))
			}
			_, _ = decodeMany[any](q)
			_, _ = decodeItems[string, int](q)
			_, _ = decodeEntries[[]any](q)
			_, _ = outcome(q, decodeOne[any])
		}
		r := longRead{ctx: context.Background(), call: waiting[2]}
		for {
			if v, err := r.value(); v == nil || err != nil {
				break
			}
		}
	})
}

// feed gives b to the reader in pieces, until the reader returns an error.
func feed(cn *conn, b []byte, piece int) {
	var buf []byte
	for len(b) > 0 {
		n := min(piece, len(b))
		buf, b = append(buf, b[:n]...), b[n:]
		used, err := cn.receive(buf)
		if err != nil {
			return
		}
		buf = buf[used:]
	}
}
