package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"cyberdb-fast/client"
)

// deed is a write that was sent.
type deed struct {
	*write
	acked time.Time // zero: it is not known whether it was applied
}

// writer is one client, which writes as fast as it is answered, over all cycles.
type writer struct {
	author
	number  int
	onDisk  bool // that loses power: the server may find that it cannot write
	shared  *shared
	base    model  // what the tables held when the cycle began
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

// mostQueued is how many writes travel together.
const mostQueued = 12

// run writes until the connection ends.
func (w *writer) run(srv *server) {
	c, err := srv.connect()
	if err != nil {
		return // the end came first
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

// isEnd says whether an error is what a client sees when its server ends, or, on a disk that loses
// power, can write no more.
func isEnd(err error, onDisk bool) bool {
	if errors.Is(err, client.ErrNotDurable) || errors.Is(err, client.ErrReadOnly) {
		return onDisk
	}
	return errors.Is(err, client.ErrConnectionLost) || errors.Is(err, client.ErrUnsent) ||
		errors.Is(err, client.ErrShuttingDown)
}

// step sends some writes together, or one that goes alone.
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

// collect sends what is queued and notes which writes are acknowledged.
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

// check compares what the tables hold with what they held after each write, and goes on from there.
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
			"wrong data: the tables of client %d hold what they never held, of %d writes:\n%s\nafter the last "+
				"they held\n%s",
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

// lose counts the acknowledged writes that are not among the first found, of which m holds what the
// tables held after them. It returns how many of all writes must be there. One that changes
// nothing, such as a SETDEFAULT of a key that is there, waits for no disk: it tells no more than a
// read.
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
