package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/secure"
)

const witnessRole = "witness"

const (
	witnessConns   = 3                     // connections that stay
	requestPace    = 4 * time.Millisecond  // between two requests of one
	loginPace      = 50 * time.Millisecond // between two logins
	witnessTable   = "witness"
	witnessEntries = 2000
)

// summons is the input of a witness, as one line of JSON.
type summons struct {
	Addr     string
	Key      []byte
	Encrypt  bool
	ReadOnly bool // the server may have no memory for its writes
}

// testimony is the output of a witness, as one line of JSON.
type testimony struct {
	Requests       int
	Logins         int
	Refused        int // logins, while the server was full
	SlowestRequest time.Duration
	Median         time.Duration // of requests
	P99, P999      time.Duration
	SlowestLogin   time.Duration
	Failures       []string // of requests
	FailedLogins   []string // without the refused ones; ten at most
}

// witness is an ordinary client until done is closed.
type witness struct {
	summons
	done chan struct{}

	mu   sync.Mutex
	seen testimony       // guarded by mu
	took []time.Duration // of each request; guarded by mu
}

// bearWitness reads a summons, prints "ready" once it is served, and its testimony once the input
// ends.
func bearWitness(in io.Reader, out io.Writer) error {
	w := &witness{done: make(chan struct{})}
	lines := bufio.NewReader(in)
	line, err := lines.ReadBytes('\n')
	if err != nil {
		return err
	}
	if err := json.Unmarshal(line, &w.summons); err != nil {
		return err
	}
	var users sync.WaitGroup
	for i := range witnessConns {
		c, err := w.connect()
		if err != nil {
			return err
		}
		if i == 0 {
			if err := furnishTable(c); err != nil {
				return err
			}
		}
		users.Go(func() { w.use(c, i) })
	}
	users.Go(w.logIn)
	fmt.Fprintln(out, "ready")
	_, _ = io.Copy(io.Discard, lines)
	close(w.done)
	users.Wait()
	w.seen.Median, w.seen.P99, w.seen.P999 = quantile(w.took, 0.5), quantile(w.took, 0.99), quantile(w.took, 0.999)
	return json.NewEncoder(out).Encode(&w.seen)
}

func (w *witness) connect() (*conn, error) {
	c, err := dial("tcp", w.Addr, "", w.Key, w.Encrypt)
	if err != nil {
		return nil, err
	}
	if err := c.login(); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

func furnishTable(c *conn) error {
	args := []any{witnessTable, false}
	for i := range witnessEntries {
		args = append(args, i, fmt.Sprint("value ", i))
	}
	if err := c.ok(codec.OpCreateDict, args...); err != nil {
		return err
	}
	return c.ok(codec.OpCreateList, witnessTable+" list", false)
}

// user is one of the connections that stay.
type user struct {
	*conn
	readOnly bool
	key      string
	count    int64 // what the key's value must be
}

// use makes requests of one connection, each of which has one right answer.
func (w *witness) use(c *conn, number int) {
	defer c.Close()
	u := &user{conn: c, key: fmt.Sprint("user ", number), readOnly: w.ReadOnly}
	pace := time.NewTicker(requestPace)
	defer pace.Stop()
	for n := 0; ; n++ {
		select {
		case <-w.done:
			return
		case <-pace.C:
		}
		start := time.Now()
		err := u.round(n)
		if !w.saw(time.Since(start), err) {
			return
		}
	}
}

// round is one request, sometimes a longer one.
func (u *user) round(n int) error {
	const list = witnessTable + " list"
	switch {
	case n%240 == 3:
		return u.ok(codec.OpDictValues, witnessTable)
	case n%6 == 0 || u.readOnly:
		return u.answers(
			encoded(fmt.Sprint("value ", n%witnessEntries)),
			codec.OpDictGet,
			witnessTable,
			n%witnessEntries,
		)
	case n%6 == 1:
		return u.answers(nil, codec.OpListAppend, list, n)
	case n%6 == 2:
		return u.ok(codec.OpListPopLeft, list)
	}
	u.count++
	return u.answers(encoded(u.count), codec.OpDictIncrement, witnessTable, u.key, 1)
}

// answers makes a request that has one right answer.
func (u *user) answers(want []byte, op codec.Opcode, args ...any) error {
	reply, err := u.call(op, args...)
	switch {
	case err != nil:
		return fmt.Errorf("%v: %w", op, err)
	case reply.Status != codec.StatusOK:
		e, _ := codec.ParseErrorBody(reply.Status, reply.Body)
		return fmt.Errorf("%v: %w", op, e)
	case !bytes.Equal(reply.Body, want):
		return fmt.Errorf("%v: %x, want %x", op, reply.Body, want)
	}
	return nil
}

// saw records a request and returns false if it failed.
func (w *witness) saw(took time.Duration, err error) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen.Requests++
	w.took = append(w.took, took)
	w.seen.SlowestRequest = max(w.seen.SlowestRequest, took)
	if err != nil {
		w.seen.Failures = append(w.seen.Failures, fmt.Sprintf("after %v: %v", took.Round(time.Millisecond), err))
	}
	return err == nil
}

// quantile returns the time within which the share q of the requests had a reply.
func quantile(took []time.Duration, q float64) time.Duration {
	if len(took) == 0 {
		return 0
	}
	slices.Sort(took)
	return took[min(int(q*float64(len(took))), len(took)-1)]
}

// logIn makes new connections, each for one request.
func (w *witness) logIn() {
	pace := time.NewTicker(loginPace)
	defer pace.Stop()
	for {
		start := time.Now()
		c, err := w.connect()
		if err == nil {
			err = c.ok(codec.OpPing)
			_ = c.Close()
		}
		w.sawLogin(time.Since(start), err)
		select {
		case <-w.done:
			return
		case <-pace.C:
		}
	}
}

func (w *witness) sawLogin(took time.Duration, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var refusal *secure.Refusal
	switch {
	case err == nil:
		w.seen.Logins++
		w.seen.SlowestLogin = max(w.seen.SlowestLogin, took)
	case errors.As(err, &refusal) && refusal.Code == secure.RefusedTooManyConnections:
		w.seen.Refused++
	case len(w.seen.FailedLogins) < 10:
		w.seen.FailedLogins = append(
			w.seen.FailedLogins,
			fmt.Sprintf("after %v: %v", took.Round(time.Millisecond), err),
		)
	}
}
