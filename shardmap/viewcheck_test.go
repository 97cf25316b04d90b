package shardmap

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tinylib/msgp/msgp"
)

// The checker of views. Writers change dicts and lists, by one key and by many, while others
// create, drop and rename them; a log records each request. Readers open views of tables and of the
// whole store, wait until writers have continued, and note what the views show. Afterwards the
// requests are repeated, one by one in the order of their LSNs, on plain dicts and slices, by
// the tables' names: a view with the LSN C must show, in order and each entry once, what these
// hold after exactly the requests with LSNs up to C. C must have been the last LSN while the view
// was being opened, and the LSNs of the requests leave no gap: a view assigns none.

type shownTable struct {
	name  string
	kind  Kind
	born  uint64 // 0: not shown
	items []shown
	err   error
}

// reading is what one view showed.
type reading struct {
	number        uint64
	before, after uint64 // the clock before the view was opened, and after
	name          string // "": the whole store
	tables        []shownTable
}

// trialCase says what a trial is made of.
type trialCase struct {
	name  string
	keys  int
	split int
	whole bool // views of the whole store, and tables that come and go
}

// trial is one run of writers and readers.
type trial struct {
	trialCase
	store *Store

	mu       sync.Mutex
	records  []record
	readings []reading
	read     atomic.Int64 // views read
	stop     chan struct{}
	stopped  sync.Once
	tasks    sync.WaitGroup
}

func (tr *trial) finish() { tr.stopped.Do(func() { close(tr.stop) }) }

func (tr *trial) running() bool {
	select {
	case <-tr.stop:
		return false
	default:
		return true
	}
}

// task runs f over and over until the trial ends, and keeps what was logged.
func (tr *trial) task(seed uint64, f func(w *worker)) {
	tr.tasks.Add(1)
	go func() {
		defer tr.tasks.Done()
		defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
		w := newWorker(tr, seed)
		for tr.running() {
			f(w)
		}
		w.done()
	}()
}

// worker is one goroutine of a trial, and the log of its own calls.
type worker struct {
	trial    *trial
	pick     *rand.Rand
	call     Call
	asked    []*request
	records  []record
	readings []reading
}

func newWorker(tr *trial, seed uint64) *worker {
	w := &worker{trial: tr, pick: rand.New(rand.NewPCG(seed, 1))}
	w.call.Log = w
	return w
}

func (w *worker) done() {
	w.trial.mu.Lock()
	defer w.trial.mu.Unlock()
	w.trial.records = append(w.trial.records, w.records...)
	w.trial.readings = append(w.trial.readings, w.readings...)
}

// Append implements Log.
func (w *worker) Append(lsn, n uint64, _ int64, asked []byte) {
	rec := record{lsn: lsn, n: n}
	if len(asked) > 0 {
		rec.asked = w.asked[binary.LittleEndian.Uint32(asked)]
	}
	w.records = append(w.records, rec)
}

// ask makes a request: an inline call, repeated until the table is not locked, waiting in between
// as an event loop does. A call that is too long is made in the background.
func (w *worker) ask(t *Table, r *request, f func() error) error {
	w.call.Request = binary.LittleEndian.AppendUint32(w.call.Request[:0], uint32(len(w.asked)))
	w.asked = append(w.asked, r)
	logged := len(w.records)
	defer func() {
		if len(w.records) == logged {
			w.asked = w.asked[:len(w.asked)-1]
		}
	}()
	for {
		err := f()
		if errors.Is(err, ErrLong) {
			w.call.MayBlock = true
			err = f()
			w.call.MayBlock = false
		}
		if !errors.Is(err, ErrBusy) || t == nil {
			return err
		}
		woken := make(chan struct{})
		if t.WhenUnlocked(func() { close(woken) }) {
			<-woken
		}
	}
}

// write makes one change to the table of a name, if there is one.
func (w *worker) write(name string) {
	t, ok := w.trial.store.Lookup(&w.call, []byte(name))
	switch {
	case !ok:
	case t.Kind() == KindDict:
		w.writeDict(t, name)
	default:
		w.writeList(t, name)
	}
}

func (w *worker) writeDict(t *Table, name string) {
	d := t.Dict()
	r := &request{name: name, keys: []int{w.pick.IntN(w.trial.keys)}, vals: []uint32{w.pick.Uint32()}}
	if w.pick.IntN(20) == 0 {
		r.keys[0] = -1 - w.pick.IntN(5) // a counter
	}
	key := msgp.AppendInt(nil, r.keys[0])
	switch n := w.pick.IntN(1000); {
	case r.keys[0] < 0 && n < 800:
		r.kind, r.vals[0] = requestIncrement, 1
		_ = w.ask(t, r, func() error { _, err := d.Increment(&w.call, nil, key, []byte{1}); return err })
	case n < 500:
		if r.keys[0] >= 0 {
			_ = w.ask(t, r, func() error { return d.Set(&w.call, key, encodeVal(r.vals[0])) })
		}
	case n < 700:
		r.kind = requestRemove
		_ = w.ask(t, r, func() error { return d.Delete(&w.call, key) })
	case n < 800:
		r.kind = requestPopItem
		_ = w.ask(t, r, func() error {
			item, err := d.PopItem(&w.call, nil)
			if err == nil {
				r.got, _, err = msgp.ReadIntBytes(item)
			}
			return err
		})
	case n < 805:
		r.kind = requestClear
		_ = w.ask(t, r, func() error { return d.Clear(&w.call) })
	case n < 808:
		w.update(t, name, InlineElements+1)
	default:
		w.update(t, name, 2+w.pick.IntN(8))
	}
}

// update stores n keys at once.
func (w *worker) update(t *Table, name string, n int) {
	r := &request{kind: requestUpdate, name: name}
	packed := w.content(r, KindDict, n)
	_ = w.ask(t, r, func() error { return t.Dict().Update(&w.call, packed, n) })
}

// content makes up n pairs of key and value, or n elements.
func (w *worker) content(r *request, kind Kind, n int) (packed []byte) {
	for range n {
		if kind == KindList {
			r.vals = append(r.vals, uint32(w.pick.IntN(1000)))
			packed = msgp.AppendInt(packed, int(r.vals[len(r.vals)-1]))
			continue
		}
		key, val := w.pick.IntN(w.trial.keys), w.pick.Uint32()
		r.keys, r.vals = append(r.keys, key), append(r.vals, val)
		packed = append(msgp.AppendInt(packed, key), encodeVal(val)...)
	}
	return packed
}

func (w *worker) writeList(t *Table, name string) {
	l, length := t.List(), t.Len()
	from := w.pick.IntN(length + 1)
	r := &request{name: name, at: [2]int{from, from + w.pick.IntN(5)}}
	start, stop := int64(r.at[0]), int64(r.at[1])
	one := func(kind requestKind, n int) []byte {
		r.kind = kind
		return w.content(r, KindList, n)
	}
	switch n := w.pick.IntN(1000); {
	case n < 300:
		elem := one(requestAppend, 1)
		_ = w.ask(t, r, func() error { return l.Append(&w.call, elem) })
	case n < 350:
		elem := one(requestInsert, 1)
		_ = w.ask(t, r, func() error { return l.Insert(&w.call, start, elem) })
	case n < 600:
		elem := one(requestSetItem, 1)
		_ = w.ask(t, r, func() error { return l.Set(&w.call, start, elem) })
	case n < 700:
		r.kind = requestPop
		_ = w.ask(t, r, func() error {
			elem, err := l.Pop(&w.call, nil, -1)
			if err == nil {
				r.got, _, err = msgp.ReadIntBytes(elem)
			}
			return err
		})
	case n < 780:
		elems := one(requestSetSlice, 1+w.pick.IntN(5))
		_ = w.ask(t, r, func() error { return l.SetSlice(&w.call, &start, &stop, nil, elems, len(r.vals)) })
	case n < 930:
		r.kind = requestDeleteSlice
		if w.pick.IntN(10) == 0 {
			r.at[1], stop = length, int64(length)
		}
		_ = w.ask(t, r, func() error { return l.DelSlice(&w.call, &start, &stop, nil) })
	case n < 960:
		r.kind = requestReverse
		_ = w.ask(t, r, func() error { return l.Reverse(&w.call) })
	case n < 985:
		r.kind = requestSort
		_ = w.ask(t, r, func() error { return l.Sort(&w.call, nil, false) })
	case n < 990:
		r.kind = requestClear
		_ = w.ask(t, r, func() error { return l.Clear(&w.call) })
	default:
		few := 1 + w.pick.IntN(20)
		if n == 999 && length < InlineElements {
			few = InlineElements + 1
		}
		elems := one(requestAppend, few)
		_ = w.ask(t, r, func() error { return l.Extend(&w.call, elems, few) })
	}
}

// tableName picks one of a few names.
func (w *worker) tableName() string { return fmt.Sprint("table", w.pick.IntN(4)) }

// administer creates, drops or renames one of a few tables.
func (w *worker) administer() {
	s, r := w.trial.store, &request{name: w.tableName(), other: w.tableName()}
	t, there := s.Lookup(&w.call, []byte(r.name))
	switch {
	case !there:
		w.create(r, Kind(1+w.pick.IntN(2)), w.pick.IntN(20))
	case w.pick.IntN(3) > 0:
		r.kind = requestRename
		_ = w.ask(t, r, func() error { return s.Rename(&w.call, r.name, r.other) })
	default:
		r.kind = requestDrop
		_ = w.ask(t, r, func() error { return s.Drop(&w.call, r.name) })
	}
}

func (w *worker) create(r *request, kind Kind, n int) {
	r.kind, r.table = requestCreate, kind
	packed := w.content(r, kind, n)
	_ = w.ask(nil, r, func() error { _, err := w.trial.store.Create(&w.call, r.name, kind, packed, n); return err })
}

// openReading is a view that is open.
type openReading struct {
	reading
	show  func() []shownTable
	close func()
}

// open opens a view of the store, or of a table; nil: there is none of the name.
func (w *worker) open() *openReading {
	o := &openReading{reading: reading{before: w.trial.store.Clock()}}
	drain := w.pick.IntN(2) == 0
	if w.trial.whole && w.pick.IntN(4) > 0 {
		v := w.trial.store.View()
		o.number, o.show, o.close = v.LSN(), func() []shownTable { return showStore(v, drain) }, v.Close
	} else if !w.openTable(o, drain) {
		return nil
	}
	o.after = w.trial.store.Clock()
	return o
}

func (w *worker) openTable(o *openReading, drain bool) bool {
	o.name = w.tableName()
	t, ok := w.trial.store.Lookup(&w.call, []byte(o.name))
	switch {
	case !ok:
		return false
	case t.Kind() == KindDict:
		v, err := t.Dict().view(&w.call)
		if err != nil {
			return false // dropped or renamed
		}
		o.number, o.close = v.LSN(), v.Close
		o.show = func() []shownTable { return []shownTable{showDict(o.name, 0, v, drain)} }
	default:
		v, err := t.List().View(&w.call)
		if err != nil {
			return false
		}
		o.number, o.close = v.LSN(), v.Close
		o.show = func() []shownTable { return []shownTable{showList(o.name, 0, v)} }
	}
	return true
}

// read opens a few views, one after another, and reads them in some order while writers continue.
func (w *worker) read() {
	var views []*openReading
	for range 1 + w.pick.IntN(3) {
		if o := w.open(); o != nil {
			views = append(views, o)
		}
		w.await(uint64(w.pick.IntN(40)))
	}
	for len(views) > 0 {
		i := w.pick.IntN(len(views))
		o := views[i]
		views = slices.Delete(views, i, i+1)
		o.tables = o.show()
		o.close()
		w.trial.read.Add(1)
		w.readings = append(w.readings, o.reading)
	}
}

// await returns when n more LSNs were assigned, or when nothing seems to happen.
func (w *worker) await(n uint64) {
	until := w.trial.store.Clock() + n
	for spins := 0; w.trial.store.Clock() < until && spins < 1000; spins++ {
		runtime.Gosched()
	}
}

func showStore(v *View, drain bool) []shownTable {
	var all []shownTable
	for name, t := range v.Tables() {
		if t.Kind() == KindDict {
			all = append(all, showDict(name, t.Created(), t.Dict(), drain))
		} else {
			all = append(all, showList(name, t.Created(), t.List()))
		}
	}
	return all
}

func showDict(name string, born uint64, v *DictView, drain bool) (table shownTable) {
	table.name, table.kind, table.born = name, KindDict, born
	defer func() {
		if p := recover(); p != nil { // a view that is broken on purpose may read freed memory
			table.err = fmt.Errorf("panic: %v", p)
		}
	}()
	n, entries := -1, v.Drain
	if !drain {
		n, entries = v.Len(), v.EntriesVersioned
	}
	for e := range entries() {
		key, _, err := msgp.ReadIntBytes(e.Key)
		val, valErr := decodeVal(e.Val)
		table.err = errors.Join(table.err, err, valErr)
		table.items = append(table.items, shown{key: key, val: val, version: e.Version, place: e.Place})
	}
	if n >= 0 && n != len(table.items) {
		table.err = errors.Join(table.err, fmt.Errorf("len is %d, entries are %d", n, len(table.items)))
	}
	return table
}

func showList(name string, born uint64, v *ListView) (table shownTable) {
	table.name, table.kind, table.born = name, KindList, born
	for elem := range v.Values() {
		val, err := decodeVal(elem)
		table.err = errors.Join(table.err, err)
		table.items = append(table.items, shown{val: val})
	}
	if n := v.Len(); n != len(table.items) {
		table.err = errors.Join(table.err, fmt.Errorf("len is %d, elements are %d", n, len(table.items)))
	}
	return table
}

// check makes all requests again and compares every reading. It returns the first difference.
func (tr *trial) check() error {
	slices.SortFunc(tr.records, func(a, b record) int { return cmp.Compare(a.lsn, b.lsn) })
	slices.SortFunc(tr.readings, func(a, b reading) int { return cmp.Compare(a.number, b.number) })
	tables, next, readings := replicas{}, uint64(1), tr.readings
	for _, rec := range append(tr.records, record{lsn: tr.store.Clock() + 1}) {
		for ; len(readings) > 0 && readings[0].number < rec.lsn; readings = readings[1:] {
			if err := readings[0].compare(tables); err != nil {
				return fmt.Errorf("view %d of %q: %w", readings[0].number, readings[0].name, err)
			}
		}
		if rec.lsn != next {
			return fmt.Errorf("%d is the next LSN that was logged, %d the next assigned", rec.lsn, next)
		}
		next += rec.n
		if rec.asked == nil {
			break // the end
		}
		if err := tables.apply(rec); err != nil {
			return fmt.Errorf("request %d: %w", rec.lsn, err)
		}
	}
	return nil
}

func (r *reading) compare(tables replicas) error {
	if r.number < r.before || r.number > r.after {
		return fmt.Errorf("the clock was at %d before it was opened, at %d after", r.before, r.after)
	}
	var born uint64
	for i := range r.tables {
		t := &r.tables[i]
		want := tables[t.name]
		switch {
		case want == nil:
			return fmt.Errorf("shows table %q, which was not there", t.name)
		case r.name == "" && (t.born != want.born || t.born <= born):
			return fmt.Errorf(
				"shows table %q of %d, which was created at %d, after one of %d",
				t.name,
				t.born,
				want.born,
				born,
			)
		}
		born = want.born
		if err := t.compare(want); err != nil {
			return fmt.Errorf("table %q: %w", want.name, err)
		}
	}
	if r.name == "" && len(r.tables) != len(tables) {
		return fmt.Errorf("shows %d tables of %d", len(r.tables), len(tables))
	}
	return nil
}

func (t *shownTable) compare(want *replica) error {
	if t.err != nil {
		return t.err
	}
	if t.kind != want.kind || len(t.items) != want.length() {
		return fmt.Errorf("shows a %v of %d, want a %v of %d", t.kind, len(t.items), want.kind, want.length())
	}
	i := 0
	for _, e := range want.items {
		if e.dead {
			continue
		}
		if t.items[i] != e {
			return fmt.Errorf("shows %v at %d, want %v", t.items[i], i, e)
		}
		i++
	}
	return nil
}

// trialViews is how many views a trial reads at least.
const trialViews = 60

// runTrial lets writers and readers at a store for a time.
func runTrial(seed uint64, c trialCase, period time.Duration) *trial {
	start := time.Now()
	tr := &trial{trialCase: c, store: NewStore(), stop: make(chan struct{})}
	tr.store.minSplit = c.split
	first := newWorker(tr, seed)
	for i, kind := range []Kind{KindDict, KindDict, KindList} {
		first.create(&request{name: fmt.Sprint("table", i)}, kind, 10)
	}
	first.done()
	for i := range uint64(3) {
		tr.task(seed+1+i, func(w *worker) { w.write(w.tableName()) })
	}
	for i := range uint64(3) {
		tr.task(seed+10+i, func(w *worker) {
			w.read()
			if tr.read.Load() >= trialViews && time.Since(start) > period {
				tr.finish()
			}
		})
	}
	if c.whole {
		tr.task(seed+20, func(w *worker) {
			w.administer()
			w.await(20)
		})
	}
	tr.tasks.Wait()
	return tr
}

var trialCases = []trialCase{
	{"one shard", 50, minSplit, false},
	{"many shards", 300, 8, false},
	{"full shards", 30000, minSplit, false},
	{"store", 200, 8, true},
	{"store of full shards", 20000, 2000, true},
}

// TestViewsUnderWriters checks views. CYBERDB_VIEWS is how many at least, in all.
func TestViewsUnderWriters(t *testing.T) {
	most := 0
	if text := os.Getenv("CYBERDB_VIEWS"); text != "" {
		var err error
		if most, err = strconv.Atoi(text); err != nil {
			t.Fatalf("CYBERDB_VIEWS: %v", err)
		}
	}
	for _, c := range trialCases {
		t.Run(c.name, func(t *testing.T) {
			pick := seeded(t)
			views, requests := 0, 0
			for views == 0 || views < most/len(trialCases) {
				tr := runTrial(pick.Uint64(), c, time.Second)
				if err := tr.check(); err != nil {
					t.Fatal(err)
				}
				if kept := tr.store.Stats().RetiredBytes; kept != 0 {
					t.Fatalf("%d bytes are kept for views that are closed", kept)
				}
				views, requests = views+len(tr.readings), requests+len(tr.records)
			}
			t.Logf("%d views checked against %d requests", views, requests)
		})
	}
}
