package shardmap

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tinylib/msgp/msgp"
)

// The checker of views. Writers change tables and log each change with its LSN; readers open views, wait until writers have gone on, and
// record what the views show. Afterwards all logged changes are made again, one by one in the order of their LSNs, on plain dicts; a view with the number C must
// show what these hold before the first change with a number above C. The numbers of changes and views together must leave no gap.

type changeKind int

const (
	changeSet changeKind = iota
	changeRemove
	changeClear
	changeCreate
	changeDrop
	changeRename
)

type change struct {
	lsn   uint64
	kind  changeKind
	table *Table
	key   int
	val   uint32
	name  string
}

// shown is an entry as a view shows it.
type shown struct {
	key            int
	val            uint32
	version, place uint64
}

type shownTable struct {
	name    string
	table   *Table
	entries []shown
	err     error
}

// reading is what one view showed.
type reading struct {
	number uint64
	table  *Table // nil: the whole store
	tables []shownTable
}

// trial is one run of writers and readers.
type trial struct {
	store *Store
	keys  int

	mu       sync.Mutex
	log      []change
	readings []reading
	read     atomic.Int64 // views read
	stop     chan struct{}
	stopped  sync.Once
	tasks    sync.WaitGroup
}

// encodeVal makes a value of 4 to 67 bytes, each of which tells whether it belongs to val.
func encodeVal(val uint32) []byte {
	b := binary.LittleEndian.AppendUint32(nil, val)
	for range val % 64 {
		b = append(b, byte(val>>8))
	}
	return msgp.AppendBytes(nil, b)
}

func decodeVal(b []byte) (uint32, error) {
	b, _, err := msgp.ReadBytesZC(b)
	if err != nil || len(b) < 4 {
		return 0, fmt.Errorf("broken value %x: %w", b, err)
	}
	val := binary.LittleEndian.Uint32(b)
	if string(encodeVal(val)[2:]) != string(b) {
		return 0, fmt.Errorf("torn value %x", b)
	}
	return val, nil
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

// task runs f over and over until the trial ends, and keeps what it logs.
func (tr *trial) task(seed uint64, f func(w *worker)) {
	tr.tasks.Add(1)
	go func() {
		defer tr.tasks.Done()
		defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
		w := &worker{trial: tr, pick: rand.New(rand.NewPCG(seed, 1))}
		for tr.running() {
			f(w)
		}
		tr.mu.Lock()
		tr.log = append(tr.log, w.log...)
		tr.readings = append(tr.readings, w.readings...)
		tr.mu.Unlock()
	}()
}

// worker is one goroutine of a trial.
type worker struct {
	trial    *trial
	pick     *rand.Rand
	call     Call
	log      []change
	readings []reading
}

// settled runs an inline call until it meets no gate, parked in between as an event loop parks its clients. A call that is too long is made beside it.
func (w *worker) settled(t *Table, f func() error) error {
	for {
		err := f()
		if errors.Is(err, ErrLong) {
			w.call.Beside = true
			err = f()
			w.call.Beside = false
		}
		if !errors.Is(err, ErrBusy) {
			return err
		}
		woken := make(chan struct{})
		if t.Wait(func() { close(woken) }) {
			<-woken
		}
	}
}

// write makes one change of some kind to a table.
func (w *worker) write(t *Table) {
	d, key, val := t.Dict(), w.pick.IntN(w.trial.keys), w.pick.Uint32()
	encoded := msgp.AppendInt(nil, key)
	switch n := w.pick.IntN(1000); {
	case n < 500:
		if w.settled(t, func() error { return d.Set(&w.call, encoded, encodeVal(val)) }) == nil {
			w.logged(change{lsn: w.call.Version, kind: changeSet, table: t, key: key, val: val})
		}
	case n < 700:
		if w.settled(t, func() error { return d.Delete(&w.call, encoded) }) == nil {
			w.logged(change{lsn: w.call.Version, kind: changeRemove, table: t, key: key})
		}
	case n < 800:
		var item []byte
		err := w.settled(t, func() (err error) { item, err = d.PopItem(&w.call, item[:0]); return err })
		if err == nil {
			key, _, _ = msgp.ReadIntBytes(item)
			w.logged(change{lsn: w.call.Version, kind: changeRemove, table: t, key: key})
		}
	case n < 805:
		if w.settled(t, func() error { return d.Clear(&w.call) }) == nil && w.call.Version != 0 {
			w.logged(change{lsn: w.call.Version, kind: changeClear, table: t})
		}
	case n < 808:
		w.update(t, InlineElements+1)
	default:
		w.update(t, 2+w.pick.IntN(8))
	}
}

// update stores n keys at once.
func (w *worker) update(t *Table, n int) {
	changes, packed := w.pairs(t, n)
	if w.settled(t, func() error { return t.Dict().Update(&w.call, packed, n) }) != nil {
		return
	}
	w.numbered(changes, w.call.Version-uint64(n)+1)
}

// pairs makes up n pairs of key and value.
func (w *worker) pairs(t *Table, n int) (changes []change, packed []byte) {
	for range n {
		c := change{kind: changeSet, table: t, key: w.pick.IntN(w.trial.keys), val: w.pick.Uint32()}
		changes = append(changes, c)
		packed = append(msgp.AppendInt(packed, c.key), encodeVal(c.val)...)
	}
	return changes, packed
}

func (w *worker) numbered(changes []change, first uint64) {
	for i := range changes {
		changes[i].lsn = first + uint64(i)
	}
	w.log = append(w.log, changes...)
}

func (w *worker) logged(c change) { w.log = append(w.log, c) }

// administer creates, drops or renames one of a few tables.
func (w *worker) administer() {
	name, other := fmt.Sprint("table", w.pick.IntN(4)), fmt.Sprint("table", w.pick.IntN(4))
	t, there := w.trial.store.Lookup(&w.call, []byte(name))
	switch {
	case !there:
		n := w.pick.IntN(20)
		changes, packed := w.pairs(nil, n)
		t, err := w.trial.store.Create(&w.call, name, KindDict, packed, n)
		if err != nil {
			return
		}
		first := w.call.Version - uint64(n)
		w.logged(change{lsn: first, kind: changeCreate, table: t, name: name})
		for i := range changes {
			changes[i].table = t
		}
		w.numbered(changes, first+1)
	case w.pick.IntN(2) == 0:
		if w.trial.store.Rename(&w.call, name, other) == nil {
			w.logged(change{lsn: w.call.Version, kind: changeRename, table: t, name: other})
		}
	default:
		if w.trial.store.Drop(&w.call, name) == nil {
			w.logged(change{lsn: w.call.Version, kind: changeDrop, table: t})
		}
	}
}

// read opens a few views, one after another, and reads them in some order while writers go on.
func (w *worker) read(whole bool) {
	type open struct {
		reading reading
		show    func() []shownTable
		close   func()
	}
	var views []open
	for range 1 + w.pick.IntN(3) {
		if whole {
			v := w.trial.store.View(&w.call)
			views = append(views, open{reading{number: v.Number()}, func() []shownTable { return showStore(v) }, v.Close})
		} else {
			t, ok := w.trial.store.Lookup(&w.call, []byte("table0"))
			if !ok {
				break
			}
			v, err := t.Dict().view(&w.call)
			if err != nil {
				// Dropped: the view's number is drawn all the same.
				continue
			}
			show := func() []shownTable { return []shownTable{showDict("", t, v)} }
			views = append(views, open{reading{number: v.Number(), table: t}, show, v.Close})
		}
		w.await(uint64(w.pick.IntN(40)))
	}
	for len(views) > 0 {
		i := w.pick.IntN(len(views))
		v := views[i]
		views = slices.Delete(views, i, i+1)
		v.reading.tables = v.show()
		v.close()
		w.trial.read.Add(1)
		w.readings = append(w.readings, v.reading)
	}
}

// await returns when n more numbers were drawn, or when nothing seems to happen.
func (w *worker) await(n uint64) {
	until := w.trial.store.Clock() + n
	for spins := 0; w.trial.store.Clock() < until && spins < 1000; spins++ {
		runtime.Gosched()
	}
}

func showStore(v *View) []shownTable {
	var all []shownTable
	for name, t := range v.Tables() {
		all = append(all, showDict(name, t.Dict().dict.table, t.Dict()))
	}
	return all
}

func showDict(name string, t *Table, v *DictView) (table shownTable) {
	table.name, table.table = name, t
	defer func() {
		if p := recover(); p != nil { // a view that is broken on purpose may read freed memory
			table.err = fmt.Errorf("panic: %v", p)
		}
	}()
	for e := range v.EntriesVersioned() {
		key, _, err := msgp.ReadIntBytes(e.Key)
		val, valErr := decodeVal(e.Val)
		table.err = errors.Join(table.err, err, valErr)
		table.entries = append(table.entries, shown{key, val, e.Version, e.Place})
	}
	if n := v.Len(); n != len(table.entries) {
		table.err = errors.Join(table.err, fmt.Errorf("len is %d, entries are %d", n, len(table.entries)))
	}
	return table
}

// replica is a plain dict.
type replica struct {
	name    string
	born    uint64
	entries map[int]shown
}

func (r *replica) apply(c change) {
	e := shown{c.key, c.val, c.lsn, c.lsn}
	if old, ok := r.entries[c.key]; ok {
		e.place = old.place
	}
	r.entries[c.key] = e
}

// check makes all changes again and compares every reading. It returns the first difference.
func (tr *trial) check(cutsToo bool) error {
	slices.SortFunc(tr.log, func(a, b change) int { return int(a.lsn) - int(b.lsn) })
	slices.SortFunc(tr.readings, func(a, b reading) int { return int(a.number) - int(b.number) })
	tables := map[*Table]*replica{}
	at, last := 0, uint64(0)
	for _, r := range tr.readings {
		for ; at < len(tr.log) && tr.log[at].lsn < r.number; at++ {
			if err := apply(tables, tr.log[at], &last); err != nil {
				return err
			}
		}
		if err := r.compare(tables); err != nil {
			return fmt.Errorf("view %d: %w", r.number, err)
		}
	}
	for ; at < len(tr.log); at++ {
		if err := apply(tables, tr.log[at], &last); err != nil {
			return err
		}
	}
	if drawn := len(tr.log) + len(tr.readings); cutsToo && tr.store.Clock() != uint64(drawn) {
		return fmt.Errorf("%d numbers drawn for %d changes and %d views", tr.store.Clock(), len(tr.log), len(tr.readings))
	}
	return nil
}

func apply(tables map[*Table]*replica, c change, last *uint64) error {
	if c.lsn <= *last {
		return fmt.Errorf("number %d was drawn twice", c.lsn)
	}
	*last = c.lsn
	t := tables[c.table]
	if (t == nil) != (c.kind == changeCreate) {
		return fmt.Errorf("change %d to a table that was dropped, or not created", c.lsn)
	}
	switch c.kind {
	case changeCreate:
		tables[c.table] = &replica{c.name, c.lsn, map[int]shown{}}
	case changeDrop:
		delete(tables, c.table)
	case changeRename:
		t.name = c.name
	case changeClear:
		clear(t.entries)
	case changeSet:
		t.apply(c)
	case changeRemove:
		if _, ok := t.entries[c.key]; !ok {
			return fmt.Errorf("change %d removed a key that was not there", c.lsn)
		}
		delete(t.entries, c.key)
	}
	return nil
}

func (r *reading) compare(tables map[*Table]*replica) error {
	var born uint64
	for _, t := range r.tables {
		want := tables[t.table]
		if want == nil {
			return fmt.Errorf("shows table %q, which was not there", t.name)
		}
		if r.table == nil && t.name != want.name {
			return fmt.Errorf("shows table %q as %q", want.name, t.name)
		}
		if want.born <= born {
			return fmt.Errorf("shows table %q twice or out of order", t.name)
		}
		born = want.born
		if err := t.compare(want); err != nil {
			return fmt.Errorf("table %q: %w", want.name, err)
		}
	}
	if r.table == nil && len(r.tables) != len(tables) {
		return fmt.Errorf("shows %d tables of %d", len(r.tables), len(tables))
	}
	return nil
}

func (t *shownTable) compare(want *replica) error {
	if t.err != nil {
		return t.err
	}
	var place uint64
	for _, e := range t.entries {
		if e != want.entries[e.key] {
			return fmt.Errorf("shows %v, want %v", e, want.entries[e.key])
		}
		if e.place <= place {
			return fmt.Errorf("shows %v behind place %d", e, place)
		}
		place = e.place
	}
	if len(t.entries) != len(want.entries) {
		return fmt.Errorf("shows %d entries of %d", len(t.entries), len(want.entries))
	}
	return nil
}

// fewestViews is how many views a trial reads at least.
const fewestViews = 30

// runTrial lets writers and readers at a store for a time.
func runTrial(seed uint64, keys, split int, whole bool, period time.Duration) *trial {
	start := time.Now()
	tr := &trial{store: NewStore(), keys: keys, stop: make(chan struct{})}
	tr.store.leastSplit = split
	first := &worker{trial: tr, pick: rand.New(rand.NewPCG(seed, 0))}
	for len(first.log) == 0 || first.log[0].kind != changeCreate {
		t, err := tr.store.Create(&first.call, "table0", KindDict, nil, 0)
		if err != nil {
			panic(err)
		}
		first.logged(change{lsn: first.call.Version, kind: changeCreate, table: t, name: "table0"})
	}
	tr.log = first.log
	for i := range uint64(3) {
		tr.task(seed+i, func(w *worker) {
			if t, ok := tr.store.Lookup(&w.call, fmt.Append(nil, "table", w.pick.IntN(4))); ok {
				w.write(t)
			}
		})
	}
	for i := range uint64(3) {
		tr.task(seed+10+i, func(w *worker) {
			w.read(whole)
			if tr.read.Load() >= fewestViews && time.Since(start) > period {
				tr.finish()
			}
		})
	}
	if whole {
		tr.task(seed+20, func(w *worker) {
			w.administer()
			w.await(50)
		})
	}
	tr.tasks.Wait()
	return tr
}

func TestViewsUnderWriters(t *testing.T) {
	cases := []struct {
		name  string
		keys  int
		split int
		whole bool
	}{
		{"one shard", 50, leastSplit, false},
		{"many shards", 300, 8, false},
		{"full shards", 30000, leastSplit, false},
		{"store", 200, 8, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			tr := runTrial(seeded(t).Uint64(), c.keys, c.split, c.whole, time.Second)
			if err := tr.check(true); err != nil {
				t.Fatal(err)
			}
			if kept := tr.store.Stats().GraveyardBytes; kept != 0 {
				t.Fatalf("%d bytes are kept for views that are closed", kept)
			}
			t.Logf("%d views, %d changes", len(tr.readings), len(tr.log))
		})
	}
}

// TestCheckerCatches sees that the checker finds stores that are broken on purpose.
func TestCheckerCatches(t *testing.T) {
	cases := []struct {
		name  string
		fault *bool
		races bool // readers and writers meet without a lock
	}{
		{"no handover", &broken.skipHandover, false},
		{"cut draws its number too early", &broken.cutEarly, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if raceEnabled && c.races {
				t.Skip("the race detector is there before the checker")
			}
			*c.fault = true
			defer func() { *c.fault = false }()
			pick := seeded(t)
			for range 20 {
				tr := runTrial(pick.Uint64(), 50, 8, false, 200*time.Millisecond)
				if err := tr.check(true); err != nil {
					t.Log("caught:", err)
					return
				}
			}
			t.Fatal("the checker saw nothing wrong")
		})
	}
}
