package persist_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/zeebo/xxh3"

	"cyberdb-fast/persist"
	"cyberdb-fast/persist/fstest"
)

// The types of blocks, FORMAT.md.
const (
	tableBlock   = 1
	entriesBlock = 2
	indexBlock   = 4
)

// another makes another file of a raw .cdb file: of a given version, and with the payloads that
// edit returns. All checksums and lengths are right. Offsets in the index are not changed, so only
// the last table may become longer.
func another(data []byte, version uint16, edit func(typ byte, payload []byte) []byte) []byte {
	u32 := binary.LittleEndian.Uint32
	crc := func(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }
	sum := xxh3.New()
	head := bytes.Clone(data[:64])
	binary.LittleEndian.PutUint16(head[8:], version)
	binary.LittleEndian.PutUint32(head[60:], crc(head[:60]))
	_, _ = sum.Write(head)
	out := head
	foot := bytes.Clone(data[len(data)-64:])
	index := false
	for at := 64; at < len(data)-64; {
		block := bytes.Clone(data[at : at+40])
		n := int(u32(block[20:]))
		payload := data[at+40 : at+40+n]
		at += 40 + n
		payload = edit(block[4], bytes.Clone(payload))
		if block[4] == indexBlock && !index {
			index = true
			binary.LittleEndian.PutUint64(foot[8:], uint64(len(out)))
		}
		binary.LittleEndian.PutUint32(block[16:], uint32(len(payload)))
		binary.LittleEndian.PutUint32(block[20:], uint32(len(payload)))
		binary.LittleEndian.PutUint64(block[32:], xxh3.Hash(payload))
		binary.LittleEndian.PutUint32(block, crc(block[4:]))
		_, _ = sum.Write(block)
		out = append(append(out, block...), payload...)
	}
	binary.LittleEndian.PutUint64(foot[32:], uint64(len(out)+64))
	_, _ = sum.Write(foot[:48])
	binary.LittleEndian.PutUint64(foot[48:], sum.Sum64())
	binary.LittleEndian.PutUint32(foot[60:], crc(foot[:60]))
	return append(out, foot...)
}

func unchanged(_ byte, payload []byte) []byte { return payload }

// withMetadata puts other metadata in place of those of the entry "eve".
func withMetadata(metadata string) func(byte, []byte) []byte {
	return func(typ byte, payload []byte) []byte {
		if typ == entriesBlock {
			key := []byte("\xa3eve\x07")
			at := bytes.Index(payload, key) + len(key) - 1
			payload = append(append(payload[:at:at], metadata...), payload[at+8:]...)
		}
		return payload
	}
}

// withOptions gives the last table, which has no name, options.
func withOptions(options string) func(byte, []byte) []byte {
	return func(typ byte, payload []byte) []byte {
		table := []byte{byte(persist.Dict), 0, 7, 0} // up to the length of its options
		if at := bytes.Index(payload, table); at >= 0 && (typ == tableBlock || typ == indexBlock) {
			at += len(table)
			payload = append(append(payload[:at:at], options...), payload[at+1:]...)
		}
		return payload
	}
}

// TestUnknownParts: what only a later version knows is refused, with a text that names it; what a
// reader may skip, it skips.
func TestUnknownParts(t *testing.T) {
	raw := golden(t, "v3-raw.cdb", nil)
	for _, c := range []struct {
		name    string
		version uint16
		edit    func(byte, []byte) []byte
		want    string // "": it is read
		is      error
	}{
		{"nothing", 3, unchanged, "", nil},
		{"version 4", 4, unchanged, "a.cdb is a .cdb file of version 4, written by a newer version: this program reads versions 2 to 3", persist.ErrVersion},
		{"version 1", 1, unchanged, "a.cdb is a .cdb file of version 1, written by a newer version: this program reads versions 2 to 3", persist.ErrVersion},
		{"other metadata", 3, withMetadata("\x02\x84x"), `a.cdb, table "users": unknown metadata flags 0x84: written by a newer version`, persist.ErrVersion},
		{"more metadata", 3, withMetadata("\x08\x05\x01\x00\x00\x00\x00\x00x"), `a.cdb, table "users": unknown metadata flags 0x04: written by a newer version`, persist.ErrVersion},
		{"a deadline and none", 3, withMetadata("\x07\x03\x01\x00\x00\x00\x00\x00"), "items cannot be parsed", persist.ErrDamaged},
		{"no deadline and a byte", 3, withMetadata("\x02\x02x"), "items cannot be parsed", persist.ErrDamaged},
		{"odd option", 3, withOptions("\x06\x01\x01x\x07\x01y"), "", nil},
		{"options of more fields", 3, withOptions("\x0a\x02\x08\x01\x00\x00\x00\x00\x00\x00\x01"), `a.cdb, table "": unknown fields in its options: written by a newer version`, persist.ErrVersion},
		{"another policy", 3, withOptions("\x09\x02\x07\x01\x00\x00\x00\x04\x00\x00"), `a.cdb, table "": unknown policy 4: written by a newer version`, persist.ErrVersion},
		{"options of fewer fields", 3, withOptions("\x08\x02\x06\x01\x00\x00\x00\x00\x00"), "index cannot be read", persist.ErrDamaged},
		{"half a mark", 3, withOptions("\x05\x03\x03\x01\x01\x05"), "index cannot be read", persist.ErrDamaged},
		{"marks out of range", 3, withOptions("\x0c\x03\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x01\x01"), "index cannot be read", persist.ErrDamaged},
		{"even option", 3, withOptions("\x06\x01\x01x\x06\x01y"), `a.cdb, table "": unknown option 6: written by a newer version`, persist.ErrVersion},
		{"a dict that is a queue", 3, withOptions("\x06\x04\x04\x00\x00\x05\x00"), "index cannot be read", persist.ErrDamaged},
		{"option 0", 3, withOptions("\x02\x00\x00"), `a.cdb, table "": unknown option 0: written by a newer version`, persist.ErrVersion},
		{"options in disorder", 3, withOptions("\x04\x03\x00\x01\x00"), "index cannot be read", persist.ErrDamaged},
		{"an option twice", 3, withOptions("\x04\x03\x00\x03\x00"), "index cannot be read", persist.ErrDamaged},
		{"half an option", 3, withOptions("\x02\x03\x05"), "index cannot be read", persist.ErrDamaged},
		{"no metadata", 3, withMetadata("\x00"), "items cannot be parsed", persist.ErrDamaged},
		{"empty metadata", 3, withMetadata("\x01\x00"), "items cannot be parsed", persist.ErrDamaged},
		{"short deadline", 3, withMetadata("\x06\x01\x01\x02\x03\x04\x05"), "items cannot be parsed", persist.ErrDamaged},
		{"long deadline", 3, withMetadata("\x08\x01\x01\x02\x03\x04\x05\x06\x07"), "items cannot be parsed", persist.ErrDamaged},
		{"deadline 0", 3, withMetadata("\x07\x01\x00\x00\x00\x00\x00\x00"), "items cannot be parsed", persist.ErrDamaged},
	} {
		disk := fstest.NewDisk()
		disk.Put("a.cdb", another(raw, c.version, c.edit))
		got, err := load(disk, "a.cdb", 2)
		saved, salvageErr := persist.Salvage(disk, "a.cdb", "b.cdb")
		switch {
		case c.want == "":
			if err != nil || got.String() != smallContent().String() || salvageErr != nil || len(saved.Lost) > 0 {
				t.Errorf("%s: %v, %v", c.name, err, salvageErr)
			}
			continue
		case err == nil || !strings.HasSuffix(err.Error(), c.want) || !errors.Is(err, c.is):
			t.Errorf("%s: %v", c.name, err)
		}
		var version *persist.VersionError
		if errors.As(err, &version) {
			if version.File != "a.cdb" || version.Version != c.version || salvageErr == nil ||
				salvageErr.Error() != c.want {
				t.Errorf("%s: %+v, %v", c.name, version, salvageErr)
			}
			continue
		}
		if salvageErr != nil || len(saved.Lost) == 0 {
			t.Errorf("%s, salvaged: %v, %v", c.name, salvageErr, saved)
		}
	}
}

// TestUnknownHeader: flags and fields of the header that are not defined are refused.
func TestUnknownHeader(t *testing.T) {
	for _, at := range []int{10, 15, 48, 59} {
		data := bytes.Clone(golden(t, "v3-raw.cdb", nil))
		data[at] = 1
		binary.LittleEndian.PutUint32(data[60:], crc32.Checksum(data[:60], crc32.MakeTable(crc32.Castagnoli)))
		disk := fstest.NewDisk()
		disk.Put("a.cdb", data)
		_, err := load(disk, "a.cdb", 1)
		want := "a.cdb is a .cdb file of version 3 with unknown flags or fields in its header, " +
			"written by a newer version: this program reads versions 2 to 3"
		if err == nil || err.Error() != want || !errors.Is(err, persist.ErrVersion) {
			t.Errorf("byte %d: %v", at, err)
		}
	}
}

// TestSalvageUnknownVersion: if neither header nor table shows the version, lists are saved, and
// entries that could be of two versions are not.
func TestSalvageUnknownVersion(t *testing.T) {
	content := &content{tables: []table{
		// the only entry means an entry in both versions
		{Table: persist.Table{Name: "d", Kind: persist.Dict}, entries: []persist.Entry{{Val: make([]byte, 0)}}},
		{Table: persist.Table{Name: "l", Kind: persist.List}, elements: [][]byte{[]byte("x")}},
	}}
	disk := fstest.NewDisk()
	write(t, disk, "a.cdb", content, persist.Raw)
	data := disk.Bytes("a.cdb")
	clear(data[:64])
	for at := 64; at < len(data)-64; {
		n := int(binary.LittleEndian.Uint32(data[at+20:]))
		if data[at+4] == tableBlock || data[at+4] == indexBlock {
			data[at+40] ^= 1
		}
		at += 40 + n
	}
	disk.Put("a.cdb", data)
	saved, err := persist.Salvage(disk, "a.cdb", "b.cdb")
	if err != nil || saved.Items != 1 {
		t.Fatal(saved, err)
	}
	got, err := load(disk, "b.cdb", 1)
	if want := "list \"salvaged-1\" born 0 version 0\n\t78\n"; err != nil || got.String() != want {
		t.Fatal(got, err)
	}
	text := "1 items: the header is lost, and the entries do not show in which version they are"
	if !strings.Contains(saved.Lost[2].String(), text) ||
		!strings.HasSuffix(saved.Lost[0].What, "the version is unknown") {
		t.Error(saved.Lost)
	}
}

// TestDeadlineBounds: a deadline that a file cannot have is refused.
func TestDeadlineBounds(t *testing.T) {
	for _, deadline := range []int64{-2, 1 << 48} {
		disk := fstest.NewDisk()
		_, err := persist.WriteFile(disk, "a.cdb", stamp, persist.Raw, func(w *persist.Writer) error {
			_ = w.Table(persist.Table{Name: "d", Kind: persist.Dict})
			return w.Entry(persist.Entry{Deadline: deadline})
		})
		if err == nil || len(disk.Names()) > 0 {
			t.Error(deadline, err)
		}
	}
}

// TestOptionsBounds: options that a file cannot have are refused.
func TestOptionsBounds(t *testing.T) {
	for name, table := range map[string]persist.Table{
		"of a list":    {Kind: persist.List, Options: persist.TableOptions{TTL: 1}},
		"marks":        {Kind: persist.List, Marks: []persist.Mark{{Time: 1, LSN: 1}}},
		"negative":     {Kind: persist.Dict, Options: persist.TableOptions{MaxBytes: -1}},
		"long":         {Kind: persist.Dict, Options: persist.TableOptions{TTL: 1 << 56}},
		"policy":       {Kind: persist.Dict, Options: persist.TableOptions{Policy: 4}},
		"horizon":      {Kind: persist.Dict, Options: persist.TableOptions{Horizon: 1 << 56}},
		"a time later": {Kind: persist.Dict, Marks: []persist.Mark{{Time: 2, LSN: 1}, {Time: 1, LSN: 2}}},
		"an LSN later": {Kind: persist.Dict, Marks: []persist.Mark{{Time: 1, LSN: 2}, {Time: 2, LSN: 1}}},
		"many marks":   {Kind: persist.Dict, Marks: make([]persist.Mark, 5000)},
	} {
		disk := fstest.NewDisk()
		_, err := persist.WriteFile(
			disk,
			"a.cdb",
			stamp,
			persist.Raw,
			func(w *persist.Writer) error { return w.Table(table) },
		)
		if err == nil || len(disk.Names()) > 0 {
			t.Error(name, err)
		}
	}
}

// TestDeadlineOf: an entry without a deadline lives by its table's default, counted from when its
// version was assigned.
func TestDeadlineOf(t *testing.T) {
	table := persist.Table{
		Kind:    persist.Dict,
		Options: persist.TableOptions{TTL: 100, Horizon: 4},
		Marks:   []persist.Mark{{Time: 1000, LSN: 5}, {Time: 2000, LSN: 9}},
	}
	plain, late := persist.Table{Kind: persist.Dict}, table
	late.Options.Since = 1500
	for _, c := range []struct {
		table    *persist.Table
		version  uint64
		deadline int64
		want     int64
	}{
		{&table, 4, 0, 1},
		{&table, 5, 0, 1100},
		{&table, 6, 0, 2100},
		{&table, 9, 0, 2100},
		{&table, 10, 0, 3100},
		{&table, 4, 7, 7},
		{&table, 4, persist.Forever, persist.Forever},
		{&late, 5, 0, 1600},
		{&late, 6, 0, 2100},
		{&plain, 5, 0, 0},
		{&plain, 5, 7, 7},
	} {
		e := persist.Entry{Version: c.version, Deadline: c.deadline}
		if got := c.table.DeadlineOf(&e, 3000); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}

// TestFormatExamples: the examples of FORMAT.md are in the files that it names: the beginning of
// the first one, blocks of the others.
func TestFormatExamples(t *testing.T) {
	text, err := os.ReadFile("FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, found := strings.Cut(string(text), "testdata/v3-raw.cdb has")
	example, expiry, found2 := strings.Cut(example, "\ntestdata/v3-expiry.cdb has")
	expiry, queue, found3 := strings.Cut(expiry, "\ntestdata/v3-queue.cdb has")
	queue, _, _ = strings.Cut(queue, "\n### ")
	if !found || !found2 || !found3 {
		t.Fatal("FORMAT.md has no examples")
	}
	isExample(t, golden(t, "v3-raw.cdb", nil), example, 0, 0xb9)
	table, entries, _ := strings.Cut(expiry, "The block of its entries:")
	isExample(t, golden(t, "v3-expiry.cdb", nil), table, 0x68, 0x90)
	isExample(t, golden(t, "v3-expiry.cdb", nil), entries, 0xb8, 0xc8)
	table, held, _ := strings.Cut(queue, "The block of its held items:")
	held, elements, _ := strings.Cut(held, "The block of its elements:")
	isExample(t, golden(t, "v3-queue.cdb", nil), table, 0x68, 0x7b)
	isExample(t, golden(t, "v3-queue.cdb", nil), held, 0xa3, 0xcc)
	isExample(t, golden(t, "v3-queue.cdb", nil), elements, 0xf4, 0x100)
}

// isExample compares the lines of an example with the bytes of a file from at up to end.
func isExample(t *testing.T, data []byte, example string, at, end int) {
	t.Helper()
	lines := regexp.MustCompile(`(?m)^    ([0-9a-f]{4})  (00 x (\d+)|[0-9a-f]{2}(?: {1,2}[0-9a-f]{2})*)\b`).
		FindAllStringSubmatch(example, -1)
	for _, line := range lines {
		offset, _ := hex.DecodeString(line[1])
		want, err := hex.DecodeString(strings.ReplaceAll(line[2], " ", ""))
		if line[3] == "12" {
			want, err = make([]byte, 12), nil
		}
		if err != nil || int(binary.BigEndian.Uint16(offset)) != at || !bytes.Equal(data[at:at+len(want)], want) {
			t.Fatalf("%s: the file has % x at %04x", line[0], data[at:at+len(want)], at)
		}
		at += len(want)
	}
	if at != end {
		t.Errorf("the example ends at %04x, not %04x", at, end)
	}
}
