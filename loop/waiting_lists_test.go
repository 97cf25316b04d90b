package loop

import (
	"fmt"
	"slices"
	"testing"

	"cyberdb-fast/codec"
)

// TestLegacySeesNoHeldItems: CyberDB's own clients see neither leased nor delayed items, and what
// they clear leaves them.
func TestLegacySeesNoHeldItems(t *testing.T) {
	t.Parallel()
	srv := startServer(t, legacyOn(nil))
	w, err := tryDial(t, srv, keyOf(t, legacyPassword))
	if err != nil {
		t.Fatal(err)
	}
	w.ok(codec.OpCreateList, "q", false, "leased", "there")
	receipt, _, _ := w.take("q", "1", leaseTime)
	w.ok(codec.OpListPut, "q", "delayed", leaseTime)
	c := dialLegacy(t, srv)
	if got := c.done("/cyberlist/repr", "table_name", "q"); got != "['there']" {
		t.Errorf("CyberDB's client sees %v", got)
	}
	c.done("/cyberlist/clear", "table_name", "q")
	if held := w.ok(codec.OpListHeld, "q"); !slices.Equal(held, []any{int64(1), int64(1)}) {
		t.Errorf("held after clear: %v", held)
	}
	w.ok(codec.OpListNack, "q", receipt, 0)
	if got := c.done("/cyberlist/repr", "table_name", "q"); got != "['leased']" {
		t.Errorf("CyberDB's client sees %v", got)
	}
}

// TestDropOfAQueue: deleting a list deletes its leased and delayed items. They do not come back in
// a list of the same name, whose receipts are others.
func TestDropOfAQueue(t *testing.T) {
	t.Parallel()
	w := dial(t, startServer(t, nil))
	w.ok(codec.OpCreateList, "q", false, "a", "b")
	first, _, _ := w.take("q", "1", leaseTime)
	w.take("q", "2", 20)
	w.ok(codec.OpListPut, "q", "c", 20)
	w.ok(codec.OpDrop, "q")
	w.ok(codec.OpCreateList, "q", false, "new")
	w.ok(codec.OpCreateList, "later", false)
	w.ok(codec.OpListPut, "later", "d", 20)
	within(t, testTimeout, func() error { // then what was held would be due
		if n := w.ok(codec.OpListLen, "later")[0]; n != int64(1) {
			return fmt.Errorf("the list has %v items", n)
		}
		return nil
	})
	if got := fmt.Sprint(w.ok(codec.OpListAll, "q"), w.ok(codec.OpListHeld, "q")); got != "[new] [0 0]" {
		t.Errorf("the new list has %v", got)
	}
	w.fails(codec.StatusLeaseExpired, codec.OpListAck, "q", first)
	if second, _, val := w.take("q", "1", leaseTime); second == first || val != "new" {
		t.Errorf("the claim of an item that was deleted got %v with receipt %d, had %d", val, second, first)
	}
}
