package engine

import (
	"errors"
	"fmt"
	"math"

	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/value"
	"cyberdb-fast/shardmap"
)

// maxSlots is the largest number of holders that a semaphore may have at once.
const maxSlots = 1024

// lock grants a lock to its owner, or one of the n slots of a semaphore, or lets the request wait
// in the line of that name. It returns the fence of the grant, nil if the wait has ended. An owner
// that holds the lock already gets the same grant, for a new time.
func lock(x *Executor) error {
	name, of, err := x.lockAndOwner()
	if err != nil {
		return err
	}
	ttl, err := leaseArgument(x.args[2], "ttl")
	if err != nil {
		return err
	}
	wait, err := x.waitArgument(x.args[3])
	if err != nil {
		return err
	}
	n, err := countArgument(x.args[4], "n", 1, maxSlots)
	if err != nil {
		return err
	}
	x.lineKey = appendLockLine(x.lineKey[:0], name)
	if by := x.place().endedBy(); by != "" {
		return canceledBy(by)
	}
	if !x.enter(x.lineKey) {
		over, err := x.waitAtGate(of, wait)
		if over {
			x.body = msgp.AppendNil(x.body)
		}
		return err
	}
	defer x.exit(x.lineKey)
	return x.lockSlot(name, of, ttl, wait, int(n))
}

// lockSlot is lock, once the request holds the gate of the name.
func (x *Executor) lockSlot(name []byte, of owner, ttl int64, wait timeLimit, n int) error {
	table, err := x.findLocks()
	if err != nil {
		return err
	}
	free, soonest, own := 0, int64(math.MaxInt64), held{}
	var ends when
	if table != nil {
		ends = table.WhenEnded
		if free, soonest, own, err = x.freeSlot(name, of, n); err != nil {
			return err
		}
	}
	switch {
	case own.place != 0 || free >= 0 && x.isNext(x.lineKey):
		return x.grantSlot(appendLockKey(x.entryKey[:0], name, free), of, ttl, own)
	case wait.over():
		x.body = msgp.AppendNil(x.body)
		return nil
	}
	return x.waitInLine(x.lineKey, of, wait.within(soonest), ends)
}

// freeSlot returns the slot that an owner has, with what it has; otherwise the first one that is
// free, -1 if none is, and how many milliseconds later one will be.
func (x *Executor) freeSlot(name []byte, of owner, n int) (free int, soonest int64, own held, err error) {
	free, soonest = -1, math.MaxInt64
	for slot := range n {
		h, err := x.heldAt(appendLockKey(x.entryKey[:0], name, slot))
		switch {
		case err != nil:
			return free, soonest, own, err
		case h.place == 0:
			if free < 0 {
				free = slot
			}
		case h.owner == of:
			return slot, soonest, h, nil
		default:
			soonest = min(soonest, h.left)
		}
	}
	return free, soonest, own, nil
}

// grantSlot grants an entry to an owner, which has had own until now, unless UNLOCK has ended the
// wait of the request meanwhile.
func (x *Executor) grantSlot(key []byte, of owner, ttl int64, own held) error {
	fence, err := x.makeGrant(key, of, ttl, own.place)
	if err != nil {
		return err
	}
	if x.place().endedBy() == byUnlock {
		if _, err = x.release(x.Table, x.entryKey, of); err == nil {
			x.engine.lines.wakeFirst(x.lineKey)
			err = canceledBy(byUnlock)
		}
		return err
	}
	if err := x.grantedEntry(x.engine.lines.wakeFirst, of, own.place != 0); err != nil {
		return err
	}
	if ttl < own.left {
		x.engine.lines.wakeFirst(x.lineKey) // it waits for the end of the lease
	}
	x.body = msgp.AppendUint64(x.body, fence)
	return nil
}

// makeGrant is grant in the table of the locks, which it creates if there is none.
func (x *Executor) makeGrant(key []byte, of owner, ttl int64, own uint64) (fence uint64, err error) {
	for range 3 { // another one if it is dropped meanwhile
		table, err := x.makeLocks()
		if err != nil {
			return 0, err
		}
		if fence, err = x.grant(table, key, of, ttl, own); !errors.Is(err, shardmap.ErrNoTable) {
			return fence, err
		}
	}
	return 0, errLocksDropped
}

// errLocksDropped is the error of a request whose grants are dropped as fast as it makes them.
var errLocksDropped = &codec.Error{
	Status: codec.StatusOverloaded, Message: "the locks were dropped meanwhile: try again",
}

// unlock releases what the owner holds of a lock, and ends the wait of its LOCK.
func unlock(x *Executor) error {
	name, of, err := x.lockAndOwner()
	if err != nil {
		return err
	}
	x.lineKey = appendLockLine(x.lineKey[:0], name)
	x.call.Cost += lookCost
	x.engine.lines.cancel(x.lineKey, of) // first: a LOCK that is granted from here on finds that
	h, err := x.findHeld(name, func(h *held) bool { return h.owner == of || brokenRelease })
	if err != nil {
		return err
	}
	released := false
	if h.place != 0 {
		if released, err = x.release(x.Table, x.entryKey, h.owner); err != nil {
			return err
		}
	}
	if released {
		x.engine.lines.wakeFirst(x.lineKey)
	}
	x.body = msgp.AppendBool(x.body, released)
	return nil
}

// renewLock makes a lease of its owner last for a new time from now on.
func renewLock(x *Executor) error {
	name, of, err := x.lockAndOwner()
	if err != nil {
		return err
	}
	ttl, err := leaseArgument(x.args[2], "ttl")
	if err != nil {
		return err
	}
	h, err := x.findHeld(name, func(h *held) bool { return h.owner == of })
	if err != nil {
		return err
	}
	if h.place == 0 {
		return x.lockLost(name)
	}
	fence, err := x.renew(x.Table, x.entryKey, of, ttl)
	if err == nil && fence == 0 {
		return x.lockLost(name)
	}
	if err == nil && ttl < h.left {
		x.engine.lines.wakeFirst(appendLockLine(x.lineKey[:0], name)) // it waits for the end of the lease
	}
	x.body = msgp.AppendUint64(x.body, fence)
	return err
}

// lockHolders returns who holds a lock: fences and the times that are left; and how many requests
// wait for it.
func lockHolders(x *Executor) error {
	name, err := lockName(x.args[0])
	if err != nil {
		return err
	}
	var all []held
	if _, err := x.findHeld(name, func(h *held) bool { all = append(all, *h); return false }); err != nil {
		return err
	}
	x.body = msgp.AppendArrayHeader(x.body, uint32(len(all)))
	for i := range all {
		x.body = msgp.AppendArrayHeader(x.body, 2)
		x.body = msgp.AppendUint64(x.body, all[i].place)
		x.body = msgp.AppendInt64(x.body, all[i].left)
	}
	x.body = msgp.AppendInt(x.body, x.engine.lines.waiting(appendLockLine(x.lineKey[:0], name)))
	return nil
}

// lockLost is the error for a lock that is not held as the request says. Its key is the present
// fence, 0 if the lock is free.
func (x *Executor) lockLost(name []byte) error {
	h, err := x.findHeld(name, func(*held) bool { return true })
	if err != nil {
		return err
	}
	return lostError(fmt.Sprintf("lock %q", name), h.place)
}

func lostError(what string, fence uint64) error {
	now := "it is free"
	if fence != 0 {
		now = fmt.Sprintf("its fence is %d", fence)
	}
	return &codec.Error{
		Status: codec.StatusLockLost, Key: msgp.AppendUint64(nil, fence),
		Message: what + " is lost: " + now,
	}
}

// canceledBy is the error of a request whose wait another request has ended.
func canceledBy(what string) *codec.Error {
	return &codec.Error{
		Status:  codec.StatusCanceled,
		Message: what + " has ended the wait of the request: nothing was done",
	}
}

// lockAndOwner reads the first two arguments.
func (x *Executor) lockAndOwner() (name []byte, of owner, err error) {
	if name, err = lockName(x.args[0]); err != nil {
		return nil, of, err
	}
	of, err = ownerArgument(x.args[1], "owner")
	return name, of, err
}

// lockName reads the name of a lock.
func lockName(b []byte) ([]byte, error) {
	if msgp.NextType(b) != msgp.StrType {
		return nil, typeError(fmt.Sprintf(
			"a lock's name is a str of 1 to %d bytes, not %s", codec.MaxLockNameBytes, value.TypeName(b)))
	}
	name, _, err := msgp.ReadStringZC(b)
	if err != nil || len(name) == 0 || len(name) > codec.MaxLockNameBytes {
		return nil, valueError(fmt.Sprintf(
			"a lock's name is a str of 1 to %d bytes, this one has %d", codec.MaxLockNameBytes, len(name)))
	}
	return name, nil
}

// ownerArgument reads the 16 bytes that name an owner.
func ownerArgument(b []byte, what string) (of owner, err error) {
	if msgp.NextType(b) != msgp.BinType {
		return of, typeError(fmt.Sprintf("%s is bytes of length %d, not %s", what, ownerBytes, value.TypeName(b)))
	}
	id, _, err := msgp.ReadBytesZC(b)
	if err != nil || len(id) != ownerBytes {
		return of, valueError(fmt.Sprintf("%s is bytes of length %d, not of length %d", what, ownerBytes, len(id)))
	}
	return owner(id), nil
}

// leaseArgument reads a time that a lease lasts, in milliseconds.
func leaseArgument(b []byte, what string) (int64, error) {
	return countArgument(b, what, 1, codec.MaxTimeToLive)
}

// countArgument reads an int within bounds.
func countArgument(b []byte, what string, least, most int64) (int64, error) {
	n, isInt, _ := intArgument(b) // what does not fit becomes the largest or the smallest
	if !isInt || msgp.NextType(b) == msgp.BoolType {
		return 0, typeError(fmt.Sprintf("%s is an int, not %s", what, value.TypeName(b)))
	}
	if n < least || n > most {
		return 0, valueError(fmt.Sprintf("%s is %d to %d, not %s", what, least, most, reprOf(b)))
	}
	return n, nil
}

// timeLimit is how long a request still waits, in milliseconds.
type timeLimit int64

// untilDeadline waits as long as the deadline of the request and its connection allow.
const untilDeadline timeLimit = math.MaxInt64

// waitArgument reads how long a request waits, and takes off what it has waited: an int, or None
// for as long as its deadline and its connection allow.
func (x *Executor) waitArgument(b []byte) (timeLimit, error) {
	if msgp.IsNil(b) {
		return untilDeadline, nil
	}
	ms, err := countArgument(b, "wait", 0, codec.MaxTimeToLive)
	return timeLimit(ms - x.Waited), err
}

// over reports whether the request waits no longer.
func (t timeLimit) over() bool { return t <= 0 }

// within returns Wait.Within for something that changes in so many milliseconds, or earlier.
func (t timeLimit) within(soonest int64) int64 {
	if least := min(int64(t), soonest); least < math.MaxInt64 {
		return max(least, 1)
	}
	return 0
}

// makeLocks returns the table of the locks, which it creates if there is none.
func (x *Executor) makeLocks() (*shardmap.Table, error) {
	table, err := x.findLocks()
	if table != nil || err != nil {
		return table, err
	}
	create := msgp.AppendString([]byte{byte(codec.OpCreateLocks), 0}, LocksTable)
	err = x.logged(create, func() error {
		x.call.Options, x.call.TTL = shardmap.Options{}, shardmap.DefaultTTL
		_, err := x.engine.env.Store.Create(&x.call, LocksTable, shardmap.KindLocks, nil, 0)
		return err
	})
	if err != nil && !errors.Is(err, shardmap.ErrTableExists) {
		return nil, err
	}
	table, err = x.findLocks()
	if table == nil && err == nil {
		err = errLocksDropped
	}
	return table, err
}

// findLocks returns the table of the locks; nil: there is none.
func (x *Executor) findLocks() (*shardmap.Table, error) {
	x.TableName = locksTable
	err := x.findTable(LocksTableKind)
	switch {
	case errors.Is(err, shardmap.ErrNoTable):
		return nil, nil
	case errors.Is(err, shardmap.ErrKind):
		return nil, &codec.Error{
			Status: codec.StatusWrongTableKind, Want: shardmap.KindLocks.String(), Have: x.Table.Kind().String(),
			Message: fmt.Sprintf(
				"table %q is a %v: there can be no locks until it is renamed", LocksTable, x.Table.Kind()),
		}
	}
	return x.Table, err
}
