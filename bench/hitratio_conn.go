package bench

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// batcher sends batches of requests over one connection: a batch is written while the replies to
// it are read.
type batcher struct {
	conn    *conn
	wire    wire
	out, in []byte
	filled  int // bytes of in
	count   int // requests in out
}

// add appends a request to the next batch.
func (b *batcher) add(op Op, item uint32) {
	b.out = b.wire.appendRequest(b.out, op, item, uint32(b.count))
	b.count++
}

// exchange sends the batch and hands each reply to each, with the number of its request in the
// batch. Errors: those of the connection, of the server, and of each.
func (b *batcher) exchange(each func(number int, r *reply) error) error {
	out := b.out
	if b.conn.seal != nil {
		var err error
		if out, err = b.conn.seal.Seal(nil, out); err != nil {
			return err
		}
	}
	for done := 0; done < b.count; {
		if len(out) > 0 {
			n, errno := write(b.conn.fd, out)
			if errno != 0 && !again(errno) {
				return errno
			}
			out = out[n:]
		}
		got, err := b.receive(len(out) > 0)
		if err != nil {
			return err
		}
		if !got {
			continue
		}
		used := 0
		for done < b.count {
			var r reply
			n, err := b.wire.parse(b.in[used:b.filled], &r)
			if err != nil {
				return err
			}
			if n == 0 {
				break
			}
			number := done
			if !b.wire.ordered() {
				number = int(r.id)
			}
			if r.kind == replyFailure {
				return fmt.Errorf("the server answers %s", r.describe())
			}
			if number >= b.count {
				return fmt.Errorf("a reply to request %d of a batch of %d", number, b.count)
			}
			if err := each(number, &r); err != nil {
				return err
			}
			used, done = used+n, done+1
		}
		b.filled = copy(b.in, b.in[used:b.filled])
	}
	b.out, b.count = b.out[:0], 0
	return nil
}

// receive reads what is there. It waits until there is something, or room for more requests.
func (b *batcher) receive(writing bool) (got bool, err error) {
	if b.filled == len(b.in) {
		b.in = append(b.in, make([]byte, max(len(b.in), 256<<10))...)
	}
	n, errno := read(b.conn.fd, b.in[b.filled:])
	if n > 0 {
		plain, err := b.conn.open(b.in[b.filled : b.filled+n])
		if err != nil {
			return false, err
		}
		b.in = append(b.in[:b.filled], plain...)[:cap(b.in)]
		b.filled += len(plain)
		return true, nil
	}
	if errno == 0 {
		return false, errors.New("the server closed the connection")
	}
	events := int16(unix.POLLIN)
	if writing {
		events |= unix.POLLOUT
	}
	return false, b.conn.await(errno, events)
}
