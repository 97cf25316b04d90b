package persist_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"cyberdb-fast/codec/digest"
	"cyberdb-fast/persist"
	"cyberdb-fast/persist/fstest"
)

// model is a database of one dict and one list that knows what it held after each of its
// operations.
type model struct {
	last    uint64 // LSN
	entries map[string]persist.Entry
	options persist.TableOptions // of the dict
	marks   []persist.Mark
	list    [][]byte
	listed  uint64          // the list's version
	states  []string        // by LSN
	skips   map[uint64]bool // LSNs that stand for nothing: no file need have them
}

func newModel() *model {
	m := &model{skips: map[uint64]bool{}}
	_ = m.Begin(persist.FileInfo{})
	m.states = []string{m.state()}
	return m
}

// Begin, Table, Block and Apply make it a persist.Target.
func (m *model) Begin(persist.FileInfo) error {
	m.last, m.entries, m.list, m.listed = 0, map[string]persist.Entry{}, nil, 0
	m.options, m.marks = persist.TableOptions{}, nil
	return nil
}

func (m *model) Table(t persist.Table) error {
	if t.Kind == persist.List {
		m.listed = t.Version
	} else {
		m.options, m.marks = t.Options, t.Marks
	}
	return nil
}

func (m *model) Block(b *persist.Block) error {
	for e := range b.Entries() {
		m.entries[string(e.Key)] = persist.Entry{
			Key:      bytes.Clone(e.Key),
			Val:      bytes.Clone(e.Val),
			Version:  e.Version,
			Place:    e.Place,
			Deadline: e.Deadline,
		}
	}
	return nil
}

// loader distinguishes the blocks of the dict from those of the list.
type loader struct {
	*model
	kind persist.Kind
}

func (l *loader) Table(t persist.Table) error {
	l.kind = t.Kind
	return l.model.Table(t)
}

func (l *loader) Block(b *persist.Block) error {
	if l.kind == persist.Dict {
		return l.model.Block(b)
	}
	for e := range b.Elements() {
		l.list = append(l.list, bytes.Clone(e))
	}
	return nil
}

// timeOf is the time of an operation of a model: it goes back and forth.
func timeOf(lsn uint64) int64 { return 1_700_000_000_000 + int64(lsn*2654435761%100_000) }

func (m *model) Apply(op persist.Operation) error {
	if len(op.Request) > 0 && (op.Time != timeOf(op.LSN) || op.Semantics != 1) {
		return fmt.Errorf("%w: operation %d has time %d and semantics %d", errWrong, op.LSN, op.Time, op.Semantics)
	}
	return m.apply(op.LSN, op.N, op.Request)
}

// An operation is one letter and its arguments: set a key, delete it, give it a deadline, change
// the dict's options, append to the list, append several at once; without any nothing happens.
func (m *model) apply(lsn, n uint64, op []byte) error {
	m.last = lsn + n - 1
	if len(op) == 0 {
		return nil
	}
	switch key := string(op[1:min(2, len(op))]); op[0] {
	case 's':
		e, ok := m.entries[key]
		if !ok {
			e = persist.Entry{Key: []byte(key), Place: lsn}
		}
		e.Version, e.Val, e.Deadline = lsn, bytes.Clone(op[2:]), 0
		m.entries[key] = e
	case 'x':
		if e, there := m.entries[key]; there {
			e.Version, e.Deadline = lsn, int64(op[2])-1 // persist.Forever, none, or a time
			m.entries[key] = e
		}
	case 'o':
		m.options.TTL, m.options.Policy = int64(op[1]), op[1]%4
		m.options.Since, m.options.Horizon = timeOf(lsn), max(m.options.Horizon, lsn-uint64(op[1]))
		m.marks = []persist.Mark{{Time: timeOf(lsn), LSN: lsn}}
	case 'd':
		delete(m.entries, key)
	case 'a', 'e':
		for i := range n {
			m.list = append(m.list, fmt.Append(bytes.Clone(op[1:]), i))
		}
		if len(m.list) > 6 {
			m.list = m.list[3:]
		}
		m.listed = lsn
	default:
		return fmt.Errorf("operation %q", op)
	}
	return nil
}

// state returns the digest of the tables, and their content as a text.
func (m *model) state() string {
	var b bytes.Buffer
	var h digest.Hasher
	h.Table(digest.Dict, "dict", digest.Options(m.options))
	for _, e := range m.sorted() {
		h.Entry(e.Key, e.Val, e.Place, e.Version, e.Deadline)
		fmt.Fprintf(&b, "%s %x %d %d %d\n", e.Key, e.Val, e.Version, e.Place, e.Deadline)
	}
	h.Table(digest.List, "list", digest.Options{})
	for i, elem := range m.list {
		h.Element(uint64(i), elem)
	}
	fmt.Fprintf(&b, "%x %d\n%+v %v\ndigest %v", m.list, m.listed, m.options, m.marks, h.Sum)
	return b.String()
}

func (m *model) sorted() []persist.Entry {
	return slices.SortedFunc(
		maps.Values(m.entries),
		func(a, b persist.Entry) int { return int(a.Place) - int(b.Place) },
	)
}

// do takes n LSNs, applies the operation live, and returns the first of them.
func (m *model) do(n uint64, op []byte) uint64 {
	lsn := m.last + 1
	if err := m.apply(lsn, n, op); err != nil {
		panic(err)
	}
	for uint64(len(m.states)) < m.last {
		m.states = append(m.states, "within an operation")
	}
	m.states = append(m.states, m.state())
	return lsn
}

// content is what a cut of the model writes.
func (m *model) content() *content {
	return &content{tables: []table{
		{
			Table: persist.Table{
				Name: "dict", Kind: persist.Dict, Created: 1, Options: m.options, Marks: m.marks,
			},
			entries: m.sorted(),
		},
		{
			Table:    persist.Table{Name: "list", Kind: persist.List, Created: 2, Version: m.listed},
			elements: slices.Clone(m.list),
		},
	}}
}

// keptBytes is Options.KeptBytes in tests.
const keptBytes = 4 << 10

// segmentBytes is Options.SegmentBytes in tests.
const segmentBytes = 1500

const (
	dataFile   = "data/data.cdb"
	journalDir = "data/data.cdb.journal"
)

// numbersRange is NumbersOptions.Range in tests, mostNumbers is how many a model assigns at once.
const (
	numbersRange = 64
	mostNumbers  = 4
)

func startOf(opt persist.Options) persist.Start {
	opt.SegmentBytes, opt.KeptBytes = segmentBytes, keptBytes
	numbers := persist.NumbersOptions{Range: numbersRange, InFlight: mostNumbers}
	return persist.Start{
		File:    dataFile,
		Journal: journalDir,
		Options: opt,
		Numbers: numbers,
		Workers: 1,
	}
}

// database is a model on a disk: what loop makes of shardmap and persist, in small.
type database struct {
	*model
	fs       persist.FS
	journal  *persist.Journal // nil: none is kept
	numbers  *persist.Numbers
	buffers  []*persist.Buffer
	id       persist.ID
	covered  []uint64 // LSNs of the .cdb file and the one before
	now      time.Time
	ackEarly bool          // acknowledges what is not yet on disk: a checker must catch it
	acked    atomic.Uint64 // the last LSN acknowledged as durable
	broken   bool
	unsaved  error // of the last save
}

// open recovers what is on fsys and starts the journal. history is the model that wrote it, nil for
// a new one.
func open(fsys persist.FS, policy persist.Policy, history *model) (*database, error) {
	return openWith(fsys, persist.Options{Policy: policy}, history)
}

func openWith(fsys persist.FS, opt persist.Options, history *model) (*database, error) {
	return openStart(fsys, startOf(opt), history)
}

func openStart(fsys persist.FS, start persist.Start, history *model) (*database, error) {
	if err := fsys.MkdirAll("data"); err != nil {
		return nil, err
	}
	m := newModel()
	r, err := persist.Recover(fsys, start, &loader{model: m})
	if err != nil {
		return nil, err
	}
	if history != nil {
		if m.last = r.Last; m.state() != history.states[r.Last] {
			return nil, fmt.Errorf(
				"recovered another state than that at LSN %d:\n%s\ninstead of\n%s",
				r.Last,
				m.state(),
				history.states[r.Last],
			)
		}
		m.states, m.skips = slices.Clone(history.states[:r.Last+1]), maps.Clone(history.skips)
	}
	db := &database{
		model:   m,
		fs:      fsys,
		journal: r.Journal,
		id:      r.Database,
		now:     time.Unix(0, 0),
		covered: []uint64{0, r.File.LSN},
	}
	if r.Loaded == persist.PrevName(dataFile) {
		db.covered = []uint64{0, 0}
	}
	if r.Clock > 1<<20 { // a new one begins at a random LSN, the model at 0: it has room for few
		if history != nil && history.last > 0 {
			return nil, fmt.Errorf("%d numbers were assigned, and the database is taken for a new one", history.last)
		}
		r.Clock = 0
	}
	db.skip(r.Clock)
	db.numbers = r.Numbers
	if err := r.Numbers.StartByHand(func() uint64 { return db.last }); err != nil {
		return nil, err
	}
	db.acked.Store(db.last)
	if r.Journal == nil {
		return db, nil
	}
	if err := r.Journal.StartByHand(db.last+1, 0); err != nil {
		return nil, err
	}
	for range 3 {
		db.buffers = append(db.buffers, r.Journal.Buffer())
	}
	return db, nil
}

// skip takes LSNs without an operation.
func (m *model) skip(last uint64) {
	for m.last < last {
		m.last++
		m.states = append(m.states, m.state())
		m.skips[m.last] = true
	}
}

// lost returns how many operations after one LSN, up to another, were more than LSNs.
func (m *model) lost(after, last uint64) (n uint64) {
	for lsn := after + 1; lsn <= last; lsn++ {
		if !m.skips[lsn] {
			n++
		}
	}
	return n
}

// work does some operations, in batches, with a save now and then, and closes the database.
func (db *database) work(rng *rand.Rand, steps int) {
	for range steps {
		switch rng.IntN(12) {
		case 0:
			db.save()
		case 1:
			db.journal.RequestSync(db.last)
		}
		for range rng.IntN(6) {
			if db.numbers.Allow(db.last) {
				db.write(rng)
			}
		}
		_ = db.numbers.Renew()
		db.now = db.now.Add(time.Duration(rng.IntN(600)) * time.Millisecond)
		db.journal.Round(db.now)
		db.acknowledge()
	}
	db.close()
	db.acknowledge()
}

// close shuts the database down cleanly, if the disk allows that.
func (db *database) close() {
	last := uint64(0)
	if db.journal.Close() == nil {
		last = db.journal.LastLSN()
	}
	_ = db.numbers.Close(last)
}

func (db *database) write(rng *rand.Rand) {
	op := []byte{'s', 'a' + byte(rng.IntN(6))}
	n := uint64(1)
	switch rng.IntN(8) {
	case 0:
		op[0] = 'd'
	case 1:
		op = []byte{'a'}
	case 2:
		op, n = []byte{'e'}, 1+rng.Uint64N(4)
	case 3:
		op = append([]byte{'x'}, op[1], byte(rng.IntN(9)))
	case 4:
		op = []byte{'o', byte(min(rng.Uint64N(256), db.last))}
	default:
		op = append(op, randomBytes(rng, 60)...)
		switch rng.IntN(400) {
		case 0:
			op = append(op, make([]byte, keptBytes-10+rng.IntN(20))...)
		case 1, 2, 3, 4, 5:
			op = append(op, make([]byte, rng.IntN(3000))...)
		}
	}
	db.append(rng.IntN(len(db.buffers)), n, op)
}

// append makes a change, appends it to a buffer, and returns its first LSN.
func (db *database) append(buffer int, n uint64, op []byte) uint64 {
	lsn := db.do(n, op)
	db.buffers[buffer].Append(lsn, n, timeOf(lsn), op)
	return lsn
}

func (db *database) acknowledge() {
	acked := db.journal.Durable()
	if db.ackEarly && !db.broken {
		acked = db.last
	}
	db.broken = db.broken || db.journal.Err() != nil
	db.acked.Store(max(acked, db.acked.Load()))
}

// save is a cut and a .cdb file.
func (db *database) save() {
	lsn := db.append(0, 1, nil)
	db.journal.RequestSync(lsn)
	db.journal.Round(db.now)
	if db.journal.Durable() < lsn && db.journal.Err() == nil {
		panic("the journal has not been synced up to the cut")
	}
	c := db.content()
	if _, err := persist.WriteFile(
		db.fs,
		dataFile,
		persist.Stamp{Database: db.id, LSN: lsn},
		persist.Codec(lsn%3),
		c.fill,
	); err != nil {
		db.unsaved = err
		return
	}
	db.covered = []uint64{db.covered[1], lsn}
	_ = db.journal.DropBefore(db.covered[0])
}

// lostError is that operations were acknowledged and are not there.
type lostError struct {
	operations uint64
	info       persist.Recovery
}

func (e *lostError) Error() string {
	return fmt.Sprintf("%d acknowledged operations are lost: %+v, cut %v", e.operations, e.info, e.info.Truncation)
}

// errWrong is that the database holds what it never did.
var errWrong = errors.New("wrong data")

// verify recovers from disk, without changing it, and compares with what the database had and had
// acknowledged.
func verify(disk *fstest.Disk, history *model, acked uint64) error {
	m := newModel()
	r, err := persist.Recover(disk, startOf(persist.Options{}), &loader{model: m})
	switch {
	case err != nil:
		return fmt.Errorf("cannot be recovered: %w\n%v", err, disk)
	case r.Clock < history.last:
		return fmt.Errorf(
			"%w: the next number is %d, and those up to %d were assigned",
			errWrong,
			r.Clock+1,
			history.last,
		)
	case history.lost(r.Last, acked) > 0:
		return &lostError{history.lost(r.Last, acked), r.Replay}
	case r.Last >= uint64(len(history.states)):
		return fmt.Errorf("%w: recovered up to LSN %d, there were %d", errWrong, r.Last, len(history.states)-1)
	case m.state() != history.states[r.Last]:
		return fmt.Errorf("%w: at LSN %d\n%s\ninstead of\n%s", errWrong, r.Last, m.state(), history.states[r.Last])
	}
	return nil
}
