package engine

import (
	"errors"
	"sync"

	"github.com/bytedance/sonic"
	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/digest"
	"cyberdb-fast/shardmap"
)

// The digest of the store is computed in the background, from a view. There is one walk over all
// tables at a time, and all requests that came before it began share its result: like the list of
// tables, it shows all changes that their sessions have made before.

// Digest is the answer to INFO "digest", as JSON.
type Digest struct {
	Digest string `json:"digest"` // 32 hexadecimal digits: "Digest" in persist/FORMAT.md
	LSN    uint64 `json:"lsn"`    // of the view: it shows exactly the changes up to this one
	Tables uint64 `json:"tables"`
	Items  uint64 `json:"items"` // entries and elements
}

// digests computes digests.
type digests struct {
	walking sync.Mutex // locked during a walk

	mu   sync.Mutex
	next *storeDigest // of the walk that has not begun; nil: no request waits for one. Guarded by mu
}

// storeDigest is one digest, for all requests that share it. Guarded by digests.walking.
type storeDigest struct {
	done     bool
	text     []byte // JSON
	poisoned string // the table of shardmap.ErrPoisoned
	err      error
}

// infoDigest answers INFO "digest".
func infoDigest(x *Executor) error {
	d := x.engine.digest()
	var refused *codec.Error
	switch {
	case errors.As(d.err, &refused):
		own := *refused // other requests have the same
		return &own
	case d.err != nil:
		x.TableName = []byte(d.poisoned)
		return d.err
	}
	x.body = msgp.AppendStringFromBytes(x.body, d.text)
	return nil
}

// digest returns the digest of the store at a moment after the call.
func (e *Engine) digest() *storeDigest {
	all := &e.digests
	all.mu.Lock()
	if all.next == nil {
		all.next = &storeDigest{}
	}
	d := all.next
	all.mu.Unlock()

	all.walking.Lock()
	defer all.walking.Unlock()
	if d.done {
		return d
	}
	all.mu.Lock()
	all.next = nil // later requests must see later changes
	all.mu.Unlock()
	// if the walk panics, for the requests that share it
	d.done, d.err = true, &codec.Error{Status: codec.StatusInternal, Message: "internal error of the server"}
	d.text, d.poisoned, d.err = e.walkDigest()
	return d
}

// walkDigest hashes all tables. Errors: ErrPoisoned, with the table's name; those of Env.Pace.
func (e *Engine) walkDigest() (text []byte, poisoned string, err error) {
	pace := func() error { return nil }
	if e.env.Pace != nil {
		pace = e.env.Pace()
	}
	view := e.env.Store.View()
	defer view.Close()
	for name, table := range view.Tables() { // before the work
		if err := table.Err(); err != nil {
			return nil, name, err
		}
	}
	var h digest.Hasher
	for name, table := range view.Tables() {
		if err := hashTable(&h, name, table, pace); err != nil {
			return nil, "", err
		}
		if err := table.Err(); err != nil {
			return nil, name, err
		}
	}
	text, err = sonic.Marshal(Digest{Digest: h.String(), LSN: view.LSN(), Tables: h.Tables, Items: h.Items})
	return text, "", err
}

// hashTable hashes one table.
func hashTable(h *digest.Hasher, name string, table *shardmap.TableView, pace func() error) error {
	if err := pace(); err != nil {
		return err
	}
	if list := table.List(); list != nil {
		o := list.Options()
		h.List(name, digest.Queue{MaxDeliveries: uint64(o.MaxDeliveries), DeadLetter: o.DeadLetter})
		for held := range list.Held() {
			h.Held(held.Receipt, held.Due, held.Deliveries, held.ClaimBytes(), held.Val)
			if err := pace(); err != nil {
				return err
			}
		}
		i := uint64(0)
		for n, val := range list.Counted() {
			h.Element(i, val)
			h.Counted(i, n)
			if err := pace(); err != nil {
				return err
			}
			i++
		}
		return nil
	}
	s := table.Dict().Settings()
	h.Table(digest.Kind(table.Kind()), name, digest.Options{
		TTL: s.TTL, Idle: s.Idle, MaxEntries: s.MaxEntries, MaxBytes: s.MaxBytes, Policy: uint8(s.Policy),
		Since: s.Since, Horizon: s.Horizon,
	})
	for e := range table.Dict().ShowHidden().Drain() { // frees what writers have handed over as it is hashed
		h.Entry(e.Key, e.Val, e.Place, e.Version, e.Deadline)
		if err := pace(); err != nil {
			return err
		}
	}
	return nil
}
