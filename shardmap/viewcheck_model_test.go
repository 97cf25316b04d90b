package shardmap

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/tinylib/msgp/msgp"
)

// The model of the view checker: the logged requests, applied one by one to plain dicts and slices.

type requestKind int

const (
	requestSet requestKind = iota
	requestRemove
	requestPopItem
	requestIncrement
	requestUpdate
	requestClear
	requestCreate
	requestDrop
	requestRename
	requestAppend // to a list, and so on
	requestInsert
	requestSetItem
	requestPop
	requestSetSlice
	requestDeleteSlice
	requestReverse
	requestSort
)

// request is what a worker asked for. Call.Request is its number among the worker's.
type request struct {
	kind  requestKind
	name  string // of the table
	other string // of the new name
	table Kind   // of the new table
	keys  []int
	vals  []uint32
	at    [2]int
	got   int // what was taken out
}

// record is an entry of a log.
type record struct {
	lsn, n uint64
	asked  *request
}

// encodeVal makes a value of 4 to 67 bytes, each of which shows whether it belongs to val.
func encodeVal(val uint32) []byte {
	b := binary.LittleEndian.AppendUint32(nil, val)
	for range val % 64 {
		b = append(b, byte(val>>8))
	}
	return msgp.AppendBytes(nil, b)
}

// decodeVal reads what encodeVal made, or a counter.
func decodeVal(b []byte) (uint32, error) {
	if t := msgp.NextType(b); t == msgp.IntType || t == msgp.UintType {
		n, _, err := msgp.ReadIntBytes(b)
		return uint32(n), err
	}
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

// shown is an entry, or an element, as a view shows it.
type shown struct {
	key            int
	val            uint32
	version, place uint64
	dead           bool // in a replica only
}

// replica is a plain dict or list.
type replica struct {
	kind  Kind
	name  string
	born  uint64
	items []shown     // in order; a dict's may be dead, but for the last
	at    map[int]int // of a dict: key to item
}

func (r *replica) length() int {
	if r.kind == KindDict {
		return len(r.at)
	}
	return len(r.items)
}

func (r *replica) set(key int, val uint32, lsn uint64) {
	if i, ok := r.at[key]; ok {
		r.items[i].val, r.items[i].version = val, lsn
		return
	}
	r.at[key] = len(r.items)
	r.items = append(r.items, shown{key: key, val: val, version: lsn, place: lsn})
}

func (r *replica) remove(key int) error {
	i, ok := r.at[key]
	if !ok {
		return fmt.Errorf("removes key %d, which is not there", key)
	}
	delete(r.at, key)
	r.items[i].dead = true
	for n := len(r.items); n > 0 && r.items[n-1].dead; n-- {
		r.items = r.items[:n-1]
	}
	if len(r.items) > 2*len(r.at)+100 {
		r.items = slices.DeleteFunc(r.items, func(e shown) bool { return e.dead })
		for i, e := range r.items {
			r.at[e.key] = i
		}
	}
	return nil
}

// replicas are all tables by name.
type replicas map[string]*replica

// apply applies a request that took n LSNs from lsn on.
func (rs replicas) apply(rec record) error {
	a := rec.asked
	r := rs[a.name]
	if (r == nil) != (a.kind == requestCreate) {
		return fmt.Errorf("a request on table %q, there: %v", a.name, r != nil)
	}
	assigned := uint64(1)
	switch a.kind {
	case requestCreate:
		assigned += uint64(len(a.vals))
		r = &replica{kind: a.table, name: a.name, born: rec.lsn, at: map[int]int{}}
		rs[a.name] = r
		r.fill(a, rec.lsn+1)
	case requestDrop:
		delete(rs, a.name)
	case requestRename:
		if rs[a.other] != nil {
			return fmt.Errorf("table %q is renamed %q, which is there", a.name, a.other)
		}
		delete(rs, a.name)
		r.name, rs[a.other] = a.other, r
	case requestUpdate:
		assigned = uint64(len(a.keys))
		r.fill(a, rec.lsn)
	default:
		if r.kind == KindDict {
			if err := r.applyDict(a, rec.lsn); err != nil {
				return err
			}
		} else {
			assigned = r.applyList(a)
		}
	}
	if assigned != rec.n {
		return fmt.Errorf("assigned %d LSNs, not %d", rec.n, assigned)
	}
	return nil
}

func (r *replica) fill(a *request, first uint64) {
	for i, val := range a.vals {
		if r.kind == KindDict {
			r.set(a.keys[i], val, first+uint64(i))
		} else {
			r.items = append(r.items, shown{val: val})
		}
	}
}

func (r *replica) applyDict(a *request, lsn uint64) error {
	switch a.kind {
	case requestSet:
		r.set(a.keys[0], a.vals[0], lsn)
	case requestIncrement:
		val := a.vals[0]
		if i, ok := r.at[a.keys[0]]; ok {
			val += r.items[i].val
		}
		r.set(a.keys[0], val, lsn)
	case requestRemove:
		return r.remove(a.keys[0])
	case requestPopItem:
		if n := len(r.items); n == 0 || r.items[n-1].key != a.got {
			return fmt.Errorf("popitem took key %d of %d, not the newest", a.got, n)
		}
		return r.remove(a.got)
	case requestClear:
		r.items = nil
		clear(r.at)
	default:
		return fmt.Errorf("request %d on a dict", a.kind)
	}
	return nil
}

// applyList returns how many LSNs the change must have assigned.
func (r *replica) applyList(a *request) (assigned uint64) {
	elems := make([]shown, len(a.vals))
	for i, val := range a.vals {
		elems[i] = shown{val: val}
	}
	from, to := min(a.at[0], len(r.items)), min(a.at[1], len(r.items))
	to = max(from, to)
	switch a.kind {
	case requestAppend:
		r.items = append(r.items, elems...)
		return uint64(len(elems))
	case requestInsert:
		r.items = slices.Insert(r.items, from, elems...)
	case requestSetItem:
		r.items[a.at[0]] = elems[0]
	case requestPop:
		last := len(r.items) - 1
		if last < 0 || int(r.items[last].val) != a.got {
			return 0
		}
		r.items = r.items[:last]
	case requestSetSlice:
		r.items = slices.Replace(r.items, from, to, elems...)
		return uint64(max(len(elems), 1))
	case requestDeleteSlice:
		r.items = slices.Delete(r.items, from, to)
	case requestReverse:
		slices.Reverse(r.items)
	case requestSort:
		slices.SortStableFunc(r.items, func(a, b shown) int { return cmp.Compare(a.val, b.val) })
	case requestClear:
		r.items = nil
	default:
		return 0
	}
	return 1
}
