package loop

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bytedance/sonic"

	"cyberdb-fast/loop/engine"
	"cyberdb-fast/loop/stats"
	"cyberdb-fast/shardmap"
)

const (
	// maxTableFigures is the most tables that are listed one by one.
	maxTableFigures = 1000
	// tablesShare bounds the time that walks over all tables take: after each there is none for so
	// many times as long.
	tablesShare = 10
)

// tableOrders are the orders of INFO "tables".
var tableOrders = []string{"bytes", "entries", "name", "traffic"}

// TableFigures is what INFO "tables" tells of a table.
type TableFigures struct {
	Name string `json:"name"`
	Kind string `json:"kind"`
	TableSums
}

// TableSums are the figures of tables that can be added.
type TableSums struct {
	Entries int64 `json:"entries"`
	Bytes   int64 `json:"bytes"` // of a dict as max_bytes counts them, of a list those of its elements
	stats.TableCounts
	Expired uint64 `json:"expired"` // entries that were removed since the start, by reason
	Idle    uint64 `json:"idle"`
	Evicted uint64 `json:"evicted"`
	Refused uint64 `json:"refused"` // changes for which there was no room

	// of lists, as queues
	Leased        int64  `json:"leased"` // items that clients have taken
	Delayed       int64  `json:"delayed"`
	Deliveries    uint64 `json:"deliveries"`
	LeasesExpired uint64 `json:"leases_expired"` // after which the item returned
	DeadLettered  uint64 `json:"dead_lettered"`
}

func (s *TableSums) add(other *TableSums) {
	s.Entries += other.Entries
	s.Bytes += other.Bytes
	s.Add(other.TableCounts)
	s.Expired += other.Expired
	s.Idle += other.Idle
	s.Evicted += other.Evicted
	s.Refused += other.Refused
	s.Leased += other.Leased
	s.Delayed += other.Delayed
	s.Deliveries += other.Deliveries
	s.LeasesExpired += other.LeasesExpired
	s.DeadLettered += other.DeadLettered
}

// Tables is what INFO "tables" answers, as JSON.
type Tables struct {
	Tables []TableFigures `json:"tables"`
	// the sums of all others; those of the tables that are gone, and uses of tables beyond the
	// first 1000 that were used, are among them
	Other TableSums `json:"other"`
	Count int       `json:"count"` // of all tables
}

// cut returns t with its first tables alone.
func (t *Tables) cut(limit int) Tables {
	own := *t
	for i := limit; i < len(t.Tables); i++ {
		own.Other.add(&t.Tables[i].TableSums)
	}
	own.Tables = t.Tables[:min(limit, len(t.Tables))]
	return own
}

// tableWalks are the last walks over all tables, one for each order.
type tableWalks struct {
	mu    sync.Mutex // locked during a walk
	walks map[string]*tableWalk
}

type tableWalk struct {
	tables Tables
	until  time.Time // it is told again
}

// Tables returns the figures of the first tables in an order of INFO "tables", up to 1000. They may
// be 100 ms old, or ten times as old as it takes to read them. Errors: of a server that stops.
func (srv *Server) Tables(order string, limit int) (Tables, error) {
	w := &srv.tableWalks
	w.mu.Lock()
	defer w.mu.Unlock()
	last := w.walks[order]
	if last == nil || time.Now().After(last.until) {
		began := time.Now()
		tables, err := srv.walkTables(order)
		if err != nil {
			return Tables{}, err
		}
		now := time.Now()
		last = &tableWalk{tables, now.Add(max(figuresAge, tablesShare*now.Sub(began)))}
		if w.walks == nil {
			w.walks = map[string]*tableWalk{}
		}
		w.walks[order] = last
	}
	return last.tables.cut(limit), nil
}

// infoTables answers INFO "tables".
func (srv *Server) infoTables(p engine.Parameters) ([]byte, error) {
	tables, err := srv.Tables(p.Text("sort"), int(p.Int("limit")))
	if err != nil {
		return nil, err
	}
	return sonic.ConfigStd.Marshal(tables)
}

// walkTables reads the figures of all tables and keeps the first in the order.
func (srv *Server) walkTables(order string) (t Tables, err error) {
	totals, pace := srv.Stats(), srv.paceDigest()
	used := totals.Other
	used.Add(totals.Tables()) // less those that are found below: what is left is of tables that are gone
	first := firstTables{before: tableOrder(order)}
	for name, table := range srv.store.AllTables {
		if err = pace(); err != nil {
			return t, err
		}
		f := figuresOf(name, table, totals)
		used.Subtract(f.TableCounts)
		first.add(&f)
		t.Count++
	}
	t.Tables, t.Other = first.end()
	t.Other.Add(used)
	return t, nil
}

func figuresOf(name string, table *shardmap.Table, totals *stats.Totals) TableFigures {
	f := TableFigures{Name: name, Kind: table.Kind().String()}
	f.Entries, f.TableCounts = int64(table.Len()), totals.Table(table.Tag())
	if d := table.Dict(); d != nil {
		r := d.Removals()
		f.Bytes, f.Expired, f.Idle, f.Evicted, f.Refused = d.UsedBytes(), r.Expired, r.Idle, r.Evicted, r.Refused
	} else {
		q := table.List().QueueFigures()
		f.Bytes, f.Leased, f.Delayed = int64(table.List().Bytes()), int64(q.Leased), int64(q.Delayed)
		f.Deliveries, f.LeasesExpired, f.DeadLettered = q.Taken, q.Expired, q.Dead
	}
	return f
}

// tableOrder returns an order of INFO "tables". Equal tables are in that of their names.
func tableOrder(order string) func(a, b TableFigures) int {
	by := func(figure func(f *TableFigures) int64) func(a, b TableFigures) int {
		return func(a, b TableFigures) int {
			return cmp.Or(cmp.Compare(figure(&b), figure(&a)), strings.Compare(a.Name, b.Name))
		}
	}
	switch order {
	case "entries":
		return by(func(f *TableFigures) int64 { return f.Entries })
	case "traffic":
		return by(func(f *TableFigures) int64 { return int64(f.Requests) })
	case "name":
		return by(func(*TableFigures) int64 { return 0 })
	}
	return by(func(f *TableFigures) int64 { return f.Bytes })
}

// firstTables keeps the first of many tables in an order.
type firstTables struct {
	before func(a, b TableFigures) int
	list   []TableFigures // up to twice as many as are kept; the first maxTableFigures are sorted
	rest   TableSums
}

func (t *firstTables) add(f *TableFigures) {
	if len(t.list) >= maxTableFigures && t.before(*f, t.list[maxTableFigures-1]) > 0 {
		t.rest.add(&f.TableSums)
		return
	}
	if t.list = append(t.list, *f); len(t.list) == maxTableFigures || len(t.list) == 2*maxTableFigures {
		t.sort()
	}
}

// sort sorts the list and drops what is not among the first.
func (t *firstTables) sort() {
	slices.SortFunc(t.list, t.before)
	for i := maxTableFigures; i < len(t.list); i++ {
		t.rest.add(&t.list[i].TableSums)
	}
	t.list = t.list[:min(maxTableFigures, len(t.list))]
}

// end returns the first tables, sorted, and the sums of the others.
func (t *firstTables) end() ([]TableFigures, TableSums) {
	t.sort()
	return append([]TableFigures{}, t.list...), t.rest
}
