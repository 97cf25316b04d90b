package requestlog

import (
	"strings"
	"sync"
	"time"

	"cyberdb-fast/codec"
)

// Entry is one request.
type Entry struct {
	Op        codec.Opcode
	Status    codec.Status
	Table     []byte // "" if it is for none, or was refused before its table was read
	Key       []byte // encoded and checked, whatever its size; "" if it is for none
	Client    string
	Queue     time.Duration // from its arrival until it was executed
	Execution time.Duration

	RequestBytes, ReplyBytes int // of its frames
}

// Shown is an entry as INFO shows it.
type Shown struct {
	ID        uint64 `json:"id"`
	Time      string `json:"time"` // when its reply was ready; RFC 3339, UTC
	Command   string `json:"command"`
	Table     string `json:"table"`
	Key       string `json:"key"` // Python's repr, shortened
	Client    string `json:"client"`
	Status    string `json:"status"`
	Queue     int64  `json:"queue_us"`
	Execution int64  `json:"execution_us"`

	RequestBytes int `json:"request_bytes"`
	ReplyBytes   int `json:"reply_bytes"`
}

// kept is an entry in a ring. Its table and its key are the ring's own.
type kept struct {
	Entry
	id uint64
	at time.Time
}

// TimeFormat is the form of Shown.Time.
const TimeFormat = "2006-01-02T15:04:05.000Z"

func (k *kept) shown() Shown {
	return Shown{
		ID: k.id, Time: k.at.UTC().Format(TimeFormat), Command: k.Op.String(), Table: Text(k.Table),
		Key: KeyText(k.Key), Client: k.Client, Status: k.Status.String(),
		Queue: k.Queue.Microseconds(), Execution: k.Execution.Microseconds(),
		RequestBytes: k.RequestBytes, ReplyBytes: k.ReplyBytes,
	}
}

// Text returns the name of a table as JSON can have it.
func Text(name []byte) string { return strings.ToValidUTF8(string(name), "\uFFFD") }

// Ring keeps the newest entries. Their ids are 1, 2, 3, and so on.
type Ring struct {
	mu      sync.Mutex
	most    int    // constant
	entries []kept // guarded by mu
	total   uint64 // entries that were added; guarded by mu
}

// NewRing returns a ring of so many entries. It takes memory as they are added.
func NewRing(most int) *Ring { return &Ring{most: most} }

// Add adds an entry. It copies what it keeps of the table and the key.
func (r *Ring) Add(e *Entry) {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.entries) < r.most {
		r.entries = append(r.entries, kept{})
	}
	slot := &r.entries[r.total%uint64(r.most)]
	r.total++
	table, key := append(slot.Table[:0], e.Table...), AppendKey(slot.Key[:0], e.Key)
	slot.Entry, slot.id, slot.at = *e, r.total, now
	slot.Table, slot.Key = table, key
}

// Latest returns the entries, newest first, and how many were added ever.
func (r *Ring) Latest() (entries []Shown, total uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	entries = make([]Shown, 0, len(r.entries))
	for i := range len(r.entries) {
		entries = append(entries, r.at(r.total-uint64(i)).shown())
	}
	return entries, r.total
}

// Total returns how many entries were added ever.
func (r *Ring) Total() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.total
}

// at returns the entry with an id that the ring keeps. The caller has locked mu.
func (r *Ring) at(id uint64) *kept { return &r.entries[(id-1)%uint64(r.most)] }
