package loop

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"cyberdb-fast/codec"
	"cyberdb-fast/loop/engine/conformance"
)

// linearTimeout bounds the search for an order, which grows fast with the number of concurrent
// requests. A history without a verdict is not counted.
const linearTimeout = 2 * time.Second

// verdicts counts histories.
type verdicts struct{ checked, undecided int }

// check says whether a history has an order, or none was sought long enough.
func (v *verdicts) check(model porcupine.Model, ops []porcupine.Operation) bool {
	v.checked++
	verdict := porcupine.CheckOperationsTimeout(model, ops, linearTimeout)
	if verdict == porcupine.Unknown {
		v.undecided++
	}
	return verdict != porcupine.Illegal
}

// enough fails the test if no history has a verdict, and if many have none in the long form: how
// long one takes depends on the machine.
func (v *verdicts) enough(t *testing.T) {
	t.Helper()
	t.Logf("%d histories, %d of them without a verdict within %v", v.checked, v.undecided, linearTimeout)
	if v.undecided == v.checked || conformance.Long() && v.undecided > v.checked/4 {
		t.Error("too many histories without a verdict")
	}
}

// textOf returns a history, a line for each request.
func textOf(ops []porcupine.Operation) string {
	slices.SortFunc(ops, func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })
	var text strings.Builder
	for _, op := range ops {
		until := fmt.Sprintf("to %8d", op.Return)
		if op.Return == noReply {
			until = "and is lost"
		}
		fmt.Fprintf(&text, "%8d %s ns, client %d: %v -> %v\n", op.Call, until, op.ClientId, op.Input, op.Output)
	}
	return text.String()
}

// together runs n clients at once and returns what they noted.
func together(n int, client func(i int) ([]porcupine.Operation, error)) ([]porcupine.Operation, error) {
	noted, failed := make([][]porcupine.Operation, n), make([]error, n)
	var clients sync.WaitGroup
	for i := range n {
		clients.Go(func() { noted[i], failed[i] = client(i) })
	}
	clients.Wait()
	return slices.Concat(noted...), errors.Join(failed...)
}

// noReply is the time of a reply that does not come.
const noReply = int64(1) << 62

// timedInput is a request in a history in which leases end.
type timedInput struct {
	linearInput
	first     int64 // when it was sent, or asked for the first time with the same claim
	call, ret int64 // it was executed between these; noReply: the outcome is unknown
}

// leaseSlack is how far ends of leases may be off: times of the store are milliseconds.
const leaseSlack = int64(3 * time.Millisecond)

// lease is a time in which something is held: up to least for sure, and not beyond most.
type lease struct{ least, most int64 }

// leaseFrom returns a lease of so many milliseconds that begins with a request.
func leaseFrom(in timedInput, ms int64) lease {
	l := lease{in.first + ms*int64(time.Millisecond) - leaseSlack, noReply}
	if in.ret != noReply && ms < leaseTime {
		l.most = in.ret + ms*int64(time.Millisecond) + leaseSlack
	}
	return l
}

func (l lease) mayBeOver(in timedInput) bool { return in.ret >= l.least }
func (l lease) mayHold(in timedInput) bool   { return in.call <= l.most }

// loses says how a client loses its connection.
type loses int

const (
	keeps   loses = iota
	atOnce        // when the request is sent
	shortly       // a moment later
)

// noter is a client of a history in which leases end. It notes what it asks and what it is
// answered; when the connection is lost, the outcome is unknown, and it opens another one.
type noter struct {
	*course
	number int64
	rng    *rand.Rand
	lossy  int
	wire   *wire // nil: it has to be opened
	ops    []porcupine.Operation
}

// connect dials again if the login takes longer than the server allows: the machine may be busy.
func (c *noter) connect() (w *wire, err error) {
	for range 5 {
		if w, err = c.dial(); err == nil {
			break
		}
	}
	return w, err
}

func (c *noter) now() int64 { return int64(time.Since(c.start)) }

// ask sends a request, whose outcome read takes from the reply. known: there was a reply.
func (c *noter) ask(
	in timedInput, req *codec.Request, read func(codec.Reply) (linearOutput, error),
) (out linearOutput, known bool, err error) {
	if c.wire == nil {
		if c.wire, err = c.connect(); err != nil {
			return out, false, err
		}
	}
	lose := c.someLoss()
	c.wire.id++
	req.ID = c.wire.id
	in.call, in.ret = c.now(), noReply
	if in.first == 0 {
		in.first = in.call
	}
	_, err = c.wire.conn.Write(codec.AppendRequest(nil, req))
	if lose == shortly {
		time.Sleep(time.Duration(c.rng.IntN(3000)) * time.Microsecond) // a random moment, not a wait
	}
	var reply codec.Reply
	if err == nil && lose == keeps {
		reply, err = c.wire.reply()
	}
	if err != nil || lose != keeps {
		_ = c.wire.conn.Close()
		c.wire = nil
	} else {
		in.ret = c.now()
		c.answered.Add(1)
		if out, err = read(reply); err != nil {
			return out, true, fmt.Errorf("%v: %w", in, err)
		}
	}
	out.lost = in.ret == noReply
	c.ops = append(c.ops, porcupine.Operation{
		ClientId: int(c.number), Input: in, Output: out, Call: in.call, Return: in.ret,
	})
	return out, !out.lost, nil
}

// intsOf reads the values of a body: ints, bools, and nil or the absence of a value.
func (c *noter) intsOf(body []byte) (all []int64) {
	for _, v := range decodeAll(c, body) {
		switch v := v.(type) {
		case int64:
			all = append(all, v)
		case bool:
			all = append(all, flagInt(v))
		default:
			all = append(all, absentInt)
		}
	}
	return all
}

// statusOf returns the output for a reply that is one of these errors, with its key's ints.
func (c *noter) statusOf(reply codec.Reply, allowed ...codec.Status) (linearOutput, error) {
	e, err := codec.ParseErrorBody(reply.Status, reply.Body)
	switch {
	case err != nil:
		return linearOutput{}, err
	case !slices.Contains(allowed, reply.Status):
		return linearOutput{}, e
	}
	return linearOutput{status: reply.Status, vals: c.intsOf(e.Key)}, nil
}

// course says how a history is made.
type course struct {
	*testing.T
	dial    func() (*wire, error)
	clients int
	seed    uint64
	lossy   int   // each client loses its connection once in so many requests; 0: never
	longest int64 // lease, in milliseconds
	start   time.Time

	answered atomic.Int64 // requests
}

// courseOn returns a course of five clients of a server, which lose their connections in every
// other round, and whose leases all end in every other two.
func courseOn(t *testing.T, srv *Server, seed uint64, round int) *course {
	h := &course{
		T: t, clients: 5, seed: seed + uint64(round), longest: leaseTime,
		dial: func() (*wire, error) { return tryDial(t, srv, testKey) },
	}
	if round%2 == 1 {
		h.lossy = 12
	}
	if round%4 < 2 {
		h.longest = 40
	}
	return h
}

// noter returns a client that has no connection yet.
func (h *course) noter(number int) *noter {
	return &noter{
		course: h, number: int64(number), rng: rand.New(rand.NewPCG(h.seed, uint64(number))), lossy: h.lossy,
	}
}

// run has the clients make requests at once, each by what newClient returns for it.
func (h *course) run(newClient func(c *noter) (one func() error)) ([]porcupine.Operation, error) {
	h.start = time.Now()
	return together(h.clients, func(i int) ([]porcupine.Operation, error) {
		c := h.noter(i + 1)
		one := newClient(c)
		defer c.close()
		for range 12 {
			if err := one(); err != nil {
				return nil, err
			}
		}
		return c.ops, nil
	})
}

func (c *noter) close() {
	if c.wire != nil {
		_ = c.wire.conn.Close()
	}
}

// someLoss draws whether the connection is lost.
func (c *noter) someLoss() loses {
	if c.lossy == 0 || c.rng.IntN(c.lossy) > 0 {
		return keeps
	}
	return atOnce + loses(c.rng.IntN(2))
}

// linearRounds is how many histories a test makes.
func linearRounds() int {
	switch {
	case conformance.Long():
		return 2000
	case testing.Short():
		return 15
	}
	return 20
}

// someLease returns a time to hold something for, in milliseconds: longest, or one that ends within
// a history.
func someLease(rng *rand.Rand, longest int64) int64 {
	return []int64{longest, longest, 2 + rng.Int64N(8), 10 + rng.Int64N(30)}[rng.IntN(4)]
}
