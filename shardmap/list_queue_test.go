package shardmap

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/tinylib/msgp/msgp"
)

// queueLog records what changes two lists, to do it again.
type queueLog struct {
	effects []func(c *Call, s *Store) error
	steps   []loggedStep
	present func(c *Call, s *Store) error // the request of the call
}

type loggedStep struct {
	lsn, n uint64
	time   int64
	run    func(c *Call, s *Store) error
}

// Append implements Log.
func (g *queueLog) Append(lsn, n uint64, time int64, request []byte) {
	run := g.present
	if len(request) > 0 {
		i, _, _ := msgp.ReadIntBytes(request)
		run = g.effects[i]
	}
	g.steps = append(g.steps, loggedStep{lsn, n, time, run})
}

func (g *queueLog) effect(dst []byte, run func(c *Call, s *Store) error) []byte {
	g.effects = append(g.effects, run)
	return msgp.AppendInt(dst, len(g.effects)-1)
}

// Forget implements Effects.
func (g *queueLog) Forget(dst []byte, _ string, _ Reason, _ []Forgotten) []byte { return dst }

// Horizon implements Effects.
func (g *queueLog) Horizon(dst []byte, _ string, _ uint64) []byte { return dst }

// Return implements Effects.
func (g *queueLog) Return(dst []byte, table, deadLetters string, items []Returned) []byte {
	items = slices.Clone(items)
	return g.effect(dst, func(c *Call, s *Store) error { return listOf(c, s, table).Return(c, deadLetters, items) })
}

// CreateList implements Effects.
func (g *queueLog) CreateList(dst []byte, table string) []byte {
	return g.effect(dst, func(c *Call, s *Store) error {
		_, err := s.Create(c, table, KindList, nil, 0)
		return err
	})
}

func listOf(c *Call, s *Store, name string) *List {
	t, ok := s.Lookup(c, []byte(name))
	if !ok {
		return nil
	}
	return t.List()
}

// modelItem is an element of the model, or an item that it holds.
type modelItem struct {
	val        string
	deliveries uint32
	receipt    uint64
	due        int64
	delayed    bool
	claim      Claim
}

// queueModel is what a queue is, in plain slices.
type queueModel struct {
	list, held, dead []modelItem
	options          QueueOptions
	now              int64
}

func (m *queueModel) String() string {
	return fmt.Sprintf("list %v held %v dead %v %+v", plainItems(m.list), m.held, plainItems(m.dead), m.options)
}

func plainItems(items []modelItem) (s []string) {
	for _, i := range items {
		s = append(s, fmt.Sprintf("%x/%d", i.val, i.deliveries))
	}
	return s
}

// find returns the leased item of a receipt whose lease has not ended; -1: there is none.
func (m *queueModel) find(receipt uint64) int {
	return slices.IndexFunc(m.held, func(i modelItem) bool {
		return i.receipt == receipt && !i.delayed && i.due > m.now
	})
}

// back returns an item that is not held any more.
func (m *queueModel) back(item modelItem) {
	dies := m.options.DeadLetter != "" && int(item.deliveries) >= m.options.MaxDeliveries
	switch plain := (modelItem{val: item.val, deliveries: item.deliveries}); {
	case item.delayed:
		m.list = append(m.list, plain)
	case dies:
		m.dead = append(m.dead, modelItem{val: item.val})
	default:
		m.list = slices.Insert(m.list, 0, plain)
	}
}

// sweep returns all that is due.
func (m *queueModel) sweep() {
	var due []modelItem
	m.held = slices.DeleteFunc(m.held, func(i modelItem) bool {
		if i.due <= m.now {
			due = append(due, i)
		}
		return i.due <= m.now
	})
	m.returnAll(due)
}

func (m *queueModel) returnAll(due []modelItem) {
	var leased, dying []modelItem
	slices.SortStableFunc(due, func(a, b modelItem) int { return int(a.due - b.due) })
	for _, i := range due {
		switch {
		case i.delayed:
			m.back(i)
		case m.options.DeadLetter != "" && int(i.deliveries) >= m.options.MaxDeliveries:
			dying = append(dying, i)
		default:
			leased = append(leased, i)
		}
	}
	byReceipt := func(a, b modelItem) int { return int(a.receipt) - int(b.receipt) }
	slices.SortFunc(leased, byReceipt)
	slices.SortFunc(dying, byReceipt)
	for _, i := range dying {
		m.back(i)
	}
	for _, i := range slices.Backward(leased) {
		m.back(i)
	}
}

// contentShown shows all that a list has, as a view shows it.
func contentShown(view *ListView) (items []modelItem, held []modelItem) {
	for n, val := range view.Counted() {
		items = append(items, modelItem{val: string(val), deliveries: n})
	}
	for h := range view.Held() {
		held = append(held, modelItem{string(h.Val), h.Deliveries, h.Receipt, h.Due, h.Delayed, h.Claim})
	}
	return items, held
}

// stateOf shows the queue and its dead letters in a store, in the form of queueModel.String.
func stateOf(s *Store) string {
	v := s.View()
	defer v.Close()
	return stateIn(v)
}

func stateIn(v *View) string {
	var m queueModel
	for name, t := range v.Tables() {
		items, held := contentShown(t.List())
		if name == "dead" {
			m.dead = items
			continue
		}
		m.list, m.held, m.options = items, held, t.List().Options()
	}
	return m.String()
}

// copyOf restores what a store has into another one, as a file does.
func copyOf(t *testing.T, s *Store) *Store {
	t.Helper()
	v := s.View()
	defer v.Close()
	next := NewStore()
	next.SetClock(v.LSN())
	next.SetNow(s.Now())
	for name, table := range v.Tables() {
		r, err := next.Restore(name, KindList, table.Created(), 0)
		if err == nil {
			err = r.ConfigureList(table.List().Options())
		}
		for h := range table.List().Held() {
			err = errors.Join(err, r.Held(h))
		}
		for n, val := range table.List().Counted() {
			err = errors.Join(err, r.Counted(n, val))
		}
		if err = errors.Join(err, r.Done()); err != nil {
			t.Fatal(err)
		}
	}
	return next
}

// queueRun runs random operations on a queue and on its model.
type queueRun struct {
	t     *testing.T
	r     *rand.Rand
	s     *Store
	c     Call
	log   queueLog
	m     queueModel
	views []shownView // with what they must show
	fresh int
}

type shownView struct {
	view *View
	want string
}

func newQueueRun(t *testing.T, r *rand.Rand) *queueRun {
	q := &queueRun{t: t, r: r, s: NewStore()}
	q.c = Call{Log: &q.log, Effects: &q.log}
	q.begin(func(c *Call, s *Store) error {
		_, err := s.Create(c, "queue", KindList, nil, 0)
		return err
	})
	q.m.now = 1000
	q.s.SetNow(q.m.now)
	return q
}

// begin runs a step, and logs it if it changes something.
func (q *queueRun) begin(step func(c *Call, s *Store) error) error {
	q.log.present = step
	q.c.Time, q.c.MayBlock = q.m.now, q.r.IntN(4) == 0
	err := step(&q.c, q.s)
	if errors.Is(err, ErrLong) || errors.Is(err, ErrBusy) {
		q.t.Fatal(err)
	}
	return err
}

// value returns a value that none was before. Some are larger than a leaf.
func (q *queueRun) value() string {
	q.fresh++
	text := fmt.Sprint(q.fresh)
	switch q.r.IntN(60) {
	case 0:
		text += strings.Repeat("x", 5000)
	case 1, 2, 3:
		text += strings.Repeat("x", q.r.IntN(2000))
	}
	return string(msgp.AppendString(nil, text))
}

func (q *queueRun) receipt() uint64 {
	if n := len(q.m.held); n > 0 && q.r.IntN(10) > 0 {
		return q.m.held[q.r.IntN(n)].receipt
	}
	return uint64(q.r.IntN(int(q.s.Clock()) + 5))
}

func (q *queueRun) check(what string, err, want error) {
	q.t.Helper()
	if !errors.Is(err, want) {
		q.t.Fatalf("%s: %v, not %v", what, err, want)
	}
	if got, want := stateOf(q.s), q.m.String(); got != want {
		q.t.Fatalf("after %s:\n%s\nnot\n%s", what, got, want)
	}
}

func (q *queueRun) take() {
	claim := Claim{byte(q.r.IntN(30)), 1: 7}
	lease := int64(q.r.IntN(200) + 1)
	var out []byte
	var there bool
	err := q.begin(func(c *Call, s *Store) (err error) {
		out, there, err = listOf(c, s, "queue").Take(c, nil, claim, lease)
		return err
	})
	claimed := slices.IndexFunc(
		q.m.held,
		func(i modelItem) bool { return !i.delayed && i.claim == claim && i.due > q.m.now },
	)
	var want modelItem
	switch {
	case claimed >= 0:
		want = q.m.held[claimed]
	case len(q.m.list) > 0:
		want = q.m.list[0]
		q.m.list = q.m.list[1:]
		want.deliveries++
		want.receipt, want.due, want.claim = q.c.Version, q.m.now+lease, claim
		q.m.held = append(q.m.held, want)
	}
	if there != (want.receipt > 0) {
		q.t.Fatalf("take: %v, %+v", there, want)
	}
	if there {
		body := msgp.AppendUint32(msgp.AppendUint64(nil, want.receipt), want.deliveries)
		if string(out) != string(body)+want.val {
			q.t.Fatalf("take gave %x, not %+v", out, want)
		}
	}
	q.check("take", err, nil)
}

func (q *queueRun) put() {
	val, delay := q.value(), int64(max(q.r.IntN(300)-100, 0))
	err := q.begin(func(c *Call, s *Store) error { return listOf(c, s, "queue").Put(c, []byte(val), delay) })
	if delay == 0 {
		q.m.list = append(q.m.list, modelItem{val: val})
	} else {
		q.m.held = append(q.m.held, modelItem{val: val, receipt: q.c.Version, due: q.m.now + delay, delayed: true})
	}
	q.check("put", err, nil)
}

// lease does what needs a receipt.
func (q *queueRun) lease() {
	receipt, op, time := q.receipt(), q.r.IntN(4), int64(q.r.IntN(200)+1)
	err := q.begin(func(c *Call, s *Store) error {
		l := listOf(c, s, "queue")
		switch op {
		case 0:
			return l.Ack(c, receipt)
		case 1:
			return l.ExtendLease(c, receipt, time)
		case 2:
			return l.Nack(c, receipt, max(time-100, 0))
		}
		return l.Nack(c, receipt, NackUncounted)
	})
	i := q.m.find(receipt)
	if i < 0 {
		q.check(fmt.Sprint("lease ", op), err, ErrLease)
		return
	}
	item := q.m.held[i]
	dies := q.m.options.DeadLetter != "" && int(item.deliveries) >= q.m.options.MaxDeliveries
	if op != 1 {
		q.m.held = slices.Delete(q.m.held, i, i+1)
	}
	switch {
	case op == 1:
		q.m.held[i].due = q.m.now + time
	case op == 2 && time > 100 && !dies:
		item.receipt, item.due, item.delayed, item.claim = q.c.Version, q.m.now+time-100, true, Claim{}
		q.m.held = append(q.m.held, item)
	case op == 2:
		q.m.back(item)
	case op == 3:
		item.deliveries--
		options := q.m.options
		q.m.options = QueueOptions{}
		q.m.back(item)
		q.m.options = options
	}
	q.check(fmt.Sprint("lease ", op), err, nil)
}

// method calls a method of lists.
func (q *queueRun) method() {
	val, n := q.value(), len(q.m.list)
	i := q.r.IntN(n + 1)
	j := i + q.r.IntN(min(n-i, 5)+1)
	op := q.r.IntN(11)
	if op > 3 && op < 7 && i == n {
		op = 0
	}
	from, to, there := int64(i), int64(j), val
	if i < n {
		there = q.m.list[i].val
	}
	err := q.begin(func(c *Call, s *Store) (err error) {
		l := listOf(c, s, "queue")
		switch op {
		case 0, 1:
			return l.Append(c, []byte(val))
		case 2:
			return l.Insert(c, from, []byte(val))
		case 3:
			return l.Extend(c, []byte(val+val), 2)
		case 4:
			return l.Set(c, from, []byte(val))
		case 5:
			_, err = l.Pop(c, nil, from)
			return err
		case 6:
			return l.Remove(c, []byte(there))
		case 7:
			return l.DelSlice(c, &from, &to, nil)
		case 8:
			return l.SetSlice(c, &from, &to, nil, []byte(val), 1)
		case 9:
			return l.Reverse(c)
		}
		return l.Clear(c)
	})
	forget := func(at int) {
		for k := range q.m.list {
			if k >= at {
				q.m.list[k].deliveries = 0
			}
		}
	}
	switch item := (modelItem{val: val}); op {
	case 0, 1:
		q.m.list = append(q.m.list, item)
	case 2:
		q.m.list = slices.Insert(q.m.list, i, item)
	case 3:
		q.m.list = append(q.m.list, item, item)
	case 4:
		q.m.list[i] = item
	case 5, 6:
		if op == 6 { // equal ones: the first
			i = slices.IndexFunc(q.m.list, func(o modelItem) bool { return o.val == there })
		}
		q.m.list = slices.Delete(slices.Clone(q.m.list), i, i+1)
	case 7:
		if j > i {
			q.m.list = slices.Delete(slices.Clone(q.m.list), i, j)
			forget(i)
		}
	case 8:
		q.m.list = slices.Insert(slices.Delete(slices.Clone(q.m.list), i, j), i, item)
		forget(i)
	case 9:
		if n > 1 {
			slices.Reverse(q.m.list)
			forget(0)
		}
	case 10:
		q.m.list = nil
	}
	q.check(fmt.Sprint("method ", op), err, nil)
}

func (q *queueRun) configure() {
	o := QueueOptions{}
	if q.r.IntN(2) == 0 {
		o = QueueOptions{MaxDeliveries: 1 + q.r.IntN(3), DeadLetter: "dead"}
	}
	err := q.begin(func(c *Call, s *Store) error {
		return listOf(c, s, "queue").Configure(c, func(to *QueueOptions) error {
			*to = o
			return nil
		})
	})
	q.m.options = o
	q.check("configure", err, nil)
}

// pass lets time pass, and then sweeps or not.
func (q *queueRun) pass() {
	q.m.now += int64(q.r.IntN(150))
	q.s.SetNow(q.m.now)
	if q.r.IntN(2) == 0 {
		return
	}
	q.sweep()
}

func (q *queueRun) sweep() {
	c := Call{Log: &q.log, Effects: &q.log, MayBlock: true, Time: q.m.now}
	for more := true; more; {
		_, more = q.s.Sweep(&c)
	}
	q.m.sweep()
	q.check("sweep", nil, nil)
	due := int64(0)
	for _, i := range q.m.held {
		if due == 0 || i.due < due {
			due = i.due
		}
	}
	if got := q.s.NextDue(); due != 0 && (got == 0 || got > due) {
		q.t.Fatalf("the next sweep is at %d, but an item is due at %d", got, due)
	}
}

// restart continues with a copy of the store.
func (q *queueRun) restart() {
	for _, v := range q.views {
		v.view.Close()
	}
	q.views = nil
	q.s = copyOf(q.t, q.s)
	q.check("restart", nil, nil)
}

func (q *queueRun) look() {
	if len(q.views) < 3 {
		q.views = append(q.views, shownView{q.s.View(), q.m.String()})
		return
	}
	i := q.r.IntN(len(q.views))
	if got := stateIn(q.views[i].view); got != q.views[i].want {
		q.t.Fatalf("a view shows\n%s\nnot\n%s", got, q.views[i].want)
	}
	q.views[i].view.Close()
	q.views = slices.Delete(q.views, i, i+1)
}

// replay does again what was logged, and must leave the same.
func (q *queueRun) replay() {
	s, c := NewStore(), Call{MayBlock: true, Replay: true}
	for _, step := range q.log.steps {
		if s.Clock() != step.lsn-1 {
			q.t.Fatalf("the clock is at %d before %d", s.Clock(), step.lsn)
		}
		c.Time = step.time
		if err := step.run(&c, s); err != nil {
			q.t.Fatalf("replay of %d: %v", step.lsn, err)
		}
		if s.Clock() != step.lsn+step.n-1 {
			q.t.Fatalf("%d took %d LSNs, not %d", step.lsn, s.Clock()-step.lsn+1, step.n)
		}
	}
	if got, want := stateOf(s), q.m.String(); got != want {
		q.t.Fatalf("replayed:\n%s\nnot\n%s", got, want)
	}
}

// TestQueueAgainstModel runs random operations on queues, with time, sweeps, views and restarts,
// and compares all that they have with plain slices. What was logged, done again, leaves the same.
func TestQueueAgainstModel(t *testing.T) {
	r := seeded(t)
	for range 30 {
		q := newQueueRun(t, r)
		for range 400 {
			switch r.IntN(16) {
			case 0, 1, 2:
				q.put()
			case 3, 4, 5, 6:
				q.take()
			case 7, 8, 9:
				q.lease()
			case 10, 11:
				q.method()
			case 12, 13:
				q.pass()
			case 14:
				q.look()
			default:
				switch r.IntN(12) {
				case 0:
					q.restart()
				case 1, 2:
					q.configure()
				}
			}
		}
		q.replay()
		q.m.now += 1000
		q.s.SetNow(q.m.now)
		q.sweep()
		q.replay()
		if leased, delayed, err := listOf(&q.c, q.s, "queue").Held(&q.c); leased != 0 || delayed != 0 || err != nil {
			t.Fatalf("%d leased, %d delayed after all leases: %v", leased, delayed, err)
		}
		if err := listOf(&q.c, q.s, "queue").rope.Check(); err != nil {
			t.Fatal(err)
		}
	}
}
