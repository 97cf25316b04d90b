package engine

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"

	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/codec"
	"cyberdb-fast/shardmap"
)

// The locks that are held, and the leases of computations, are the entries of one table, whose body
// is a dict: they are logged, saved and expire as entries do. The fence of a grant is the place of
// its entry, the LSN of the insertion: it grows for ever.
//
// What a request changes there is logged as an effect that names the entry, so that its replay does
// not depend on which entries had expired.

// LocksTable is the name of the table of the locks.
const LocksTable = shardmap.LocksTable

var locksTable = []byte(LocksTable)

// Kinds of entries, and of lines. The first byte of a key. Stored in files: do not change.
const (
	lockEntry    = 0 // the lock's name, then the slot u16
	computeEntry = 1 // length u16 of the table's name, the name, the canonical key
	listLine     = 2 // a line alone: the list's name
)

// slotBytes is the size of a slot in a key.
const slotBytes = 2

// lookCost is what it takes to look at an entry or at a place in a line, in estimated nanoseconds.
const lookCost = 60

// appendLockLine appends the key of a lock's line.
func appendLockLine(dst, name []byte) []byte { return append(append(dst, lockEntry), name...) }

// appendLockKey appends the encoded key of a slot of a lock.
func appendLockKey(dst, name []byte, slot int) []byte {
	dst = appendBin(dst, 1+len(name)+slotBytes)
	dst = appendLockLine(dst, name)
	return binary.BigEndian.AppendUint16(dst, uint16(slot))
}

// lockOfKey returns the name and the slot of an encoded key of a lock; 0: it is another entry's.
func lockOfKey(encoded []byte) (name []byte, slot int) {
	key, _, err := msgp.ReadBytesZC(encoded)
	if err != nil || len(key) <= 1+slotBytes || key[0] != lockEntry {
		return nil, 0
	}
	at := len(key) - slotBytes
	return key[1:at], int(binary.BigEndian.Uint16(key[at:]))
}

// appendBin appends the header of bytes.
func appendBin(dst []byte, n int) []byte {
	switch {
	case n < 1<<8:
		return append(dst, 0xc4, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(dst, 0xc5), uint16(n))
	}
	return binary.BigEndian.AppendUint32(append(dst, 0xc6), uint32(n))
}

// held is a grant.
type held struct {
	place uint64 // the fence; 0: there is no grant
	left  int64  // milliseconds until it has expired
	owner owner
}

// heldAt returns the grant with an encoded key, which becomes x.entryKey. The table is x.Table.
func (x *Executor) heldAt(key []byte) (h held, err error) {
	x.entryKey = key
	x.call.Cost += lookCost
	f, err := x.Table.Dict().Find(&x.call, x.found16[:0], key)
	if errors.Is(err, shardmap.ErrNoKey) || errors.Is(err, shardmap.ErrNoTable) { // it was dropped meanwhile
		return h, nil
	}
	if err != nil {
		return h, err
	}
	h.place, h.left = f.Place, max(f.Deadline-x.engine.env.Store.Now(), 0)+1
	if id, _, err := msgp.ReadBytesZC(f.Val); err == nil && len(id) == ownerBytes {
		h.owner = owner(id)
	}
	return h, nil
}

// findHeld returns the first grant of a lock that is as asked for, whose key is x.entryKey then.
// Its place is 0 if there is none. The table becomes x.Table.
func (x *Executor) findHeld(name []byte, is func(h *held) bool) (h held, err error) {
	table, err := x.findLocks()
	if table == nil || err != nil || table.Len() == 0 && table.Err() == nil {
		return held{}, err
	}
	h, err = x.heldAt(appendLockKey(x.entryKey[:0], name, 0))
	if err != nil || h.place != 0 && is(&h) {
		return h, err
	}
	plain, seen := x.engine.plain.has(table, name)
	if plain {
		return held{}, nil
	}
	none := true
	for slot := 1; slot < maxSlots; slot++ {
		h, err := x.heldAt(appendLockKey(x.entryKey[:0], name, slot))
		if err != nil || h.place != 0 && is(&h) {
			return h, err
		}
		none = none && h.place == 0
	}
	if none {
		x.engine.plain.note(table, name, seen)
	}
	return held{}, nil
}

// mayGrant returns an error if nothing could be kept that is granted.
func (x *Executor) mayGrant() error {
	if err := x.engine.env.Admission.Change(); err != nil {
		return err
	}
	return x.grow(len(x.lineKey))
}

// grant gives an entry that is free, or the owner's with the fence own, to the owner for so many
// milliseconds, and returns its fence, also if the lease is over by now. The request holds the
// gate.
func (x *Executor) grant(table *shardmap.Table, key []byte, of owner, ttl int64, own uint64) (fence uint64, err error) {
	err = x.logged(appendGrant(key, of, ttl), func() error { return x.setGrant(table, key, of, ttl) })
	if err != nil {
		return 0, err
	}
	set := x.call.Version
	h, err := x.heldAt(key)
	return cmp.Or(h.place, own, set), err
}

// setGrant writes an entry.
func (x *Executor) setGrant(table *shardmap.Table, key []byte, of owner, ttl int64) error {
	x.call.HasIf, x.call.TTL = false, ttl
	if brokenLease && x.call.Replay {
		x.call.TTL += replayTime
	}
	err := table.Dict().Set(&x.call, key, msgp.AppendBytes(x.val16[:0], of[:]))
	if name, slot := lockOfKey(key); slot > 0 {
		x.engine.plain.granted(table, name)
	}
	return err
}

// renew makes the lease of an owner last for so many milliseconds from now on, and returns its
// fence; 0: the owner does not have the entry.
func (x *Executor) renew(table *shardmap.Table, key []byte, of owner, ttl int64) (fence uint64, err error) {
	val := msgp.AppendBytes(x.val16[:0], of[:])
	var had bool
	err = x.logged(appendGrant(key, of, ttl), func() (err error) {
		x.call.HasIf, x.call.TTL = false, ttl
		had, err = table.Dict().CompareAndSet(&x.call, key, val, val)
		return err
	})
	if errors.Is(err, shardmap.ErrNoTable) { // it was dropped meanwhile
		return 0, nil
	}
	if err != nil || !had {
		return 0, err
	}
	h, err := x.heldAt(key)
	return h.place, err
}

// release removes the entry of an owner, if it has it.
func (x *Executor) release(table *shardmap.Table, key []byte, of owner) (bool, error) {
	release := msgp.AppendString([]byte{byte(codec.OpLockRelease), 0}, LocksTable)
	var had bool
	err := x.logged(append(release, key...), func() (err error) {
		x.call.HasIf, x.call.TTL = false, shardmap.DefaultTTL
		had, err = table.Dict().CompareAndSet(&x.call, key, msgp.AppendBytes(x.val16[:0], of[:]), nil)
		return err
	})
	if errors.Is(err, shardmap.ErrNoTable) { // it was dropped meanwhile
		return false, nil
	}
	return had, err
}

// grantedEntry notes that an owner was granted the entry with the key x.entryKey; again: it had it
// already. If no reply is sent, the entry is released, and those in the line x.lineKey are woken.
func (x *Executor) grantedEntry(wake func(key []byte), of owner, again bool) error {
	entry, line := bytes.Clone(x.entryKey), bytes.Clone(x.lineKey)
	giveBack := func(x *Executor) (had bool, err error) {
		table, err := x.findLocks()
		if table == nil || err != nil {
			return false, err
		}
		if had, err = x.release(table, entry, of); had {
			wake(line)
		}
		return had, err
	}
	return x.granted(line, of, again, giveBack)
}

// appendGrant returns the effect that grant and renew log.
func appendGrant(key []byte, of owner, ttl int64) []byte {
	b := msgp.AppendString([]byte{byte(codec.OpLockGrant), 0}, LocksTable)
	return msgp.AppendInt64(msgp.AppendBytes(append(b, key...), of[:]), ttl)
}

// logged calls f, which logs an effect instead of the request.
func (x *Executor) logged(effect []byte, f func() error) error {
	request := x.call.Request
	x.call.Request = effect
	err := f()
	x.call.Request = request
	return err
}

// createLocks creates the table of the locks again.
func createLocks(x *Executor) error {
	x.call.Options = shardmap.Options{}
	_, err := x.engine.env.Store.Create(&x.call, string(x.TableName), shardmap.KindLocks, nil, 0)
	return err
}

// lockGrant grants or renews an entry again.
func lockGrant(x *Executor) error {
	of, err := ownerArgument(x.args[1], "owner")
	if err != nil {
		return err
	}
	ttl, err := leaseArgument(x.args[2], "ttl")
	if err != nil {
		return err
	}
	return x.setGrant(x.Table, x.args[0], of, ttl)
}

// lockRelease removes an entry again.
func lockRelease(x *Executor) error { return x.Table.Dict().Delete(&x.call, x.args[0]) }
