package web

import (
	"sync"
	"time"

	"cyberdb-fast/loop"
)

// scrapeTime is how old what /metrics shows may be: scrapes that come faster share it.
const scrapeTime = 100 * time.Millisecond

// scrape is what /metrics shows. The zero value is ready.
type scrape struct {
	mu sync.Mutex
	// guarded by mu
	text []byte // not changed once it is here
	made time.Time
}

// of returns the text for a database.
func (m *scrape) of(db *loop.Server) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.text != nil && time.Since(m.made) < scrapeTime {
		return m.text
	}
	var out text
	out.Grow(len(m.text) + len(m.text)/8)
	info := db.Info()
	writeInfo(&out, &info)
	writeCommands(&out, db.Stats())
	if tables, err := db.Tables("bytes", maxTables); err == nil { // else the server stops
		writeTables(&out, &tables)
	}
	m.text, m.made = out.Bytes(), time.Now()
	return m.text
}
