package stats

import (
	"math"
	"sync"
	"sync/atomic"
	"weak"

	"cyberdb-fast/shardmap"
)

const (
	// MaxTables is how many tables have places of their own in a recorder.
	MaxTables = 1000
	// placeBits of a tag are the table's place; 0: none of its own.
	placeBits = 10
	// NoTable is the tag of a request that has found no table.
	NoTable = math.MaxUint64
)

// TableCounts is how a table was used.
type TableCounts struct {
	Requests uint64 `json:"requests"`
	Hits     uint64 `json:"hits"`   // keys that were looked up and found
	Misses   uint64 `json:"misses"` // those that were not there
}

// Add adds other counts.
func (c *TableCounts) Add(other TableCounts) {
	c.Requests += other.Requests
	c.Hits += other.Hits
	c.Misses += other.Misses
}

// Subtract takes away counts that were added.
func (c *TableCounts) Subtract(other TableCounts) {
	c.Requests -= other.Requests
	c.Hits -= other.Hits
	c.Misses -= other.Misses
}

// tableRow counts the uses of the table with a tag.
type tableRow struct {
	tag uint64
	TableCounts
}

// tableRows has a row for each place. The first one counts what has no place of its own: the uses
// of tables beyond MaxTables, and of tables that are gone.
type tableRows []tableRow

func newTableRows() tableRows { return make(tableRows, 1<<placeBits) }

func (rows tableRows) count(tag uint64, counts TableCounts) {
	row := &rows[tag%(1<<placeBits)]
	if row.tag != tag {
		row = rows.other(row, tag)
	}
	row.Add(counts)
}

// other returns the row of a tag whose place has another tag. The later tag has the place: the
// table of the other one is gone.
func (rows tableRows) other(row *tableRow, tag uint64) *tableRow {
	if tag < row.tag {
		return &rows[0]
	}
	rows[0].Add(row.TableCounts)
	*row = tableRow{tag: tag}
	return row
}

// used returns a copy of the rows that count something, and of the first.
func (rows tableRows) used() []tableRow {
	used := []tableRow{rows[0]}
	for _, row := range rows[1:] {
		if row.Requests > 0 {
			used = append(used, row)
		}
	}
	return used
}

// Tags gives tables their tags when they are first used. The zero value is ready. Its methods may
// be called from any goroutine.
type Tags struct {
	full atomic.Bool // no place is free

	mu     sync.Mutex
	given  uint64                                      // tags; guarded by mu
	places [MaxTables + 1]weak.Pointer[shardmap.Table] // whose they are; guarded by mu
	free   []int                                       // places whose tables are gone; guarded by mu
	begun  int                                         // places that were ever given; guarded by mu
}

// Of returns the table's tag, which it gives it if there is a place; 0: there is none.
func (t *Tags) Of(table *shardmap.Table) uint64 {
	if tag := table.Tag(); tag != 0 || t.full.Load() {
		return tag
	}
	return t.give(table)
}

func (t *Tags) give(table *shardmap.Table) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if tag := table.Tag(); tag != 0 {
		return tag
	}
	place := t.takePlace()
	if place == 0 {
		t.full.Store(true)
		return 0
	}
	t.places[place] = weak.Make(table)
	t.given++
	tag := t.given<<placeBits | uint64(place)
	table.SetTag(tag)
	return tag
}

// takePlace returns a free place; 0: there is none. The caller holds mu.
func (t *Tags) takePlace() int {
	if last := len(t.free) - 1; last >= 0 {
		place := t.free[last]
		t.free = t.free[:last]
		return place
	}
	if t.begun == MaxTables {
		return 0
	}
	t.begun++
	return t.begun
}

// Reclaim frees the places of tables that are gone.
func (t *Tags) Reclaim() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for place := 1; place <= t.begun; place++ {
		if t.places[place] == (weak.Pointer[shardmap.Table]{}) {
			continue // it is free
		}
		if table := t.places[place].Value(); table == nil || table.Gone() {
			t.places[place] = weak.Pointer[shardmap.Table]{}
			t.free = append(t.free, place)
		}
	}
	t.full.Store(len(t.free) == 0 && t.begun == MaxTables)
}
