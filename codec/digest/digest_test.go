package digest_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/big"
	"math/rand/v2"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/zeebo/xxh3"

	"cyberdb-fast/codec/digest"
)

// item is an entry of a dict, or an element of a list, whose index is that in its table.
type item struct {
	key, val       []byte
	place, version uint64
	deadline       int64
}

type table struct {
	kind    digest.Kind
	name    string
	items   []item
	options digest.Options
}

// sum makes a digest by a Hasher for each part of so many items, in a random order.
func sum(tables []table, part int, rng *rand.Rand) (all digest.Sum) {
	var sums []digest.Sum
	for _, t := range tables {
		var head digest.Hasher
		head.Table(t.kind, t.name, t.options)
		sums = append(sums, head.Sum)
		for at := 0; at < len(t.items); at += part {
			var h digest.Hasher
			h.Table(t.kind, t.name, t.options)
			h.Sum = digest.Sum{} // the table itself is counted
			for i, e := range t.items[at:min(at+part, len(t.items))] {
				if t.kind == digest.List {
					h.Element(uint64(at+i), e.val)
				} else {
					h.Entry(e.key, e.val, e.place, e.version, e.deadline)
				}
			}
			sums = append(sums, h.Sum)
		}
	}
	rng.Shuffle(len(sums), func(i, j int) { sums[i], sums[j] = sums[j], sums[i] })
	for _, s := range sums {
		all.Add(s)
	}
	return all
}

// fromText computes a digest as FORMAT.md says, with the simplest means.
func fromText(tables []table) string {
	total := new(big.Int)
	add := func(parts ...any) {
		var b []byte
		for _, p := range parts {
			switch p := p.(type) {
			case int:
				b = append(b, byte(p))
			case uint64:
				b = binary.LittleEndian.AppendUint64(b, p)
			case []byte:
				b = append(b, p...)
			}
		}
		hash := xxh3.Hash128(b).Bytes() // big-endian
		total.Add(total, new(big.Int).SetBytes(hash[:]))
	}
	length := func(b []byte) uint64 { return uint64(len(b)) }
	for _, t := range tables {
		name := []byte(t.name)
		options := []any{1, int(t.kind), length(name), name, uint64(0)}
		if o := t.options; o != (digest.Options{}) {
			options = append(options[:4], uint64(56), uint64(o.TTL), uint64(o.Idle), uint64(o.MaxEntries),
				uint64(o.MaxBytes), uint64(o.Policy), uint64(o.Since), o.Horizon)
		}
		add(options...)
		for i, e := range t.items {
			if t.kind == digest.Dict {
				add(
					2,
					int(t.kind),
					length(name),
					name,
					e.place,
					e.version,
					uint64(e.deadline),
					length(e.key),
					length(e.val),
					e.key,
					e.val,
				)
			} else {
				add(3, int(t.kind), length(name), name, uint64(i), length(e.val), e.val)
			}
		}
	}
	total.Mod(total, new(big.Int).Lsh(big.NewInt(1), 128))
	return fmt.Sprintf("%032x", total)
}

func randomBytes(rng *rand.Rand) []byte {
	b := make([]byte, rng.IntN(1<<rng.IntN(14)))
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

func randomTables(rng *rand.Rand) (tables []table) {
	for i := range rng.IntN(5) {
		t := table{kind: digest.Kind(1 + rng.IntN(2)), name: fmt.Sprint(i, string(randomBytes(rng)))}
		for range rng.IntN(50) {
			e := item{val: randomBytes(rng)}
			if t.kind == digest.Dict {
				e = item{randomBytes(rng), e.val, rng.Uint64(), rng.Uint64(), rng.Int64N(1<<48) - 1}
			}
			t.items = append(t.items, e)
		}
		if n := len(t.items); n > 0 && t.kind == digest.List { // equal elements do not cancel
			t.items = append(t.items, t.items[n-1], t.items[n-1])
		}
		if t.kind == digest.Dict && rng.IntN(2) == 0 {
			t.options = digest.Options{
				TTL: rng.Int64N(3), Idle: rng.Int64N(3), MaxEntries: rng.Int64N(3), MaxBytes: rng.Int64N(3),
				Policy: uint8(rng.IntN(3)), Since: rng.Int64N(3), Horizon: rng.Uint64N(3),
			}
		}
		tables = append(tables, t)
	}
	return tables
}

func newRand(t *testing.T) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// TestText: a digest is what FORMAT.md says, whatever the parts and their order.
func TestText(t *testing.T) {
	rng := newRand(t)
	for range 200 {
		tables := randomTables(rng)
		want := fromText(tables)
		items := 0
		for _, tab := range tables {
			items += len(tab.items)
		}
		got := sum(tables, 1+rng.IntN(20), rng)
		if got.String() != want || got.Tables != uint64(len(tables)) || got.Items != uint64(items) {
			t.Fatalf("%v of %d tables and %d items, by the text %s", got, got.Tables, got.Items, want)
		}
	}
}

// TestEveryFieldCounts: a change of any field changes the digest, and so does the exchange of two
// elements.
func TestEveryFieldCounts(t *testing.T) {
	rng := newRand(t)
	base := func() []table {
		return []table{
			{
				digest.Dict,
				"users",
				[]item{{[]byte("k"), []byte("v"), 4, 9, 7}, {[]byte("kv"), nil, 5, 5, 0}},
				digest.Options{},
			},
			{
				digest.List,
				"queue",
				[]item{{val: []byte("a")}, {val: []byte("a")}, {val: []byte("b")}},
				digest.Options{},
			},
		}
	}
	seen := map[string]string{}
	for name, change := range map[string]func([]table) []table{
		"nothing":                    func(t []table) []table { return t },
		"name":                       func(t []table) []table { t[0].name = "user"; return t },
		"kind of an empty table":     func(t []table) []table { return append(t, table{kind: digest.Dict, name: "x"}) },
		"kind of an empty table, 2":  func(t []table) []table { return append(t, table{kind: digest.List, name: "x"}) },
		"no table":                   func([]table) []table { return nil },
		"one table":                  func(t []table) []table { return t[:1] },
		"key":                        func(t []table) []table { t[0].items[0].key = []byte("l"); return t },
		"value":                      func(t []table) []table { t[0].items[0].val = []byte("w"); return t },
		"place":                      func(t []table) []table { t[0].items[0].place++; return t },
		"version":                    func(t []table) []table { t[0].items[0].version++; return t },
		"deadline":                   func(t []table) []table { t[0].items[0].deadline++; return t },
		"never":                      func(t []table) []table { t[0].items[0].deadline = -1; return t },
		"default time to live":       func(t []table) []table { t[0].options.TTL = 1; return t },
		"time to idle":               func(t []table) []table { t[0].options.Idle = 1; return t },
		"limit of entries":           func(t []table) []table { t[0].options.MaxEntries = 1; return t },
		"limit of bytes":             func(t []table) []table { t[0].options.MaxBytes = 1; return t },
		"policy":                     func(t []table) []table { t[0].options.Policy = 1; return t },
		"since":                      func(t []table) []table { t[0].options.Since = 1; return t },
		"horizon":                    func(t []table) []table { t[0].options.Horizon = 1; return t },
		"no deadline":                func(t []table) []table { t[0].items[0].deadline = 0; return t },
		"a byte from key to value":   func(t []table) []table { e := &t[0].items[1]; e.key, e.val = []byte("k"), []byte("v"); return t },
		"a byte from value to key":   func(t []table) []table { e := &t[0].items[0]; e.key, e.val = []byte("kv"), nil; return t },
		"places exchanged":           func(t []table) []table { t[0].items[0].place, t[0].items[1].place = 5, 4; return t },
		"element":                    func(t []table) []table { t[1].items[0].val = []byte("c"); return t },
		"elements exchanged":         func(t []table) []table { i := t[1].items; i[1], i[2] = i[2], i[1]; return t },
		"equal elements fewer":       func(t []table) []table { t[1].items = t[1].items[2:]; return t },
		"equal elements more":        func(t []table) []table { t[1].items = append(t[1].items[:2:2], t[1].items...); return t },
		"entries without their dict": func(t []table) []table { t[0].items = nil; return t },
	} {
		got := sum(change(base()), 2, rng).String()
		if other, there := seen[got]; there {
			t.Errorf("%q has the digest of %q", name, other)
		}
		seen[got] = name
	}
}

// TestFormatExample: the example of FORMAT.md is right.
func TestFormatExample(t *testing.T) {
	text, err := os.ReadFile("../../persist/FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, _ := strings.Cut(string(text), "\n## Digest\n")
	example, _, _ = strings.Cut(example, "\n## ")
	got := sum([]table{
		{digest.Dict, "users", []item{
			{[]byte("\xa3ada"), []byte{36}, 4, 9, 0},
			{[]byte("\xa3eve"), bytes.Repeat([]byte{7}, 100), 5, 5, 1700000060123},
		}, digest.Options{}},
		{digest.List, "queue", []item{{val: []byte{1}}, {}, {val: []byte("\xa1x")}}, digest.Options{}},
		{kind: digest.Dict},
	}, 1, newRand(t))
	if !strings.Contains(example, "sum   "+got.String()) {
		t.Errorf("FORMAT.md does not have the digest %v of its example", got)
	}
	var record []byte
	hashes := 0
	for _, line := range regexp.MustCompile(`(?m)^    (hash  )?([0-9a-f]{2}(?: {0,2}[0-9a-f]{2})*)\b`).FindAllStringSubmatch(example, -1) {
		b, err := hex.DecodeString(strings.ReplaceAll(line[2], " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		if line[1] == "" {
			record = append(record, b...)
			continue
		}
		hashes++
		if want := xxh3.Hash128(record).Bytes(); !bytes.Equal(b, want[:]) {
			t.Errorf("% x has the hash %x, FORMAT.md says %x", record, want, b)
		}
		record = nil
	}
	if hashes != 3 {
		t.Errorf("FORMAT.md has %d hashes", hashes)
	}
}

// TestNoAllocation: hashing an item allocates nothing.
func TestNoAllocation(t *testing.T) {
	var h digest.Hasher
	h.Table(digest.Dict, "users", digest.Options{})
	key, val, large := []byte("key"), make([]byte, 100), make([]byte, 100_000)
	h.Entry(key, make([]byte, 4000), 1, 1, 0)
	if n := testing.AllocsPerRun(100, func() {
		h.Entry(key, val, 1, 2, 3)
		h.Entry(key, large, 1, 2, 3)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkEntry hashes entries with keys of 16 and values of 32 bytes, as encoded.
func BenchmarkEntry(b *testing.B) {
	var h digest.Hasher
	h.Table(digest.Dict, "bench", digest.Options{})
	key, val := make([]byte, 17), make([]byte, 34)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		h.Entry(key, val, uint64(i), uint64(i), 0)
	}
	b.ReportMetric(float64(h.Items)/b.Elapsed().Seconds(), "entries/s")
}

// BenchmarkLarge hashes entries with a value of 1 MiB.
func BenchmarkLarge(b *testing.B) {
	var h digest.Hasher
	h.Table(digest.Dict, "bench", digest.Options{})
	key, val := make([]byte, 17), make([]byte, 1<<20)
	b.SetBytes(1 << 20)
	for b.Loop() {
		h.Entry(key, val, 1, 1, 0)
	}
}

// TestQueueFieldsCount: all that a list has as a queue changes its digest, and a plain list has the
// digest that it had before there were queues.
func TestQueueFieldsCount(t *testing.T) {
	type held struct {
		receipt    uint64
		due        int64
		deliveries uint32
		claim, val string
	}
	type list struct {
		queue  digest.Queue
		held   []held
		counts []uint32
	}
	base := func() list {
		return list{
			digest.Queue{MaxDeliveries: 3, DeadLetter: "dead"},
			[]held{{7, 1000, 1, "0123456789abcdef", "v"}, {9, 1000, 0, "", "w"}},
			[]uint32{1, 0, 2},
		}
	}
	digestOf := func(l list) string {
		var h digest.Hasher
		h.List("queue", l.queue)
		for _, i := range l.held {
			h.Held(i.receipt, i.due, i.deliveries, []byte(i.claim), []byte(i.val))
		}
		for i, n := range l.counts {
			h.Element(uint64(i), []byte{1})
			h.Counted(uint64(i), n)
		}
		return h.String()
	}
	seen := map[string]string{}
	for name, change := range map[string]func(l *list){
		"nothing":             func(*list) {},
		"deliveries allowed":  func(l *list) { l.queue.MaxDeliveries++ },
		"dead letters":        func(l *list) { l.queue.DeadLetter = "deaf" },
		"no options":          func(l *list) { l.queue = digest.Queue{} },
		"receipt":             func(l *list) { l.held[0].receipt++ },
		"due":                 func(l *list) { l.held[0].due++ },
		"deliveries":          func(l *list) { l.held[0].deliveries++ },
		"claim":               func(l *list) { l.held[0].claim = "0123456789abcdeg" },
		"delayed":             func(l *list) { l.held[0].claim = "" },
		"held value":          func(l *list) { l.held[0].val = "x" },
		"one held item":       func(l *list) { l.held = l.held[:1] },
		"an element's count":  func(l *list) { l.counts[0]++ },
		"counts exchanged":    func(l *list) { l.counts[0], l.counts[2] = 2, 1 },
		"a count on another":  func(l *list) { l.counts[0], l.counts[1] = 0, 1 },
		"an element is fresh": func(l *list) { l.counts[2] = 0 },
	} {
		l := base()
		change(&l)
		got := digestOf(l)
		if other, there := seen[got]; there {
			t.Errorf("%q has the digest of %q", name, other)
		}
		seen[got] = name
	}
	plain := table{digest.List, "queue", []item{{val: []byte{1}}, {val: []byte{1}}}, digest.Options{}}
	if got, want := digestOf(list{counts: []uint32{0, 0}}), sum([]table{plain}, 9, newRand(t)).String(); got != want {
		t.Errorf("a plain list has the digest %s, and had %s", got, want)
	}
}
