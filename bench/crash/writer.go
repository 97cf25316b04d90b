package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"cyberdb-fast/client"
)

// deed is a sent write.
type deed struct {
	*write
	acked time.Time // zero: unknown whether it was applied
}

// writer is one client over all cycles. It writes as fast as it gets replies.
type writer struct {
	author
	number  int
	onDisk  bool // a disk that loses power: the server may be unable to write
	shared  *shared
	base    model  // the tables when the cycle began
	history []deed // since, in order
	acked   int
	err     error // what the server did wrong
}

func newWriter(number int, opt options, s *shared) *writer {
	return &writer{
		author: author{
			rng:    rand.New(rand.NewPCG(opt.seed, uint64(number)+1)),
			prefix: fmt.Sprintf("client %d ", number),
			live:   model{},
		},
		number: number,
		onDisk: opt.ext4,
		shared: s,
		base:   model{},
	}
}

// mostQueued is how many writes a pipeline has.
const mostQueued = 12

// run writes until the connection ends.
func (w *writer) run(srv *server) {
	c, err := srv.connect()
	if err != nil {
		return // the server has ended
	}
	defer c.Close()
	for err == nil {
		if w.rng.IntN(4) == 0 {
			err = w.shared.step(c, w)
			continue
		}
		err = w.step(c)
	}
	if !isEnd(err, w.onDisk) {
		w.err = fmt.Errorf("client %d: %w", w.number, err)
	}
}

// isEnd reports whether an error means that the server has ended or, on a disk that lost power,
// cannot write.
func isEnd(err error, onDisk bool) bool {
	if errors.Is(err, client.ErrNotDurable) || errors.Is(err, client.ErrReadOnly) {
		return onDisk
	}
	return errors.Is(err, client.ErrConnectionLost) || errors.Is(err, client.ErrUnsent) ||
		errors.Is(err, client.ErrShuttingDown)
}

// step sends some writes in a pipeline, or one alone.
func (w *writer) step(c *client.Client) error {
	ctx := context.Background()
	p := c.Pipeline()
	first := len(w.history)
	var answers []answer
	for range 1 + w.rng.IntN(mostQueued) {
		next := w.next()
		w.history = append(w.history, deed{write: next})
		if next.queue != nil {
			answers = append(answers, next.queue(c, p))
			continue
		}
		if err := w.collect(p, first, answers); err != nil {
			return err
		}
		last := len(w.history) - 1
		return w.collectOne(last, next.alone(ctx, c))
	}
	return w.collect(p, first, answers)
}

// collect sends the queued writes and records which are acknowledged.
func (w *writer) collect(p *client.Pipeline, first int, answers []answer) error {
	if len(answers) == 0 {
		return nil
	}
	_ = p.Do(context.Background()) // each has its own error
	for i, a := range answers {
		if err := w.collectOne(first+i, a()); err != nil {
			for j, a := range answers[i+1:] {
				_ = w.collectOne(first+i+1+j, a())
			}
			return err
		}
	}
	return nil
}

func (w *writer) collectOne(i int, err error) error {
	if err == nil {
		w.history[i].acked = time.Now()
		w.acked++
	}
	return err
}

// check compares the tables with their contents after each write and continues from there.
func (w *writer) check(ctx context.Context, c *client.Client, v *verdict) error {
	got, err := readTables(ctx, c, w.prefix)
	if err != nil {
		return err
	}
	found := -1
	m := w.base.clone()
	for i := 0; ; i++ {
		if m.equal(got) {
			found = i
		}
		if i == len(w.history) {
			break
		}
		w.history[i].apply(m)
	}
	if found < 0 {
		return fmt.Errorf(
			"wrong data: the tables of client %d have contents that they never held, of %d writes:\n%s\nafter the "+
				"last they held\n%s",
			w.number,
			len(w.history),
			describe(got),
			describe(m),
		)
	}
	if needed := w.lose(found, got.clone(), v); found < needed {
		v.note("client %d: there are %d of %d writes, and must be %d", w.number, found, len(w.history), needed)
	}
	v.acked += w.acked
	w.base, w.live, w.history, w.acked = got, got.clone(), nil, 0
	return nil
}

// lose counts the acknowledged writes that are not among the first found; m is the contents of the
// tables after those. It returns how many of all writes must be present. A write that changes
// nothing, such as a SETDEFAULT of an existing key, does not wait for the disk: it proves no more
// than a read.
func (w *writer) lose(found int, m model, v *verdict) (needed int) {
	for i, d := range w.history[found:] {
		before := m.clone()
		d.apply(m)
		if d.acked.IsZero() || m.equal(before) {
			continue
		}
		if v.lose(d.acked); !v.mayLose(d.acked) {
			needed = found + i + 1
		}
	}
	return needed
}

func describe(m model) string {
	var s string
	for name, t := range m {
		s += fmt.Sprintf(
			"%q: %d keys, %d elements: %.300q %.300q %.300v\n",
			name,
			len(t.keys),
			len(t.elements),
			t.keys,
			t.elements,
			t.vals,
		)
	}
	return s
}
