package shardmap

import (
	"encoding/binary"
	"math"
	"sort"

	"github.com/tidwall/btree"

	"cyberdb-fast/shardmap/rope"
)

// A list is a queue too. An item that a client takes is held until the client acknowledges it, or
// until its lease ends; an item that is put with a delay is held until it is due. Held items belong
// to the list, and no method of lists sees them.

// Claim names one acquisition. The client chooses it at random.
type Claim = [16]byte

// HeldItem is an item that a list holds.
type HeldItem struct {
	Receipt    uint64 // LSN of the change that made the list hold it: it names the item
	Due        int64  // when it returns, in milliseconds since 1970 UTC
	Deliveries uint32 // how often it was taken; it stops at the largest number
	Delayed    bool   // it joins the end when due; false: it is leased, and returns to the front
	Claim      Claim  // of a leased item
	Val        []byte // as encoded
}

// ClaimBytes returns the claim of a leased item; nil: it is delayed.
func (h *HeldItem) ClaimBytes() []byte {
	if h.Delayed {
		return nil
	}
	return h.Claim[:]
}

// queue is what a list has as a queue. Guarded by List.mu, unless a field says otherwise.
type queue struct {
	options QueueOptions

	held   rope.Rope // two elements for each held item, its head and its value; receipts ascend
	leased int       // of the held items; the others are delayed
	most   int       // how many it has held since it held nothing and freed their memory
	// counts says how often the first elements of the list were delivered. Those after them were
	// not.
	counts rope.Rope

	due       *btree.BTreeG[heldDue] // all held items that Sweep has not seen; nil: none
	claims    map[uint64]uint64      // receipts of leased items, by claimKey; nil: none
	scheduled int64                  // when the list is due in the store's queue; 0: never

	taken, expired, dead uint64 // see QueueFigures

	// owned by Sweep
	returning []heldDue // items that are due; once all are collected, in the order in which they return
	collected bool
}

// heldDue is when a held item is due.
type heldDue struct {
	at      int64
	receipt uint64
	class   returnClass // what Sweep has found; not compared
}

func dueBefore(a, b heldDue) bool {
	return a.at < b.at || a.at == b.at && a.receipt < b.receipt
}

// The head of a held item is an encoded array of fixed places, so that it is read without decoding:
//
//	0    1    2       10   11    19   20         24   25  26     42
//	| 94 | cf | receipt | cf | due | ce | deliveries | c4 | 10 | claim |    or c0 for a delayed item
const (
	leasedHeadBytes  = 42
	delayedHeadBytes = 25
)

func (h *HeldItem) appendHead(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(append(dst, 0x94, 0xcf), h.Receipt)
	dst = binary.BigEndian.AppendUint64(append(dst, 0xcf), uint64(h.Due))
	dst = binary.BigEndian.AppendUint32(append(dst, 0xce), h.Deliveries)
	if h.Delayed {
		return append(dst, 0xc0)
	}
	return append(append(dst, 0xc4, byte(len(h.Claim))), h.Claim[:]...)
}

func receiptOf(head []byte) uint64 { return binary.BigEndian.Uint64(head[2:]) }

// heldAt returns held item i. Its value is a view.
func heldAt(held *rope.Root, i int) (h HeldItem) {
	head := held.Get(2 * i)
	h = HeldItem{
		Receipt:    receiptOf(head),
		Due:        int64(binary.BigEndian.Uint64(head[11:])),
		Deliveries: binary.BigEndian.Uint32(head[20:]),
		Delayed:    len(head) == delayedHeadBytes,
		Val:        held.Get(2*i + 1),
	}
	if !h.Delayed {
		h.Claim = Claim(head[leasedHeadBytes-len(h.Claim):])
	}
	return h
}

// find returns the held item with a receipt, and its number.
func (q *queue) find(receipt uint64) (h HeldItem, i int, ok bool) {
	if q == nil {
		return h, 0, false
	}
	n := q.held.Len() / 2
	i = sort.Search(n, func(i int) bool { return receiptOf(q.held.Get(2*i)) >= receipt })
	if i == n || receiptOf(q.held.Get(2*i)) != receipt {
		return h, 0, false
	}
	return heldAt(&q.held.Root, i), i, true
}

// hold adds an item, whose receipt is the highest. It retains a large value.
func (q *queue) hold(h *HeldItem) {
	var head [leasedHeadBytes]byte
	q.held.AppendOwned(h.appendHead(head[:0]))
	q.held.AppendOwned(h.Val)
	q.expect(h)
}

// expect notes when an item that is held is due.
func (q *queue) expect(h *HeldItem) {
	if q.due == nil {
		q.due = btree.NewBTreeGOptions(dueBefore, btree.Options{NoLocks: true})
	}
	q.due.Set(heldDue{at: h.Due, receipt: h.Receipt})
	q.most = max(q.most, q.due.Len())
	if h.Delayed {
		return
	}
	q.leased++
	if q.claims == nil {
		q.claims = make(map[uint64]uint64)
	}
	q.claims[claimKey(h.Claim)] = h.Receipt
}

// release removes held item i, whose value is a view that ends with it.
func (q *queue) release(h *HeldItem, i int) {
	q.held.DeleteFew(2*i, 2*i+2, keptHeldBytes)
	if !h.Delayed {
		q.leased--
		if key := claimKey(h.Claim); q.claims[key] == h.Receipt {
			delete(q.claims, key)
		}
	}
	if q.held.Len() == 0 && q.most > keptHeld {
		q.due, q.claims, q.most = nil, nil, 0 // they keep their memory else
		return
	}
	q.due.Delete(heldDue{at: h.Due, receipt: h.Receipt})
}

// A queue that is in use keeps some memory while it holds nothing, because it will hold items again
// at once.
const (
	keptHeld      = 64      // items whose due times and claims it has room for
	keptHeldBytes = 2 << 10 // of the rope
)

// claimKey is what finds a claim: it is random, so a few bytes of it are enough. The item itself
// has the whole claim.
func claimKey(c Claim) uint64 { return binary.LittleEndian.Uint64(c[:]) }

// claimed returns the item that is leased for a claim.
func (q *queue) claimed(c Claim) (h HeldItem, ok bool) {
	if q == nil || len(q.claims) == 0 {
		return h, false
	}
	receipt, ok := q.claims[claimKey(c)]
	if !ok {
		return h, false
	}
	h, _, ok = q.find(receipt)
	return h, ok && h.Claim == c
}

// schedule puts the list into the store's queue, as of its first item. The caller holds mu.
func (l *List) schedule() {
	q := l.queue
	if q.due == nil || l.table.state.Load() == restoring {
		return
	}
	first, ok := q.due.Min()
	if !ok || q.scheduled != 0 && first.at >= q.scheduled {
		return // it is looked at early enough
	}
	q.scheduled = first.at
	l.store.due.putList(l, first.at)
}

// unschedule takes the list, whose held items are of no use any more, out of the store's queue. The
// caller holds mu.
func (l *List) unschedule() {
	if l.queue != nil && l.queue.scheduled != 0 {
		l.queue.scheduled = 0
		l.store.due.removeList(l)
	}
}

// asQueue returns what the list has as a queue, and gives it that if it has nothing. The caller
// holds mu.
func (l *List) asQueue() *queue {
	if l.queue == nil {
		l.queue = &queue{}
	}
	return l.queue
}

// addDelivery returns one more delivery.
func addDelivery(n uint32) uint32 {
	if n == math.MaxUint32 {
		return n
	}
	return n + 1
}
