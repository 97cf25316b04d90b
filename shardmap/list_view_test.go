package shardmap

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
)

// loggedOp is an operation that changed the list, with its last LSN.
type loggedOp struct {
	lsn uint64
	op  listOp
}

// seenView is what a view showed, in the first and in a later reading.
type seenView struct {
	what   string
	number uint64
	first  []byte
	again  []byte
}

// viewRound runs writers on one list while views of it are cut and read.
type viewRound struct {
	store   *Store
	list    *List
	mu      sync.Mutex
	log     []loggedOp
	seen    []seenView
	writers sync.WaitGroup
	done    chan struct{}
}

func (v *viewRound) write(r *rand.Rand, ops int) {
	defer v.writers.Done()
	c := Call{MayBlock: r.IntN(2) == 0}
	choose := listChooser{pick: r, size: 60, val: func() []byte { return plainValue(r) }}
	var log []loggedOp
	for range ops {
		op := choose.next(&listModel{})
		if r.IntN(100) == 0 { // a long write
			op = listOp{Op: "extend", Vals: choose.vals(InlineElements + 1)}
		}
		c.Version = 0
		if op.run(v.list, &c).err == "" && c.Version > 0 && changes(op) {
			log = append(log, loggedOp{c.Version, op})
		}
	}
	v.mu.Lock()
	v.log = append(v.log, log...)
	v.mu.Unlock()
}

func changes(op listOp) bool {
	return !slices.Contains([]string{"get", "slice", "contains", "count", "index"}, op.Op)
}

// passes waits until the writers have assigned LSNs after n, or have ended.
func (v *viewRound) passes(n uint64) {
	for v.store.Clock() < n {
		select {
		case <-v.done:
			return
		default:
			runtime.Gosched()
		}
	}
}

func readList(view *ListView) []byte { return slices.Concat(slices.Collect(view.Values())...) }

// watch cuts views, of the list or of the store in turn, several at a time, until the writers end.
func (v *viewRound) watch(r *rand.Rand) error {
	for {
		select {
		case <-v.done:
			return nil
		default:
		}
		var (
			views  []*ListView
			stores []*View
			seen   []seenView
		)
		for range 1 + r.IntN(3) {
			if r.IntN(2) == 0 {
				view, err := v.list.View(&Call{})
				if err != nil {
					return err
				}
				views, seen = append(views, view), append(seen, seenView{what: "list", number: view.LSN()})
				continue
			}
			view := v.store.View()
			stores = append(stores, view)
			for _, table := range view.Tables() {
				views, seen = append(views, table.List()), append(seen, seenView{what: "store", number: view.LSN()})
			}
		}
		v.passes(seen[0].number + uint64(r.IntN(200)))
		for _, i := range r.Perm(len(views)) {
			seen[i].first = readList(views[i])
		}
		v.passes(v.store.Clock() + 50)
		for i, view := range views {
			seen[i].again = readList(view)
		}
		for _, view := range stores {
			view.Close()
		}
		v.mu.Lock()
		v.seen = append(v.seen, seen...)
		v.mu.Unlock()
	}
}

// check compares each view with the list that all mutations with lower LSNs make.
func (v *viewRound) check() error {
	slices.SortFunc(v.log, func(a, b loggedOp) int { return cmp.Compare(a.lsn, b.lsn) })
	slices.SortFunc(v.seen, func(a, b seenView) int { return cmp.Compare(a.number, b.number) })
	var m listModel
	i := 0
	for _, s := range v.seen {
		for ; i < len(v.log) && v.log[i].lsn <= s.number; i++ {
			m.run(v.log[i].op)
		}
		want := bytes.Join(m.elems, nil)
		if !bytes.Equal(s.first, want) || !bytes.Equal(s.again, want) {
			return fmt.Errorf(
				"the view of the %s with number %d does not show the list of its moment",
				s.what,
				s.number,
			)
		}
	}
	for ; i < len(v.log); i++ {
		m.run(v.log[i].op)
	}
	if got, _, err := v.list.AppendAll(
		&Call{MayBlock: true},
		nil,
	); err != nil ||
		!bytes.Equal(got, bytes.Join(m.elems, nil)) {
		return fmt.Errorf("the log does not make the list: %w", err)
	}
	return v.list.rope.Check()
}

// checkListViews runs one round and returns what was wrong with it.
func checkListViews(r *rand.Rand, ops int) (views int, err error) {
	store := NewStore()
	table, err := store.Create(&Call{}, "list", KindList, nil, 0)
	if err != nil {
		return 0, err
	}
	v := &viewRound{store: store, list: table.List(), done: make(chan struct{})}
	for range 3 {
		v.writers.Add(1)
		go v.write(rand.New(rand.NewPCG(r.Uint64(), 0)), ops)
	}
	watched := make(chan error, 2)
	for range cap(watched) {
		go func(r *rand.Rand) { watched <- v.watch(r) }(rand.New(rand.NewPCG(r.Uint64(), 0)))
	}
	v.writers.Wait()
	close(v.done)
	for range cap(watched) {
		err = errors.Join(err, <-watched)
	}
	if err == nil {
		err = v.check()
	}
	if open := store.Stats().Views; err == nil && open != 0 {
		err = fmt.Errorf("%d views are open still", open)
	}
	return len(v.seen), err
}

func TestListViews(t *testing.T) {
	r := seeded(t)
	views := 0
	for range 4 {
		n, err := checkListViews(r, 1500)
		if err != nil {
			t.Fatal(err)
		}
		views += n
	}
	if views < 20 {
		t.Fatalf("%d views are too few to mean anything", views)
	}
}

// TestListViewOfDroppedTable reads tables that are dropped after the cut, or were renamed.
func TestListViewOfDroppedTable(t *testing.T) {
	var c Call
	s := NewStore()
	if _, err := s.Create(&c, "list", KindList, []byte{1, 2, 3}, 3); err != nil {
		t.Fatal(err)
	}
	view := s.View()
	defer view.Close()
	table, _ := s.Lookup(&Call{}, []byte("list"))
	if err := table.List().Append(&c, []byte{4}); err != nil {
		t.Fatal(err)
	}
	if err := s.Rename(&Call{}, "list", "other"); err != nil {
		t.Fatal(err)
	}
	if err := s.Drop(&Call{}, "other"); err != nil {
		t.Fatal(err)
	}
	for range 2 { // a view may be read again
		n := 0
		for name, table := range view.Tables() {
			if got := readList(table.List()); name != "list" || !bytes.Equal(got, []byte{1, 2, 3}) {
				t.Errorf("%s: %v", name, got)
			}
			n++
		}
		if n != 1 {
			t.Errorf("%d tables", n)
		}
	}
	if _, err := table.List().View(&Call{}); !errors.Is(err, ErrNoTable) {
		t.Errorf("view of a dropped table: %v", err)
	}
}
