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

// A list is a queue too: its items can be leased and delayed. "Queues" in codec/PROTOCOL.md says
// what these requests mean.

func listPut(x *Executor) error {
	delay, err := millisArgument(x.args[1], "delay", 0)
	if err != nil {
		return err
	}
	return x.Table.List().Put(&x.call, x.args[0], delay)
}

// listTake leases the first item. It waits, in the line of the list, while there is none. A request
// that is repeated while its lease goes on stands in no line.
func listTake(x *Executor) error {
	claim, err := claimArgument(x.args[0])
	if err != nil {
		return err
	}
	lease, err := millisArgument(x.args[1], "lease", 1)
	if err != nil {
		return err
	}
	left, err := x.waitArgument(x.args[2])
	if err != nil {
		return err
	}
	x.entryKey = append(append(x.entryKey[:0], claimGate), claim[:]...)
	if !x.enter(x.entryKey) {
		over, err := x.waitOutside(x.entryKey, left)
		if over {
			x.body = msgp.AppendNil(x.body)
		}
		return err
	}
	defer x.exit(x.entryKey)
	list, turn, at := x.Table.List(), x.hasTurn(left), len(x.body)
	there := false
	if !turn {
		if x.body, there, err = list.Claimed(&x.call, x.body, claim); err != nil {
			return err
		}
		if there {
			return x.taken(claim, x.body[at:], true)
		}
	}
	err = x.takeInLine(turn, left, func() error {
		x.body, there, err = list.Take(&x.call, x.body, claim, lease)
		if err == nil && !there {
			err = shardmap.ErrPopEmpty
		}
		return err
	})
	switch {
	case errors.Is(err, shardmap.ErrPopEmpty):
		x.body = msgp.AppendNil(x.body)
		return nil
	case err != nil:
		return err
	}
	return x.taken(claim, x.body[at:], x.call.Version == 0)
}

// claimGate begins the key of the gate that a TAKE holds: so it is executed either before an item
// that it has taken is given back, because the reply was not sent, or after that.
const claimGate = 'q'

// taken notes that an item was taken, whose receipt begins the reply; again: the claim had it
// already; then the reply waits until that is on disk, if it would have at first. If no reply is
// sent, the item is given back, and the delivery does not count.
func (x *Executor) taken(claim shardmap.Claim, reply []byte, again bool) error {
	receipt, _, err := msgp.ReadUint64Bytes(reply)
	if err != nil {
		return err
	}
	if again {
		x.told = receipt
	}
	list := x.Table
	return x.granted(x.entryKey, claim, again, func(x *Executor) (bool, error) { return x.untake(list, receipt) })
}

// untake gives an item back that was taken from a list, which may have another name now. It does
// nothing, and returns false, if the lease has ended, or the list is no more.
func (x *Executor) untake(list *shardmap.Table, receipt uint64) (had bool, err error) {
	for {
		name := list.Name()
		nack := msgp.AppendString([]byte{byte(codec.OpListNack), 0}, name)
		nack = msgp.AppendNil(msgp.AppendUint64(nack, receipt))
		err = x.logged(nack, func() error {
			table, err := x.FindTable([]byte(name), AnyTable)
			if err == nil && table != list {
				err = shardmap.ErrNoTable
			}
			if err == nil {
				err = table.List().Nack(&x.call, receipt, shardmap.NackUncounted)
			}
			return err
		})
		switch {
		case errors.Is(err, shardmap.ErrNoTable) && list.Name() != name:
			continue // it was renamed meanwhile
		case errors.Is(err, shardmap.ErrLease), errors.Is(err, shardmap.ErrNoTable):
			return false, nil
		}
		return err == nil, err
	}
}

func listAck(x *Executor) error {
	receipt, err := receiptArgument(x.args[0])
	if err != nil {
		return err
	}
	return x.leaseError(x.Table.List().Ack(&x.call, receipt))
}

func listNack(x *Executor) error {
	receipt, err := receiptArgument(x.args[0])
	if err != nil {
		return err
	}
	delay := int64(shardmap.NackUncounted)
	if !msgp.IsNil(x.args[1]) {
		if delay, err = millisArgument(x.args[1], "delay", 0); err != nil {
			return err
		}
	}
	err = x.Table.List().Nack(&x.call, receipt, delay)
	if other := x.call.Blocker; other != nil { // what the request waits for
		x.Table, x.call.Blocker = other, nil
	}
	return x.leaseError(err)
}

func listExtendLease(x *Executor) error {
	receipt, err := receiptArgument(x.args[0])
	if err != nil {
		return err
	}
	lease, err := millisArgument(x.args[1], "lease", 1)
	if err != nil {
		return err
	}
	return x.leaseError(x.Table.List().ExtendLease(&x.call, receipt, lease))
}

// leaseError returns what a client gets for the error of a request with a receipt.
func (x *Executor) leaseError(err error) error {
	if !errors.Is(err, shardmap.ErrLease) {
		return err
	}
	return &codec.Error{
		Status: codec.StatusLeaseExpired,
		Key:    x.args[0],
		Message: fmt.Sprintf("list %q has no lease with receipt %s: it has ended, or its item was acknowledged or "+
			"given back, or the receipt is another list's", x.TableName, reprOf(x.args[0])),
	}
}

func listHeld(x *Executor) error {
	leased, delayed, err := x.Table.List().Held(&x.call)
	if err == nil {
		x.body = msgp.AppendInt(msgp.AppendInt(x.body, leased), delayed)
	}
	return err
}

// listReturn returns held items again that the server returned by itself.
func listReturn(x *Executor) error {
	to := ""
	if !msgp.IsNil(x.args[0]) {
		name, _, err := tableName(x.args[0])
		if err != nil {
			return err
		}
		to = string(name)
	}
	items := make([]shardmap.Returned, 0, x.restN/2)
	for b := x.rest; len(b) > 0; {
		var item shardmap.Returned
		var due uint64
		var err error
		if item.Receipt, b, err = takeNumber(b); err == nil {
			due, b, err = takeNumber(b)
		}
		if err != nil {
			return err
		}
		item.Due = int64(min(due, math.MaxInt64))
		items = append(items, item)
	}
	return x.Table.List().Return(&x.call, to, items)
}

// millisArgument reads a time in milliseconds, from least on.
func millisArgument(b []byte, what string, least int64) (int64, error) {
	ms, isInt, fits := intArgument(b)
	switch {
	case !isInt || msgp.NextType(b) == msgp.BoolType:
		return 0, typeError(fmt.Sprintf("%s is an int of milliseconds, not %s", what, value.TypeName(b)))
	case !fits || ms < least || ms > codec.MaxTimeToLive:
		return 0, valueError(fmt.Sprintf(
			"%s is %d to %d milliseconds, not %s", what, least, int64(codec.MaxTimeToLive), reprOf(b)))
	}
	return ms, nil
}

// claimArgument reads what names an acquisition.
func claimArgument(b []byte) (claim shardmap.Claim, err error) {
	if msgp.NextType(b) != msgp.BinType {
		return claim, typeError("claim is bytes, not " + value.TypeName(b))
	}
	bytes, _, err := msgp.ReadBytesZC(b)
	if err != nil || len(bytes) != len(claim) {
		return claim, valueError(fmt.Sprintf("claim is %d bytes, not %d", len(claim), len(bytes)))
	}
	return shardmap.Claim(bytes), nil
}

// receiptArgument reads a receipt. One that no item can have is 0.
func receiptArgument(b []byte) (uint64, error) {
	receipt, isInt, fits := intArgument(b)
	if !isInt || msgp.NextType(b) == msgp.BoolType {
		return 0, typeError("receipt is an int, not " + value.TypeName(b))
	}
	if !fits || receipt < 0 {
		return 0, nil
	}
	return uint64(receipt), nil
}
