package loop

import (
	"fmt"
	"slices"

	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/codec"
	"cyberdb-fast/loop/engine/conformance"
	"cyberdb-fast/shardmap"
)

// leases are the lengths of leases and delays in histories, in milliseconds: some end while the
// history goes on, some when its clock jumps.
var leases = []int64{1, 5, 50, 60_000, 3_600_000}

// owning makes requests by which a client owns items, locks and computations for a while.
type owning struct {
	*wire
	*conformance.Operations
	claims   int
	receipts []int64 // what it was leased, the last ones
}

// owningRefused are the errors that these requests may have.
var owningRefused = []codec.Status{
	codec.StatusNoSuchTable, codec.StatusWrongTableKind, codec.StatusTableExists, codec.StatusValueError,
	codec.StatusLeaseExpired, codec.StatusLockLost, codec.StatusOverloaded,
}

// some makes some requests on a table.
func (o *owning) some(name string) error {
	for range 1 + o.Rand.IntN(20) {
		op, args := o.next(name)
		o.write(o.request(op, args...))
		reply, err := o.reply()
		if err != nil {
			return err
		}
		switch {
		case reply.Status == codec.StatusOK && op == codec.OpListTake && !msgp.IsNil(reply.Body):
			receipt, _, err := msgp.ReadInt64Bytes(reply.Body)
			if err != nil {
				return err
			}
			o.receipts = append(o.receipts[max(0, len(o.receipts)-7):], receipt)
		case reply.Status != codec.StatusOK && !slices.Contains(owningRefused, reply.Status):
			e, _ := codec.ParseErrorBody(reply.Status, reply.Body)
			return fmt.Errorf("%v%v: %w", op, args, e)
		}
	}
	return nil
}

// next draws a request, more of those that take than of each other.
func (o *owning) next(name string) (codec.Opcode, []any) {
	owner := func() []byte { return ownerOf(fmt.Sprint("owner ", o.Rand.IntN(3))) }
	lock, length, key := fmt.Sprint("lock ", o.Rand.IntN(3)), conformance.Pick(o.Operations, leases), o.Rand.IntN(4)
	receipt := int64(1)
	if len(o.receipts) > 0 {
		receipt = conformance.Pick(o.Operations, o.receipts)
	}
	switch o.Rand.IntN(20) {
	case 0, 1:
		return codec.OpListPut, []any{name, rawValue(conformance.Pick(o.Operations, o.Encode(1, "a", nil, 2.5))), 0}
	case 2:
		return codec.OpListPut, []any{name, "later", length}
	case 3:
		return codec.OpListAck, []any{name, receipt}
	case 4, 5:
		return codec.OpListNack, []any{name, receipt, conformance.Pick(o.Operations, []any{nil, 0, 0, length})}
	case 6:
		return codec.OpListExtendLease, []any{name, receipt, length}
	case 7:
		options := map[any]any{"max_deliveries": 1 + o.Rand.IntN(3), "dead_letter": conformance.Pick(o.Operations,
			[]any{"a", "b", "x", "y", "dead"})}
		if o.Chance(3) {
			options = map[any]any{"max_deliveries": nil, "dead_letter": nil}
		}
		op := conformance.Pick(o.Operations, []codec.Opcode{codec.OpConfigure, codec.OpCreateList})
		return op, []any{name, options}
	case 8, 9:
		return codec.OpLock, []any{lock, owner(), length, 0, 1 + o.Rand.IntN(3)}
	case 10:
		return codec.OpUnlock, []any{lock, owner()}
	case 11:
		return codec.OpRenewLock, []any{lock, owner(), length}
	case 12:
		return codec.OpDictGetOrCompute, []any{name, key, owner(), length, conformance.Pick(o.Operations, leases), 0}
	case 13:
		return codec.OpComputed, []any{name, key, owner()}
	case 14:
		return codec.OpRenewCompute, []any{name, key, owner(), length}
	}
	o.claims++
	return codec.OpListTake, []any{name, claimOf(fmt.Sprint(o.claims)), length, 0}
}

// addQueues counts what the server did to the queues that are there.
func addQueues(to *shardmap.QueueFigures, store *shardmap.Store) {
	view := store.View()
	defer view.Close()
	for name := range view.Tables() {
		if table, ok := store.Lookup(&shardmap.Call{}, []byte(name)); ok && table.Kind() == shardmap.KindList {
			f := table.List().QueueFigures()
			to.Leased += f.Leased
			to.Delayed += f.Delayed
			to.Taken += f.Taken
			to.Expired += f.Expired
			to.Dead += f.Dead
		}
	}
}
