package persist_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"cyberdb-fast/persist"
	"cyberdb-fast/persist/fstest"
)

// content is what a .cdb file holds, as a test sees it.
type content struct {
	tables []table
}

type table struct {
	persist.Table
	entries  []persist.Entry
	held     []persist.HeldItem
	elements [][]byte
	counts   []uint32 // how often elements were delivered; nil: none was
}

// fill gives the content to a Writer.
func (c *content) fill(w *persist.Writer) error {
	for i := range c.tables {
		t := &c.tables[i]
		if err := w.Table(t.Table); err != nil {
			return err
		}
		for _, e := range t.entries {
			if err := w.Entry(e); err != nil {
				return err
			}
		}
		for _, h := range t.held {
			if err := w.Held(h); err != nil {
				return err
			}
		}
		for k, e := range t.elements {
			n := uint32(0)
			if k < len(t.counts) {
				n = t.counts[k]
			}
			if err := w.Counted(n, e); err != nil {
				return err
			}
		}
	}
	return nil
}

// Table and Block make a content of what a Reader loads.
func (c *content) Table(t persist.Table) error {
	c.tables = append(c.tables, table{Table: t})
	return nil
}

func (c *content) Block(b *persist.Block) error {
	t := &c.tables[len(c.tables)-1]
	if t.Kind == persist.Dict {
		for e := range b.Entries() {
			e.Key, e.Val = bytes.Clone(e.Key), bytes.Clone(e.Val)
			t.entries = append(t.entries, e)
		}
		return nil
	}
	for h := range b.Held() {
		h.Val = bytes.Clone(h.Val)
		t.held = append(t.held, h)
	}
	for n, e := range b.Counted() {
		t.elements, t.counts = append(t.elements, bytes.Clone(e)), append(t.counts, n)
	}
	return nil
}

func (c *content) String() string {
	var b strings.Builder
	for _, t := range c.tables {
		fmt.Fprintf(&b, "%v %q born %d version %d\n", t.Kind, t.Name, t.Created, t.Version)
		if t.Options != (persist.TableOptions{}) {
			fmt.Fprintf(&b, "\toptions %+v\n", t.Options)
		}
		if len(t.Marks) > 0 {
			fmt.Fprintf(&b, "\tmarks %v\n", t.Marks)
		}
		for _, e := range t.entries {
			fmt.Fprintf(&b, "\t%x %x %d %d %d\n", e.Key, e.Val, e.Version, e.Place, e.Deadline)
		}
		if q := t.Queue; q.MaxDeliveries > 0 || q.DeadLetter != "" {
			fmt.Fprintf(&b, "\tqueue %d %q\n", q.MaxDeliveries, q.DeadLetter)
		}
		for _, h := range t.held {
			fmt.Fprintf(&b, "\theld %+v\n", h)
		}
		for k, e := range t.elements {
			fmt.Fprintf(&b, "\t%x", e)
			if k < len(t.counts) && t.counts[k] > 0 {
				fmt.Fprintf(&b, " %d times", t.counts[k])
			}
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// randomContent has n items, of sizes up to biggest, in a few tables.
func randomContent(rng *rand.Rand, n, biggest int) *content {
	c := &content{}
	lsn := uint64(0)
	for i := range 1 + rng.IntN(5) {
		lsn += 1 + rng.Uint64N(3)
		t := table{
			Table: persist.Table{Name: fmt.Sprintf("table %d é", i), Kind: persist.Kind(1 + rng.IntN(2)), Created: lsn},
		}
		for range rng.IntN(n + 1) {
			lsn += 1 + rng.Uint64N(3)
			if t.Kind == persist.List {
				t.elements = append(t.elements, randomBytes(rng, biggest))
				continue
			}
			e := persist.Entry{Key: randomBytes(rng, 200), Val: randomBytes(rng, biggest), Place: lsn, Version: lsn}
			if rng.IntN(100) == 0 {
				e.Key = randomBytes(rng, 10<<10)
			}
			if rng.IntN(2) == 0 {
				e.Version += rng.Uint64N(1 << 20)
			}
			if rng.IntN(3) == 0 {
				e.Deadline = 1 + rng.Int64N(1<<rng.IntN(49)) // up to 2^48
				e.Deadline = min(e.Deadline, 1<<48-1)
			} else if rng.IntN(5) == 0 {
				e.Deadline = persist.Forever
			}
			t.entries = append(t.entries, e)
		}
		if t.Kind == persist.List {
			t.Version = lsn
			randomQueue(rng, &t, n, biggest)
		} else {
			t.Options, t.Marks = randomOptions(rng), randomMarks(rng)
		}
		c.tables = append(c.tables, t)
	}
	return c
}

// randomQueue gives a list what a queue has, or nothing.
func randomQueue(rng *rand.Rand, t *table, n, biggest int) {
	if rng.IntN(2) == 0 {
		return
	}
	if rng.IntN(2) == 0 {
		t.Queue = persist.Queue{MaxDeliveries: 1 + rng.Uint64N(1000), DeadLetter: "dead é"}
	}
	receipt := uint64(0)
	for range rng.IntN(n + 1) {
		receipt += 1 + rng.Uint64N(1<<rng.IntN(30))
		h := persist.HeldItem{
			Receipt:    receipt,
			Due:        rng.Int64N(1 << rng.IntN(49)),
			Deliveries: rng.Uint32(),
			Val:        randomBytes(rng, biggest),
		}
		if h.Delayed = rng.IntN(2) == 0; !h.Delayed {
			h.Claim = [16]byte{1, byte(rng.Uint32()), 15: 9}
		}
		t.held = append(t.held, h)
	}
	for range rng.IntN(len(t.elements) + 1) {
		t.counts = append(t.counts, uint32(rng.IntN(3)))
	}
}

// queueContent has what a list with held items can have.
func queueContent() *content {
	return &content{tables: []table{{
		Table: persist.Table{
			Name: "jobs", Kind: persist.List, Created: 3,
			Queue: persist.Queue{MaxDeliveries: 5, DeadLetter: "dead"},
		},
		held: []persist.HeldItem{
			{
				Receipt: 9, Due: 1_700_000_060_000, Deliveries: 2, Val: []byte("\xa1a"),
				Claim: [16]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
			},
			{Receipt: 300, Due: 1_700_000_000_500, Delayed: true, Val: []byte("\xa1b")},
		},
		elements: [][]byte{[]byte("\xa1c"), []byte("\xa1d"), []byte("\xa1e")},
		counts:   []uint32{1},
	}, {
		Table: persist.Table{Name: "dead", Kind: persist.List, Created: 301},
	}}}
}

// randomOptions are none, or some.
func randomOptions(rng *rand.Rand) (o persist.TableOptions) {
	for _, n := range []*int64{&o.TTL, &o.Idle, &o.MaxEntries, &o.MaxBytes, &o.Since} {
		if rng.IntN(6) == 0 {
			*n = rng.Int64N(1 << rng.IntN(49))
		}
	}
	if rng.IntN(4) == 0 {
		o.Policy, o.Horizon = uint8(rng.IntN(4)), rng.Uint64N(1<<rng.IntN(48))
	}
	return o
}

// randomMarks are none, or up to as many as a table may have.
func randomMarks(rng *rand.Rand) (marks []persist.Mark) {
	var last persist.Mark
	for range rng.IntN(2) * rng.IntN(1<<rng.IntN(13)) {
		last.Time += rng.Int64N(1 << rng.IntN(35))
		last.LSN += rng.Uint64N(1 << rng.IntN(35))
		marks = append(marks, last)
	}
	return marks
}

// randomBytes are compressible or not, and mostly short.
func randomBytes(rng *rand.Rand, biggest int) []byte {
	b := make([]byte, rng.IntN(1+rng.IntN(1+biggest)))
	if rng.IntN(2) == 0 {
		return b
	}
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

func seed(t *testing.T) *rand.Rand {
	t.Helper()
	n := *seedFlag
	if n == 0 {
		n = rand.Uint64()
	}
	t.Logf("-seed %d", n)
	return rand.New(rand.NewPCG(n, 0))
}

var stamp = persist.Stamp{Database: persist.ID{1, 2, 3}, LSN: 1 << 40, Created: time.UnixMilli(1700000000123)}

func write(t *testing.T, fsys persist.FS, name string, c *content, codec persist.Codec) persist.FileInfo {
	t.Helper()
	info, err := persist.WriteFile(fsys, name, stamp, codec, c.fill)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func load(fsys persist.FS, name string, workers int) (*content, error) {
	r, err := persist.Open(fsys, name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	c := &content{}
	return c, r.Load(workers, c, nil)
}

// TestFileRoundTrip: what is written is read, whatever the sizes, the codec and the number of
// workers.
func TestFileRoundTrip(t *testing.T) {
	rng := seed(t)
	for i := range 60 {
		n, biggest := 2000, 100
		switch i % 10 {
		case 0:
			n, biggest = 3, 5<<20 // larger than a block
		case 1:
			n = 0
		}
		want := randomContent(rng, n, biggest)
		disk := fstest.NewDisk()
		info := write(t, disk, "data.cdb", want, persist.Codec(i%3))
		got, err := load(disk, "data.cdb", 1+rng.IntN(4))
		if err != nil {
			t.Fatal(err)
		}
		if got.String() != want.String() {
			t.Fatalf("content %d is not what was written", i)
		}
		r, err := persist.Open(disk, "data.cdb")
		if err != nil {
			t.Fatal(err)
		}
		if r.Info() != info || info.Bytes != int64(len(disk.Bytes("data.cdb"))) || info.Stamp != stamp {
			t.Fatalf("info %+v, written %+v", r.Info(), info)
		}
		for i, tab := range r.Tables() {
			if w := want.tables[i]; tab.Name != w.Name || tab.Len() != uint64(len(w.entries)+len(w.elements)) ||
				tab.Queue.Held != uint64(len(w.held)) {
				t.Fatalf("table %+v, written %+v", tab, w.Table)
			}
		}
	}
}

// TestFileProgress: progress goes up to the whole.
func TestFileProgress(t *testing.T) {
	disk := fstest.NewDisk()
	write(t, disk, "data.cdb", randomContent(seed(t), 20000, 100), persist.S2)
	r, err := persist.Open(disk, "data.cdb")
	if err != nil {
		t.Fatal(err)
	}
	last, calls := int64(0), 0
	err = r.Verify(2, func(done, total int64) {
		if done < last || done > total || total != r.Info().Bytes {
			t.Errorf("%d of %d after %d", done, total, last)
		}
		last = done
		calls++
	})
	if err != nil || last != r.Info().Bytes || calls < 3 {
		t.Fatalf("ended at %d after %d calls: %v", last, calls, err)
	}
}

// TestFileReplaced: the file before is kept as .prev, nothing else is left, and only the owner may
// read.
func TestFileReplaced(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "data.cdb")
	rng := seed(t)
	var before *content
	for range 3 {
		c := randomContent(rng, 10, 10)
		write(t, persist.OS, name, c, persist.S2)
		if got, err := load(persist.OS, name, 1); err != nil || got.String() != c.String() {
			t.Fatalf("new file: %v", err)
		}
		if before != nil {
			if got, err := load(persist.OS, persist.PrevName(name), 1); err != nil || got.String() != before.String() {
				t.Fatalf("previous file: %v", err)
			}
		}
		before = c
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Fatalf("%v %v", entries, err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: %v %v", e.Name(), info.Mode(), err)
		}
	}
}

// TestFileFailedFill: an error while the file is filled leaves everything unchanged.
func TestFileFailedFill(t *testing.T) {
	disk := fstest.NewDisk()
	c := randomContent(seed(t), 10, 10)
	write(t, disk, "data.cdb", c, persist.S2)
	failed := errors.New("no more")
	_, err := persist.WriteFile(disk, "data.cdb", stamp, persist.S2, func(w *persist.Writer) error {
		_ = w.Table(persist.Table{Name: "half", Kind: persist.List})
		return failed
	})
	if !errors.Is(err, failed) || !strings.Contains(err.Error(), "data.cdb") {
		t.Fatal(err)
	}
	if names := disk.Names(); !slices.Equal(names, []string{"data.cdb"}) {
		t.Fatal(names)
	}
	if got, err := load(disk, "data.cdb", 1); err != nil || got.String() != c.String() {
		t.Fatal(err)
	}
}

// smallContent has everything that a file can have, in few bytes.
func smallContent() *content {
	return &content{tables: []table{
		{Table: persist.Table{Name: "users", Kind: persist.Dict, Created: 3}, entries: []persist.Entry{
			{Key: []byte("\xa3ada"), Val: []byte{36}, Version: 9, Place: 4},
			{Key: []byte("\xa3eve"), Val: bytes.Repeat([]byte{7}, 100), Version: 5, Place: 5, Deadline: 1700000060123},
		}},
		{
			Table:    persist.Table{Name: "queue", Kind: persist.List, Created: 6, Version: 8},
			elements: [][]byte{{1}, {}, []byte("\xa1x")},
		},
		{Table: persist.Table{Name: "", Kind: persist.Dict, Created: 7}},
	}}
}

// expiringContent has what a table with options can have.
func expiringContent() *content {
	return &content{tables: []table{{
		Table: persist.Table{
			Name:    "cache",
			Kind:    persist.Dict,
			Created: 3,
			Options: persist.TableOptions{
				TTL:        300_000,
				MaxEntries: 1000,
				Policy:     2,
				Since:      1_699_999_000_000,
				Horizon:    4,
			},
			Marks: []persist.Mark{{Time: 1_699_999_700_000, LSN: 4}, {Time: 1_699_999_950_000, LSN: 9}},
		},
		entries: []persist.Entry{
			{Key: []byte("\xa1a"), Val: []byte{1}, Version: 9, Place: 5},
			{Key: []byte("\xa1b"), Val: []byte{2}, Version: 6, Place: 6, Deadline: persist.Forever},
		},
	}}}
}

// check reads a changed file in all ways: it must be reported as damaged, or have its old content.
func check(t *testing.T, changed []byte, want, how string) {
	t.Helper()
	disk := fstest.NewDisk()
	disk.Put("data.cdb", changed)
	got, err := load(disk, "data.cdb", 1)
	if err == nil && got.String() != want {
		t.Fatalf("%s: wrong data", how)
	}
	if err == nil {
		t.Fatalf("%s: not detected", how)
	}
	if !errors.Is(err, persist.ErrDamaged) && !errors.Is(err, persist.ErrForeign) ||
		!strings.Contains(err.Error(), "data.cdb") {
		t.Fatalf("%s: %v", how, err)
	}
	_, err = persist.Salvage(disk, "data.cdb", "saved.cdb")
	if err != nil {
		return
	}
	saved, err := load(disk, "saved.cdb", 1)
	if err != nil {
		t.Fatalf("%s: what was salvaged cannot be read: %v", how, err)
	}
	for line := range strings.Lines(saved.String()) {
		if strings.HasPrefix(line, "\t") && !strings.Contains(want, line) {
			t.Fatalf("%s: salvaged wrong data: %s", how, line)
		}
	}
}

// TestFileEveryFlip: each bit flipped, one at a time, is detected.
func TestFileEveryFlip(t *testing.T) {
	for _, codec := range []persist.Codec{persist.Raw, persist.S2, persist.Zstd} {
		disk := fstest.NewDisk()
		c := smallContent()
		write(t, disk, "data.cdb", c, codec)
		data, want := disk.Bytes("data.cdb"), c.String()
		for i := range data {
			for bit := range 8 {
				data[i] ^= 1 << bit
				check(t, data, want, fmt.Sprintf("codec %d, byte %d bit %d", codec, i, bit))
				data[i] ^= 1 << bit
			}
		}
	}
}

// TestFileEveryTruncation: each truncation is detected, and so are bytes too many.
func TestFileEveryTruncation(t *testing.T) {
	disk := fstest.NewDisk()
	c := smallContent()
	write(t, disk, "data.cdb", c, persist.S2)
	data := disk.Bytes("data.cdb")
	for n := range data {
		check(t, data[:n], c.String(), fmt.Sprintf("cut at %d", n))
	}
	check(t, append(slices.Clone(data), 0), c.String(), "one byte more")
	check(t, append(slices.Clone(data), data...), c.String(), "twice")
}

// TestFileDamageNamed: an error names file, table, block and offset.
func TestFileDamageNamed(t *testing.T) {
	disk := fstest.NewDisk()
	write(t, disk, "data.cdb", smallContent(), persist.Raw)
	data := disk.Bytes("data.cdb")
	at := bytes.Index(data, []byte("\xa3eve"))
	data[at] ^= 1
	disk.Put("data.cdb", data)
	_, err := load(disk, "data.cdb", 2)
	var damage *persist.DamageError
	if !errors.As(err, &damage) || damage.File != "data.cdb" || damage.Table != "users" || damage.Block != 1 ||
		damage.Offset >= int64(at) {
		t.Fatalf("%+v", err)
	}
	if want := `data.cdb, table "users", block 1, at byte 114: the block does not match its checksum`; err.Error() != want {
		t.Fatalf("%v", err)
	}
}

// TestFileForeign: files of other kinds and of later versions are distinguished from damaged ones.
func TestFileForeign(t *testing.T) {
	disk := fstest.NewDisk()
	disk.Put("a.cdb", []byte("\x80\x04}q\x00."))
	if _, err := persist.Open(
		disk,
		"a.cdb",
	); !errors.Is(err, persist.ErrForeign) ||
		!strings.Contains(err.Error(), "a.cdb") {
		t.Error(err)
	}
	if _, err := persist.Open(disk, "b.cdb"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}
