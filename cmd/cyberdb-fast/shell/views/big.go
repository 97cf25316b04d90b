package views

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"

	"cyberdb-fast/client"
	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/codec/value"
)

// How much Big looks at.
const (
	bigTables  = 10
	bigEntries = 5       // shown of a table
	bigSample  = 2048    // entries that are looked at in a table
	bigBytes   = 8 << 20 // after which no more entries of a table are looked at
	bigPages   = 32      // requests for a list
)

// bigTable is one of the largest tables, and the largest of the entries that were looked at.
type bigTable struct {
	tableFigures
	LookedAt int     `json:"looked_at"` // entries
	Largest  []entry `json:"largest"`
}

// entry is one of the sample.
type entry struct {
	Name  string `json:"entry"` // the repr of the key, or the index in brackets
	Bytes int    `json:"bytes"`
}

// Big writes the largest tables, and the largest of a sample of their entries.
func (v *View) Big(ctx context.Context) error {
	text, err := v.section(ctx, "tables", map[string]any{"sort": "bytes", "limit": bigTables})
	if err != nil {
		return err
	}
	var s struct {
		Tables []bigTable `json:"tables"`
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return fmt.Errorf("the server's section \"tables\" cannot be read: %w", err)
	}
	if !v.JSON {
		if err := v.bigTables(s.Tables); err != nil {
			return err
		}
	}
	for i := range s.Tables {
		t := &s.Tables[i]
		if err := v.look(ctx, t); err != nil {
			return err
		}
		if !v.JSON && t.LookedAt > 0 {
			if err := v.bigEntries(t); err != nil {
				return err
			}
		}
	}
	if v.JSON {
		return json.NewEncoder(v.Out).Encode(s)
	}
	return nil
}

func (v *View) bigTables(tables []bigTable) error {
	g := v.grid("table", "kind", "entries", "bytes", "per entry")
	g.minor = []string{"kind", "per entry"}
	for _, t := range tables {
		each := "-"
		if t.Entries > 0 {
			each = size(t.Bytes / t.Entries)
		}
		g.row(v.short(t.Name), t.Kind, number(t.Entries), size(t.Bytes), each)
	}
	return g.flush()
}

func (v *View) bigEntries(t *bigTable) error {
	sample := fmt.Sprintf("%s entries", number(int64(t.LookedAt)))
	switch {
	case int64(t.LookedAt) >= t.Entries:
		sample = "its " + sample
	case t.Kind == string(client.KindList):
		sample = fmt.Sprintf("%s at random places, of %s", sample, number(t.Entries))
	default:
		sample = fmt.Sprintf("the first %s of %s", sample, number(t.Entries))
	}
	fmt.Fprintf(v.Out, "\n%s: the largest of %s\n", v.short(t.Name), sample)
	g := v.grid()
	for _, e := range t.Largest {
		g.row("  "+e.Name, size(int64(e.Bytes)))
	}
	return g.flush()
}

// look sets the sample of a table.
func (v *View) look(ctx context.Context, t *bigTable) error {
	look := v.sampleDict
	if t.Kind == string(client.KindList) {
		look = v.sampleList
	}
	sample, err := look(ctx, t)
	if err != nil {
		return err
	}
	slices.SortFunc(sample, func(a, b entry) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Name, b.Name))
	})
	t.LookedAt = len(sample)
	t.Largest = sample[:min(len(sample), bigEntries)]
	return nil
}

// sampleDict looks at the first entries of a dict: a scan cannot begin elsewhere.
func (v *View) sampleDict(ctx context.Context, t *bigTable) (sample []entry, err error) {
	items, failed := client.DictOf[govalue.Encoded, govalue.Encoded](v.DB, t.Name).Scan(ctx)
	bytes := 0
	for key, val := range items {
		sample = append(sample, entry{shortRepr(key), len(key) + len(val)})
		if bytes += len(key) + len(val); bytes >= bigBytes || len(sample) == bigSample {
			break
		}
	}
	return sample, failed()
}

// sampleList looks at all elements of a list, or at elements at random places of a long one.
func (v *View) sampleList(ctx context.Context, t *bigTable) (sample []entry, err error) {
	if t.Entries == 0 {
		return nil, nil
	}
	list := client.ListOf[govalue.Encoded](v.DB, t.Name)
	mean := max(1, t.Bytes/t.Entries)
	page := int(min(bigSample/bigPages, max(1, bigBytes/bigPages/mean)))
	seen := make(map[int]bool)
	at, bytes := 0, 0
	for range bigPages {
		if t.Entries > bigSample {
			at = int(rand.Int64N(t.Entries - int64(page)))
		}
		vals, err := v.slice(ctx, list, at, at+page)
		if err != nil {
			return nil, err
		}
		for i, val := range vals {
			bytes += len(val)
			if !seen[at+i] {
				seen[at+i] = true
				sample = append(sample, entry{fmt.Sprintf("[%d]", at+i), len(val)})
			}
		}
		if at += page; bytes >= bigBytes || t.Entries <= bigSample && len(vals) < page {
			break
		}
	}
	return sample, nil
}

func (v *View) slice(
	ctx context.Context,
	list *client.List[govalue.Encoded],
	start, stop int,
) ([]govalue.Encoded, error) {
	ctx, cancel := v.within(ctx)
	defer cancel()
	return list.Slice(ctx, start, stop, client.None)
}

// maxReprBytes: longer keys are not written out.
const maxReprBytes = 1 << 10

// shortRepr returns the beginning of the repr of a key.
func shortRepr(key govalue.Encoded) string {
	const most = 64
	if len(key) > maxReprBytes {
		return fmt.Sprintf("<%s of %s>", value.TypeName(key), size(int64(len(key))))
	}
	text, err := value.Repr(key)
	if err != nil {
		return "<" + value.TypeName(key) + ">"
	}
	if letters := []rune(text); len(letters) > most {
		return string(letters[:most-3]) + "..."
	}
	return text
}
