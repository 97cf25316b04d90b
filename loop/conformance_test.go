package loop

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/shardmap"
)

const (
	conformanceOps      = 220_000
	conformanceOpsShort = 20_000
	conformanceBatch    = 300 // requests in flight at once
	conformanceWhole    = 40  // batches between two comparisons of everything
)

// seedOf returns the seed of a random test, CYBERDB_SEED if that is set, and logs it.
func seedOf(t testing.TB) uint64 {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("CYBERDB_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 0, 64); err != nil {
			t.Fatalf("CYBERDB_SEED: %v", err)
		}
	}
	t.Logf("CYBERDB_SEED=%d", seed)
	return seed
}

// countOf returns how many operations a random test makes: CYBERDB_OPS if that is set.
func countOf(t testing.TB, normal, short int) int {
	t.Helper()
	if text := os.Getenv("CYBERDB_OPS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatalf("CYBERDB_OPS: %v", err)
		}
		return n
	}
	if testing.Short() {
		return short
	}
	return normal
}

// long says whether the heavy variants of the tests are asked for.
func long() bool { return os.Getenv("CYBERDB_LONG") == "1" }

// TestConformance makes random operations on dicts and lists, through the whole server and on CPython's own, and compares the outcomes
// and, now and then, everything that is there. CYBERDB_OPS sets their number, CYBERDB_SEED the seed.
func TestConformance(t *testing.T) {
	t.Parallel()
	seed, count := seedOf(t), countOf(t, conformanceOps, conformanceOpsShort)
	model := startModel(t, seed)
	w := dial(t, startServer(t, nil))
	g := newOperations(t, rand.New(rand.NewPCG(seed, 1)), model.families)

	var ops []operation
	tables := slices.Concat(g.tables, g.large)
	for _, table := range tables {
		ops = append(ops, g.begin(table))
	}
	compareBatch(t, w, model, ops)
	var used [256]int
	whole, large := 0, 0 // times that all was compared, and large tables that were above shardmap.InlineElements then
	for done, batch := 0, 1; done < count; batch++ {
		ops = ops[:0]
		for _, table := range tables {
			table.length = model.lengths[table.name]
		}
		for range conformanceBatch {
			ops = append(ops, g.next())
			used[ops[len(ops)-1].op]++
		}
		if batch%conformanceWhole == 0 {
			for _, table := range tables {
				ops = append(ops, g.everything(table)...)
			}
		}
		compareBatch(t, w, model, ops)
		done += len(ops)
		if t.Failed() {
			t.Fatalf("after some %d operations", done)
		}
		if batch%conformanceWhole == 0 {
			whole++
			for _, table := range tables {
				compareScan(t, w, table)
				if model.lengths[table.name] > shardmap.InlineElements {
					large++
				}
			}
		}
	}
	t.Logf("all compared %d times; %d large tables then", whole, large)
	if large < whole {
		t.Error("too few large tables")
	}
	for op, shape := range codec.Shapes {
		if shape.Table && used[op] == 0 {
			t.Errorf("no %s among the operations", shape.Name)
		}
	}
}

// everything reads the whole of a table in each way there is.
func (g *operations) everything(t *conformanceTable) []operation {
	if t.dict {
		return []operation{g.op(codec.OpDictKeys, t), g.op(codec.OpDictValues, t), g.op(codec.OpDictItems, t), g.op(codec.OpDictLen, t)}
	}
	return []operation{g.op(codec.OpListAll, t), g.op(codec.OpListLen, t), g.op(codec.OpListSlice, t, g.encode(nil, nil, -1)...)}
}

// compareBatch makes operations on the server, all in flight at once, and on the model, and compares the outcomes.
func compareBatch(t *testing.T, w *wire, model *pythonModel, ops []operation) {
	t.Helper()
	replies := pipelined(w, ops)
	answers := model.run(ops)
	for i, o := range ops {
		if err := compareOutcome(model, o, replies[i], answers[i]); err != nil {
			t.Errorf("%v:\n%v", o, err)
			if t.Failed() {
				return
			}
		}
	}
}

// pipelined sends all operations at once and returns their replies in the same order, whatever order they came in.
func pipelined(w *wire, ops []operation) []codec.Reply {
	w.Helper()
	first := w.id + 1
	var out []byte
	for _, o := range ops {
		w.id++
		out = o.frame(out, w.id)
	}
	sent := make(chan error, 1)
	go func() {
		_, err := w.conn.Write(out)
		sent <- err
	}()
	replies, err := w.replies(first, len(ops))
	if err != nil {
		w.Fatal(err)
	}
	if err := <-sent; err != nil {
		w.Fatal(err)
	}
	return replies
}

// replies reads the replies to n requests, ids from first on, whose frames may stand between one another.
func (w *wire) replies(first uint32, n int) ([]codec.Reply, error) {
	all := make([]codec.Reply, n)
	whole := make([]bool, n)
	for missing := n; missing > 0; {
		frame, used, err := codec.ParseReply(w.in)
		if errors.Is(err, codec.ErrShort) {
			if err := w.read(); err != nil {
				return nil, fmt.Errorf("%d of %d replies missing: %w", missing, n, err)
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		i := frame.ID - first
		if i >= uint32(n) || whole[i] {
			return nil, fmt.Errorf("a frame for request %d, which waits for none: %v %.60x", frame.ID, frame.Status, frame.Body)
		}
		w.in = w.in[used:]
		reply := &all[i]
		body := append(reply.Body, frame.Body...)
		if frame.Status != codec.StatusOK {
			body = append([]byte(nil), frame.Body...) // what came before an error is void
		}
		if reply.ID == 0 {
			*reply = frame
		}
		reply.Status, reply.Body = frame.Status, body
		if frame.Flags&codec.FlagMore == 0 {
			whole[i] = true
			missing--
		}
	}
	return all, nil
}

// compareOutcome says how the server's reply differs from what CPython does.
func compareOutcome(model *pythonModel, o operation, reply codec.Reply, want answer) error {
	if reply.Status != want.status {
		got := fmt.Sprintf("%.80x", reply.Body)
		if e, err := codec.ParseErrorBody(reply.Status, reply.Body); err == nil {
			got = e.Message
		}
		return fmt.Errorf("status %v (%s), want %v (%.80q)", reply.Status, got, want.status, want.body)
	}
	if want.status != codec.StatusOK {
		return compareError(model, reply, want)
	}
	got, wanted := reply.Body, want.body
	if o.op == codec.OpDictScan {
		var err error
		if got, wanted, err = withoutCursor(got, wanted); err != nil {
			return err
		}
	}
	if !bytes.Equal(got, wanted) && !model.same(got, wanted) {
		at := 0
		for at < min(len(got), len(wanted)) && got[at] == wanted[at] {
			at++
		}
		at = max(at-10, 0)
		return fmt.Errorf("%d bytes, want %d; from %d on %.200x, want %.200x", len(got), len(wanted), at, got[at:], wanted[at:])
	}
	return nil
}

// compareError compares the text and the key of an error.
func compareError(model *pythonModel, reply codec.Reply, want answer) error {
	got, err := codec.ParseErrorBody(reply.Status, reply.Body)
	if err != nil {
		return err
	}
	if !want.strict {
		return nil
	}
	text := got.Message
	if cut, isCut := strings.CutSuffix(text, "..."); isCut && len(want.body) > 200 {
		text, want.body = cut, want.body[:min(len(cut), len(want.body))]
	}
	if text != string(want.body) {
		return fmt.Errorf("%v: text %q, want %q", got.Status, got.Message, want.body)
	}
	if !bytes.Equal(got.Key, want.key) && !model.same(got.Key, want.key) {
		return fmt.Errorf("%v: key %x, want %x", got.Status, got.Key, want.key)
	}
	return nil
}

// withoutCursor takes the cursor from a page of a scan and, from the model's, whether there is more.
func withoutCursor(got, want []byte) (gotItems, wantItems []byte, err error) {
	cursor, n, err := govalue.Decode(got)
	if err != nil {
		return nil, nil, err
	}
	more, m, err := govalue.Decode(want)
	if err != nil {
		return nil, nil, err
	}
	if next, isInt := cursor.(int64); !isInt || (next != 0) != more.(bool) {
		return nil, nil, fmt.Errorf("next cursor %v, more items: %v", cursor, more)
	}
	return got[n:], want[m:], nil
}

// compareScan reads a dict page by page: the pages are its items.
func compareScan(t *testing.T, w *wire, table *conformanceTable) {
	t.Helper()
	if !table.dict {
		return
	}
	items := w.call(codec.OpDictItems, table.name).Body
	var pages []byte
	for cursor := any(0); ; {
		page := w.call(codec.OpDictScan, table.name, cursor, 500).Body
		next, n, err := govalue.Decode(page)
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, page[n:]...)
		if cursor = next; cursor == int64(0) {
			break
		}
	}
	if !bytes.Equal(pages, items) {
		t.Errorf("%s: the pages of a scan (%d bytes) are not the items (%d bytes)", table.name, len(pages), len(items))
	}
}

// TestConformanceHasTeeth alters replies of a server that is right: the comparison must see each.
func TestConformanceHasTeeth(t *testing.T) {
	t.Parallel()
	seed := seedOf(t)
	model := startModel(t, seed)
	w := dial(t, startServer(t, nil))
	g := newOperations(t, rand.New(rand.NewPCG(seed, 2)), model.families)
	d, l := &conformanceTable{name: "d"}, &conformanceTable{name: "l"}
	ops := []operation{
		g.op(codec.OpCreateDict, d, g.encode(false, "a", 1, "b", 2.0)...),
		g.op(codec.OpCreateList, l, g.encode(false, 1, 2, 3)...),
		g.op(codec.OpDictGet, d, g.encode("a")...),
		g.op(codec.OpDictItems, d),
		g.op(codec.OpDictGetMany, d, g.encode("x", "a")...),
		g.op(codec.OpDictScan, d, g.encode(0, 1)...),
		g.op(codec.OpDictGet, d, g.encode("x")...),
		g.op(codec.OpListAll, l),
		g.op(codec.OpListGet, l, g.encode(7)...),
		g.op(codec.OpListIndex, l, g.encode("x")...),
	}
	replies := pipelined(w, ops)
	answers := model.run(ops)
	for i, o := range ops {
		if err := compareOutcome(model, o, replies[i], answers[i]); err != nil {
			t.Fatalf("%v: %v", o, err)
		}
		for name, broken := range alterations(replies[i]) {
			if err := compareOutcome(model, o, broken, answers[i]); err == nil {
				t.Errorf("%v: %s was not seen", o, name)
			}
		}
	}
}

// alterations returns replies that are not quite the given one.
func alterations(reply codec.Reply) map[string]codec.Reply {
	all := make(map[string]codec.Reply)
	change := func(name string, f func(r *codec.Reply)) {
		broken := reply
		broken.Body = bytes.Clone(reply.Body)
		f(&broken)
		all[name] = broken
	}
	change("another status", func(r *codec.Reply) { r.Status ^= 1 })
	if reply.Status != codec.StatusOK {
		change("another text", func(r *codec.Reply) { r.Body[2] ^= 1 })
		return all
	}
	change("one more value", func(r *codec.Reply) { r.Body = append(r.Body, 0) })
	change("another value", func(r *codec.Reply) { r.Body[len(r.Body)-1] ^= 1 })
	change("no value", func(r *codec.Reply) { r.Body = nil })
	change("float for int", func(r *codec.Reply) {
		if v, n, err := govalue.Decode(r.Body); err == nil {
			if i, isInt := v.(int64); isInt {
				r.Body = append(msgp.AppendFloat64(nil, float64(i)), r.Body[n:]...)
				return
			}
		}
		r.Body = nil
	})
	return all
}
