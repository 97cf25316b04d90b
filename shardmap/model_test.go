package shardmap

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strconv"
	"testing"

	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/codec/value"
)

// seeded returns a random source. Its seed is printed, and taken from CYBERDB_SEED if that is set.
func seeded(t testing.TB) *rand.Rand {
	seed := rand.Uint64()
	if text := os.Getenv("CYBERDB_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("CYBERDB_SEED: %v", err)
		}
	}
	t.Logf("CYBERDB_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// modelEntry is one entry of a plain ordered dict. The norm of a key is the same for equal keys.
type modelEntry struct {
	norm           string
	key, val       []byte
	version, place uint64
	deadline       int64
	dead           bool
}

// model is a plain ordered dict.
type model struct {
	byNorm  map[string]*modelEntry
	ordered []*modelEntry // by place, dead ones included
	nans    int           // live entries whose keys equal nothing

	deadline int64 // of the entries that are set
}

func newModel() *model { return &model{byNorm: map[string]*modelEntry{}} }

// change is set for a call that keeps the deadline of an entry that is there.
func (m *model) change(k testKey, val []byte, lsn uint64) {
	if e := m.find(k); e != nil {
		e.val, e.version = val, lsn
		return
	}
	m.set(k, val, lsn)
}

func (m *model) set(k testKey, val []byte, lsn uint64) {
	if e := m.find(k); e != nil {
		e.val, e.version, e.deadline = val, lsn, m.deadline
		return
	}
	e := &modelEntry{norm: k.norm, key: k.encoded, val: val, version: lsn, place: lsn, deadline: m.deadline}
	if k.norm != "" {
		m.byNorm[k.norm] = e
	} else {
		m.nans++
	}
	m.ordered = append(m.ordered, e)
}

func (m *model) find(k testKey) *modelEntry {
	if k.norm == "" {
		return nil
	}
	return m.byNorm[k.norm]
}

func (m *model) remove(e *modelEntry) {
	if e.norm == "" {
		m.nans--
	}
	delete(m.byNorm, e.norm)
	e.dead = true
	for n := len(m.ordered); n > 0 && m.ordered[n-1].dead; n-- {
		m.ordered = m.ordered[:n-1]
	}
}

// entries returns copies of the live entries, in order.
func (m *model) entries() []modelEntry {
	var all []modelEntry
	for _, e := range m.ordered {
		if !e.dead {
			all = append(all, *e)
		}
	}
	return all
}

// testKey is an encoded key with its norm, which is empty if the key equals nothing.
type testKey struct {
	norm    string
	encoded []byte
}

func intKey(n int) testKey { return testKey{fmt.Sprint(n), msgp.AppendInt(nil, n)} }

// key makes the n-th key in one of the forms that Python holds equal.
func formOf(n, form int) testKey {
	norm := fmt.Sprint(n)
	switch {
	case n < 0:
		return testKey{"", msgp.AppendFloat64(nil, math.NaN())}
	case n%4 == 0:
		text := fmt.Sprintf("key-%d", n)
		return testKey{"s" + norm, msgp.AppendString(nil, text)}
	case n%4 == 1 && form == 1:
		return testKey{norm, msgp.AppendFloat64(nil, float64(n))}
	case n == 1 && form == 2:
		return testKey{norm, msgp.AppendBool(nil, true)}
	case n%4 == 2: // (n,) and (n.0,)
		item := msgp.AppendInt(nil, n)
		if form == 1 {
			item = msgp.AppendFloat64(nil, float64(n))
		}
		const ext8, array1 = 0xc7, 0x91
		return testKey{"t" + norm, append([]byte{ext8, byte(1 + len(item)), value.ExtTuple, array1}, item...)}
	}
	return intKey(n)
}

// choices is where a test's decisions come from: a seeded source, or a fuzzer's bytes.
type choices interface{ IntN(n int) int }

// session runs operations on a dict and on a model, and compares.
type session struct {
	t     testing.TB
	pick  choices
	store *Store
	dict  *Dict
	call  Call
	model *model
	keys  int // how many different keys there are
	big   bool
	views []openView
}

type openView struct {
	view *DictView
	want []modelEntry
}

func newSession(t testing.TB, pick choices, keys int) *session {
	s := &session{t: t, pick: pick, store: NewStore(), model: newModel(), keys: keys}
	table, err := s.store.Create(&s.call, "table", KindDict, nil, 0)
	s.ok(err)
	s.dict = table.Dict()
	return s
}

func (s *session) ok(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatalf("error: %v", err)
	}
}

func (s *session) equal(what string, got, want any) {
	s.t.Helper()
	if !reflect.DeepEqual(got, want) {
		s.t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

func (s *session) key() testKey {
	if s.pick.IntN(64) == 0 {
		return formOf(-1, 0)
	}
	return formOf(s.pick.IntN(s.keys), s.pick.IntN(3))
}

func (s *session) val() []byte {
	n := s.pick.IntN(40)
	if s.big {
		switch s.pick.IntN(200) {
		case 0, 1, 2, 3:
			n = s.pick.IntN(3000)
		case 4:
			n = 15000 + s.pick.IntN(60000)
		case 5:
			n = s.pick.IntN(1500000) / (1 + s.pick.IntN(50))
		}
	}
	return msgp.AppendBytes(nil, bytes.Repeat([]byte{byte(s.pick.IntN(256))}, n))
}

// condition sometimes sets the call's condition for a key, and returns what the result must be.
func (s *session) condition(k testKey) (err error) {
	s.call.HasIf = false
	if s.pick.IntN(8) > 0 {
		return nil
	}
	var version uint64
	if e := s.model.find(k); e != nil {
		version = e.version
	}
	s.call.HasIf, s.call.IfVersion = true, version
	switch s.pick.IntN(4) {
	case 3:
		if s.call.IfVersion = AnyVersion; version == 0 {
			return ErrVersion
		}
	case 0:
		s.call.IfVersion++
		return ErrVersion
	case 1:
		s.call.IfVersion = 0
		if version != 0 {
			return ErrVersion
		}
	}
	return nil
}

// fails checks whether a call ended with want exactly if it must.
func (s *session) fails(what string, err, want error) bool {
	s.t.Helper()
	if !errors.Is(err, want) || (want == nil) != (err == nil) {
		s.t.Fatalf("%s: error %v, want %v", what, err, want)
	}
	return want != nil
}

// assigned checks that n LSNs were assigned since before, and returns the first.
func (s *session) assigned(before uint64, n int) uint64 {
	s.t.Helper()
	s.equal("clock", s.store.Clock(), before+uint64(n))
	if n > 0 {
		s.equal("Call.Version", s.call.Version, before+uint64(n))
	}
	return before + 1
}

var operations = []struct {
	name   string
	weight int
	run    func(*session)
}{
	{"set", 30, (*session).set},
	{"get", 10, (*session).get},
	{"delete", 12, (*session).delete},
	{"pop", 8, (*session).pop},
	{"popitem", 6, (*session).popItem},
	{"setdefault", 6, (*session).setDefault},
	{"increment", 3, (*session).increment},
	{"compare and set", 5, (*session).compareAndSet},
	{"update", 4, (*session).update},
	{"get many", 2, (*session).getMany},
	{"delete many", 1, (*session).deleteMany},
	{"scan", 1, (*session).scan},
	{"open view", 1, (*session).openView},
	{"close view", 2, (*session).closeView},
}

// step runs one operation.
func (s *session) step() {
	s.call.TTL = DefaultTTL
	if s.pick.IntN(4) == 0 {
		s.call.TTL = int64(s.pick.IntN(MaxDeadline) + 1) // the time is 0
	}
	s.model.deadline = s.call.TTL
	total := 0
	for _, op := range operations {
		total += op.weight
	}
	n := s.pick.IntN(total)
	for _, op := range operations {
		if n -= op.weight; n < 0 {
			op.run(s)
			s.equal("len", s.dict.Len(), len(s.model.byNorm)+s.model.nans)
			return
		}
	}
}

func (s *session) set() {
	k, val, before := s.key(), s.val(), s.store.Clock()
	want := s.condition(k)
	if s.fails("set", s.dict.Set(&s.call, k.encoded, val), want) {
		s.assigned(before, 0)
		return
	}
	s.model.set(k, val, s.assigned(before, 1))
}

func (s *session) get() {
	k := s.key()
	want := s.condition(k)
	e := s.model.find(k)
	if e == nil && want == nil {
		want = ErrNoKey
	}
	got, err := s.dict.Get(&s.call, []byte("x"), k.encoded)
	if !s.fails("get", err, want) {
		s.equal("value", got[1:], e.val)
		s.equal("version", s.call.Version, e.version)
	}
	s.call.HasIf = false
	has, err := s.dict.Contains(&s.call, k.encoded)
	s.ok(err)
	s.equal("contains", has, e != nil)
}

func (s *session) delete() {
	k, before := s.key(), s.store.Clock()
	want := s.condition(k)
	e := s.model.find(k)
	if e == nil && want == nil {
		want = ErrNoKey
	}
	if !s.fails("delete", s.dict.Delete(&s.call, k.encoded), want) {
		s.assigned(before, 1)
		s.model.remove(e)
	}
}

func (s *session) pop() {
	k, before := s.key(), s.store.Clock()
	want := s.condition(k)
	e := s.model.find(k)
	if e == nil && want == nil {
		want = ErrNoKey
	}
	got, err := s.dict.Pop(&s.call, nil, k.encoded)
	if !s.fails("pop", err, want) {
		s.assigned(before, 1)
		s.equal("popped", got, e.val)
		s.model.remove(e)
	}
}

func (s *session) popItem() {
	before := s.store.Clock()
	var want error
	if len(s.model.ordered) == 0 {
		want = ErrEmpty
	}
	got, err := s.dict.PopItem(&s.call, nil)
	if !s.fails("popitem", err, want) {
		s.assigned(before, 1)
		e := s.model.ordered[len(s.model.ordered)-1]
		s.equal("popped", got, append(slices.Clip(e.key), e.val...))
		s.model.remove(e)
	}
}

func (s *session) setDefault() {
	k, val, before := s.key(), s.val(), s.store.Clock()
	if err := s.condition(k); err != nil {
		s.call.HasIf = false
	}
	got, set, err := s.dict.SetDefault(&s.call, nil, k.encoded, val)
	s.ok(err)
	e := s.model.find(k)
	s.equal("set", set, e == nil)
	if e != nil {
		s.assigned(before, 0)
		s.equal("value", got, e.val)
		return
	}
	s.equal("value", got, val)
	s.model.set(k, val, s.assigned(before, 1))
}

func (s *session) increment() {
	k, before := s.key(), s.store.Clock()
	s.call.HasIf = false
	by := msgp.AppendInt(nil, s.pick.IntN(100))
	old := []byte{0}
	if e := s.model.find(k); e != nil {
		old = e.val
	}
	want, wantErr := value.Add(nil, old, by)
	got, err := s.dict.Increment(&s.call, nil, k.encoded, by)
	s.equal("error", err, wantErr)
	if err != nil {
		s.assigned(before, 0)
		return
	}
	s.equal("sum", got, want)
	s.model.change(k, want, s.assigned(before, 1))
}

func (s *session) compareAndSet() {
	k, before := s.key(), s.store.Clock()
	s.call.HasIf = false
	e := s.model.find(k)
	var old, val []byte
	if e != nil && s.pick.IntN(4) > 0 {
		old = e.val
	} else if s.pick.IntN(3) == 0 {
		old = s.val()
	}
	if s.pick.IntN(3) > 0 {
		val = s.val()
	}
	want := e == nil && old == nil || e != nil && old != nil && bytes.Equal(e.val, old)
	got, err := s.dict.CompareAndSet(&s.call, k.encoded, old, val)
	s.ok(err)
	s.equal("set", got, want)
	lsns := 1
	if !want || e == nil && val == nil {
		lsns = 0
	}
	version := s.assigned(before, lsns)
	switch {
	case lsns == 0:
	case val == nil:
		s.model.remove(e)
	case s.call.TTL == DefaultTTL:
		s.model.change(k, val, version)
	default:
		s.model.set(k, val, version)
	}
}

func (s *session) update() {
	var (
		packed []byte
		keys   []testKey
		vals   [][]byte
	)
	for range s.pick.IntN(20) {
		k, val := s.key(), s.val()
		keys, vals = append(keys, k), append(vals, val)
		packed = append(append(packed, k.encoded...), val...)
	}
	before := s.store.Clock()
	s.call.MayBlock = s.pick.IntN(2) == 0
	err := s.dict.Update(&s.call, packed, len(keys))
	if errors.Is(err, ErrLong) && !s.call.MayBlock {
		s.call.MayBlock = s.big
		s.assigned(before, 0)
		return
	}
	s.ok(err)
	s.call.MayBlock = s.big
	first := s.assigned(before, len(keys))
	for i := range keys {
		s.model.set(keys[i], vals[i], first+uint64(i))
	}
}

func (s *session) deleteMany() {
	var keys, want []byte
	n, there := s.pick.IntN(20), 0
	before := s.store.Clock()
	for range n {
		k := s.key()
		keys = append(keys, k.encoded...)
		e := s.model.find(k)
		if want = msgp.AppendBool(want, e != nil); e != nil {
			s.model.remove(e)
			there = 1
		}
	}
	s.call.MayBlock = s.pick.IntN(2) == 0
	got, err := s.dict.DeleteMany(&s.call, nil, keys, n)
	s.call.MayBlock = s.big
	s.ok(err)
	s.equal("removed", got, want)
	s.assigned(before, there)
}

func (s *session) getMany() {
	var keys, want []byte
	n := s.pick.IntN(20)
	for range n {
		k := s.key()
		keys = append(keys, k.encoded...)
		if e := s.model.find(k); e != nil {
			want = append(want, e.val...)
		} else {
			want = append(want, Absent)
		}
	}
	got, err := s.dict.GetMany(&s.call, nil, keys, n)
	s.ok(err)
	s.equal("values", got, want)
}

func (s *session) scan() {
	limit := 1 + s.pick.IntN(1000) + s.dict.Len()/8
	var got []byte
	for cursor := uint64(0); ; {
		var n int
		var err error
		got, cursor, n, err = s.dict.Scan(&s.call, got, cursor, limit)
		s.ok(err)
		if n > limit {
			s.t.Fatalf("scan: %d entries, limit %d", n, limit)
		}
		if cursor == 0 {
			break
		}
	}
	var want []byte
	for _, e := range s.model.entries() {
		want = append(append(want, e.key...), e.val...)
	}
	if !bytes.Equal(got, want) {
		s.t.Fatalf("scan: got %d bytes, want %d", len(got), len(want))
	}
}

func (s *session) openView() {
	if len(s.views) == 4 {
		return
	}
	v, err := s.dict.View(&Call{})
	s.ok(err)
	s.views = append(s.views, openView{v, s.model.entries()})
}

func (s *session) closeView() {
	if len(s.views) == 0 {
		return
	}
	i := s.pick.IntN(len(s.views))
	s.checkView(s.views[i].view, s.views[i].want)
	s.views[i].view.Close()
	s.views = slices.Delete(s.views, i, i+1)
}

// check compares the whole dict, and all open views.
func (s *session) check() {
	s.t.Helper()
	v, err := s.dict.View(&Call{})
	s.ok(err)
	s.checkView(v, s.model.entries())
	v.Close()
	for len(s.views) > 0 {
		s.closeView()
	}
	s.equal("kept for views", s.store.Stats().RetiredBytes, 0)
	s.scan()
}

func (s *session) checkView(v *DictView, want []modelEntry) {
	s.t.Helper()
	s.equal("view's len", v.Len(), len(want))
	i := 0
	for e := range v.EntriesVersioned() {
		if i == len(want) {
			s.t.Fatalf("view: more than %d entries", len(want))
		}
		w := &want[i]
		if !bytes.Equal(e.Key, w.key) || !bytes.Equal(e.Val, w.val) || e.Version != w.version || e.Place != w.place ||
			e.Deadline != w.deadline {
			s.t.Fatalf(
				"view: entry %d is key %x version %d place %d until %d, want %x %d %d until %d",
				i,
				e.Key,
				e.Version,
				e.Place,
				e.Deadline,
				w.key,
				w.version,
				w.place,
				w.deadline,
			)
		}
		i++
	}
	s.equal("entries", i, len(want))
}
