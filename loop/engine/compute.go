package engine

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/value"
	"cyberdb-fast/shardmap"
)

// maxComputeKeyBytes is the size of the largest key that can be computed once.
const maxComputeKeyBytes = 64 << 10

// appendComputeLine appends the key of the line of those that wait for a key of a table.
func appendComputeLine(dst, table, key []byte) ([]byte, error) {
	canonical, unequal, err := value.Key(key, nil)
	switch {
	case err != nil:
		return dst, err
	case unequal:
		return dst, valueError(fmt.Sprintf("key %s equals nothing: it cannot be computed once", reprOf(key)))
	case len(canonical) > maxComputeKeyBytes:
		return dst, valueError(fmt.Sprintf(
			"a key of %d bytes is too large to be computed once: the most is %d", len(canonical), maxComputeKeyBytes))
	}
	dst = binary.BigEndian.AppendUint16(append(dst, computeEntry), uint16(len(table)))
	return append(append(dst, table...), canonical...), nil
}

// leaseOf returns the lease with the key of a line. The table of the locks becomes x.Table.
func (x *Executor) leaseOf(line []byte) (held, error) {
	table, err := x.findLocks()
	if table == nil || err != nil {
		return held{}, err
	}
	return x.heldAt(append(appendBin(x.entryKey[:0], len(line)), line...))
}

// What DICT GET OR COMPUTE answers. On the wire: do not change.
const (
	computeFresh  = 0 // then the value
	computeStale  = 1 // then the value, which another client computes anew
	computeAnew   = 2 // then the fence and the stale value: this client computes
	computeAbsent = 3 // then the fence: this client computes
	computeNone   = 4 // the wait has ended
)

// dictGetOrCompute returns the value of a key, or grants a lease to compute it to one of those that
// ask; the others get the stale value, or wait.
func dictGetOrCompute(x *Executor) error {
	c, err := x.computation()
	if err != nil {
		return err
	}
	if err := c.look(x); err != nil || c.fresh {
		return err
	}
	if by := x.place().endedBy(); by != "" {
		return canceledBy(by)
	}
	if !x.enter(x.lineKey) {
		if c.there {
			return nil // the stale value
		}
		over, err := x.waitAtGate(c.of, c.wait)
		if over {
			x.body = append(x.body, computeNone)
		}
		return err
	}
	defer x.exit(x.lineKey)
	return c.grantOrWait(x)
}

// grantOrWait is dictGetOrCompute, once the request holds the gate of the key. No fresh value was
// there before.
func (c *computation) grantOrWait(x *Executor) error {
	h, err := x.leaseOf(x.lineKey)
	if err != nil {
		return err
	}
	ends, soonest := c.table.WhenEnded, int64(math.MaxInt64)
	if h.place != 0 {
		ends, soonest = both(c.table.WhenEnded, x.Table.WhenEnded), h.left
	}
	if h.place == 0 || h.owner == c.of {
		x.body = x.body[:c.at]
		if err := c.look(x); err != nil || c.fresh { // it may have been computed meanwhile
			return err
		}
		if h.place != 0 || c.there || x.isNext(x.lineKey) {
			return c.grant(x, h)
		}
	}
	x.Table, x.TableName = c.table, c.name
	switch {
	case c.there:
		return nil
	case c.wait.over():
		x.body = append(x.body, computeNone)
		return nil
	}
	return x.waitInLine(x.lineKey, c.of, c.wait.within(soonest), ends)
}

// computation is a request DICT GET OR COMPUTE.
type computation struct {
	table        *shardmap.Table
	name         []byte
	of           owner
	lease, stale int64
	wait         timeLimit
	at           int  // where the body begins
	there, fresh bool // what the body has: a value, which need not be computed anew
}

// computation reads the arguments. The key of the line is x.lineKey then.
func (x *Executor) computation() (c computation, err error) {
	c = computation{table: x.Table, name: x.TableName, at: len(x.body)}
	if c.of, err = ownerArgument(x.args[1], "owner"); err != nil {
		return c, err
	}
	if c.lease, err = leaseArgument(x.args[2], "lease"); err != nil {
		return c, err
	}
	if c.stale, err = countArgument(x.args[3], "stale", 0, codec.MaxTimeToLive); err != nil {
		return c, err
	}
	if c.wait, err = x.waitArgument(x.args[4]); err != nil {
		return c, err
	}
	x.lineKey, err = appendComputeLine(x.lineKey[:0], c.name, x.args[0])
	return c, err
}

// look looks the key up and appends what the reply is if its value need not be computed: nothing if
// there is none.
func (c *computation) look(x *Executor) error {
	x.Table, x.TableName = c.table, c.name
	x.Hits, x.Misses = 0, 0
	x.body = append(x.body, computeFresh)
	f, err := c.table.Dict().Find(&x.call, x.body, x.args[0])
	c.there = err == nil
	if x.found(c.there); errors.Is(err, shardmap.ErrNoKey) {
		x.body = x.body[:c.at]
		return nil
	}
	if err != nil {
		return err
	}
	x.body = f.Val
	c.fresh = f.Deadline == 0 || f.Deadline-x.engine.env.Store.Now() > c.stale
	if !c.fresh {
		x.body[c.at] = computeStale
	}
	return nil
}

// grant grants the lease to the request, which holds the gate. h is what is held of it.
func (c *computation) grant(x *Executor, h held) error {
	if err := x.mayGrant(); err != nil {
		return err
	}
	key := append(appendBin(x.entryKey[:0], len(x.lineKey)), x.lineKey...)
	x.entryKey = key
	fence, err := x.makeGrant(key, c.of, c.lease, h.place)
	if err != nil {
		return err
	}
	if err := x.grantedEntry(x.engine.lines.wakeFirst, c.of, h.place != 0); err != nil {
		return err
	}
	if c.lease < h.left {
		x.engine.lines.wakeFirst(x.lineKey) // it waits for the end of the lease
	}
	val := bytes.Clone(x.body[c.at:])
	if x.body = append(x.body[:c.at], computeAbsent); c.there {
		x.body[c.at] = computeAnew
	}
	x.body = msgp.AppendUint64(x.body, fence)
	if c.there {
		x.body = append(x.body, val[1:]...)
	}
	x.Table, x.TableName = c.table, c.name
	return nil
}

// wakeAllCost is what it takes to begin to wake all requests in a line, in estimated nanoseconds.
const wakeAllCost = 10_000

// computed ends the lease of an owner. If its value is there, all that wait for it are woken; if it
// could not be computed, the first one, which then computes.
func computed(x *Executor) error {
	of, err := x.leaseArguments()
	if err != nil {
		return err
	}
	absent := x.isAbsent(x.TableName, x.args[0])
	h, err := x.leaseOf(x.lineKey)
	if err != nil {
		return err
	}
	released := false
	if h.place != 0 && h.owner == of {
		if released, err = x.release(x.Table, x.entryKey, of); err != nil {
			return err
		}
	}
	switch {
	case !released: // then nothing has changed
	case absent:
		x.engine.lines.wakeFirst(x.lineKey)
	default:
		x.call.Cost += wakeAllCost
		x.engine.lines.wakeAll(x.lineKey)
	}
	x.body = msgp.AppendBool(x.body, released)
	return nil
}

// isAbsent reports whether a dict is known not to have a key.
func (x *Executor) isAbsent(table, key []byte) bool {
	t, ok := x.engine.env.Store.Lookup(&x.call, table)
	if !ok || t.Kind() != shardmap.KindDict {
		return false
	}
	there, err := t.Dict().Contains(&x.call, key)
	return err == nil && !there
}

// renewCompute makes the lease of an owner last for a new time from now on.
func renewCompute(x *Executor) error {
	of, err := x.leaseArguments()
	if err != nil {
		return err
	}
	lease, err := leaseArgument(x.args[2], "lease")
	if err != nil {
		return err
	}
	name := x.TableName
	h, err := x.leaseOf(x.lineKey)
	if err != nil {
		return err
	}
	fence := uint64(0)
	if h.place != 0 && h.owner == of {
		if fence, err = x.renew(x.Table, x.entryKey, of, lease); err != nil {
			return err
		}
	}
	if fence == 0 {
		return lostError(fmt.Sprintf("the lease of %s in %q", reprOf(x.args[0]), name), h.place)
	}
	if lease < h.left {
		x.engine.lines.wakeFirst(x.lineKey) // it waits for the end of the lease
	}
	x.body = msgp.AppendUint64(x.body, fence)
	return nil
}

// leaseArguments reads a key and an owner. The key of the line is x.lineKey then.
func (x *Executor) leaseArguments() (of owner, err error) {
	if x.lineKey, err = appendComputeLine(x.lineKey[:0], x.TableName, x.args[0]); err != nil {
		return of, err
	}
	return ownerArgument(x.args[1], "owner")
}
