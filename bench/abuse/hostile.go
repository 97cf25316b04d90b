package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"time"

	"cyberdb-fast/codec"
)

const (
	hostiles      = 8                      // connections
	hostileTime   = 8 * time.Second        // their default duration
	hostileBound  = 250 * time.Millisecond // for the witness's slowest request
	hostileWindow = 64                     // requests of a connection without a reply
	hostileBytes  = 64 << 10               // of a request, at most
	// requests of each kind that are encoded in advance
	hostileKinds = 40
)

// hostile makes some connections send costly requests in pipelines, as fast as they get replies.
// The generator has one processor.
func hostile(kinds ...[]costlyRequest) func(a *attack) error {
	return func(a *attack) error {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
		if err := a.furnishCostly(); err != nil {
			return err
		}
		ready := readyRequests(a.rand(0), slices.Concat(kinds...))
		end := time.Now().Add(a.duration(hostileTime))
		return each(hostiles, hostiles, func(i int) error {
			c, err := a.enter()
			if err != nil {
				return err
			}
			return c.pour(a.rand(i+1), ready, end)
		})
	}
}

// readyRequest is a request that is encoded but for its id.
type readyRequest struct {
	op   codec.Opcode
	args []byte
}

func readyRequests(rng *rand.Rand, kinds []costlyRequest) (ready []readyRequest) {
	for _, k := range kinds {
		for range hostileKinds {
			if args := encoded(k.args(rng)...); len(args) <= hostileBytes {
				ready = append(ready, readyRequest{k.op, args})
			}
		}
	}
	return ready
}

// pour sends random requests until the end and reads the replies. Errors count as replies.
func (c *conn) pour(rng *rand.Rand, ready []readyRequest, end time.Time) (err error) {
	window := make(chan codec.Opcode, hostileWindow)
	read := make(chan error, 1)
	go func() { read <- c.readAll(window) }()
	for err == nil && time.Now().Before(end) {
		var frames []byte
		var ops []codec.Opcode
		for len(frames) < hostileBytes/2 && len(ops) < hostileWindow/4 {
			r := &ready[rng.IntN(len(ready))]
			c.id++
			frames = codec.AppendRequest(frames, &codec.Request{ID: c.id, Op: r.op, Args: r.args})
			ops = append(ops, r.op)
		}
		err = c.send(frames)
		for _, op := range ops {
			window <- op
		}
	}
	close(window)
	return errors.Join(err, <-read)
}

// readAll reads a reply for each request of the window, as far as they arrive.
func (c *conn) readAll(window <-chan codec.Opcode) (err error) {
	for op := range window {
		var reply codec.Reply
		if err == nil {
			reply, err = c.reply()
		}
		if err == nil && reply.Status == codec.StatusInternal {
			err = fmt.Errorf("%v: %v", op, reply.Status)
		}
	}
	return err
}
