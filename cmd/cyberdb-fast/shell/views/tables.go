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

// tableFigures is one table of the section "tables".
type tableFigures struct {
	Name     string `json:"name"`
	Kind     string `json:"kind"`
	Entries  int64  `json:"entries"`
	Bytes    int64  `json:"bytes"`
	Hits     int64  `json:"hits"`
	Misses   int64  `json:"misses"`
	Requests int64  `json:"requests"`
}

// tablesSection is the section "tables". Other is the sum of the tables that have no figures of
// their own.
type tablesSection struct {
	Tables []tableFigures `json:"tables"`
	Other  tableFigures   `json:"other"`
	Count  int64          `json:"count"`
}

// Tables writes all tables with kind and length.
func (v *View) Tables(ctx context.Context) error {
	ctx, cancel := v.within(ctx)
	defer cancel()
	all, err := v.DB.Tables(ctx)
	if err != nil {
		return err
	}
	if v.JSON {
		figures := make([]map[string]any, len(all))
		for i, t := range all {
			figures[i] = map[string]any{"name": t.Name, "kind": t.Kind, "entries": t.Len}
		}
		return json.NewEncoder(v.Out).Encode(figures)
	}
	if len(all) == 0 {
		fmt.Fprintln(v.Out, "no tables")
		return nil
	}
	g := v.grid("table", "kind", "entries")
	for _, t := range all {
		g.row(plain(t.Name), string(t.Kind), number(int64(t.Len)))
	}
	return g.out.Flush()
}

// How much Big looks at.
const (
	bigTables  = 10
	bigEntries = 5    // shown of a table
	bigSample  = 2048 // entries that are looked at in a table
	bigPages   = 32   // of a list, at random places
)

// Big writes the largest tables, and the largest of a sample of their entries.
func (v *View) Big(ctx context.Context) error {
	var s tablesSection
	done, err := v.read(ctx, "tables", map[string]any{"sort": "bytes", "limit": bigTables}, &s)
	if err != nil || done {
		return err
	}
	g := v.grid("table", "kind", "entries", "bytes", "per entry")
	for _, t := range s.Tables {
		each := "-"
		if t.Entries > 0 {
			each = size(t.Bytes / t.Entries)
		}
		g.row(plain(t.Name), t.Kind, number(t.Entries), size(t.Bytes), each)
	}
	if err := g.out.Flush(); err != nil {
		return err
	}
	for _, t := range s.Tables {
		if err := v.bigEntries(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

// entry is one of the sample.
type entry struct {
	name  string // of the key or the index
	bytes int
}

func (v *View) bigEntries(ctx context.Context, t tableFigures) error {
	var sample []entry
	var err error
	if t.Kind == string(client.KindList) {
		sample, err = v.sampleList(ctx, t)
	} else {
		sample, err = v.sampleDict(ctx, t)
	}
	if err != nil || len(sample) == 0 {
		return err
	}
	seen := len(sample)
	slices.SortFunc(sample, func(a, b entry) int { return cmp.Compare(b.bytes, a.bytes) })
	sample = slices.CompactFunc(sample, func(a, b entry) bool { return a.name == b.name })
	fmt.Fprintf(v.Out, "\n%s: the largest of %s entries that were looked at\n", plain(t.Name), number(int64(seen)))
	g := v.grid()
	for _, e := range sample[:min(len(sample), bigEntries)] {
		g.row("  "+e.name, size(int64(e.bytes)))
	}
	return g.out.Flush()
}

// sampleDict looks at the first entries of a dict.
func (v *View) sampleDict(ctx context.Context, t tableFigures) (sample []entry, err error) {
	items, failed := client.DictOf[govalue.Encoded, govalue.Encoded](v.DB, t.Name).Scan(ctx)
	for key, val := range items {
		sample = append(sample, entry{shortRepr(key), len(key) + len(val)})
		if len(sample) == bigSample {
			break
		}
	}
	return sample, failed()
}

// sampleList looks at elements at random places of a list.
func (v *View) sampleList(ctx context.Context, t tableFigures) (sample []entry, err error) {
	const page = bigSample / bigPages
	list := client.ListOf[govalue.Encoded](v.DB, t.Name)
	for range bigPages {
		at := 0
		if t.Entries > bigSample {
			at = int(rand.Int64N(t.Entries - page))
		}
		stop := at + page
		if t.Entries <= bigSample {
			stop = bigSample
		}
		vals, err := list.Slice(ctx, at, stop, client.None)
		if err != nil {
			return nil, err
		}
		for i, val := range vals {
			sample = append(sample, entry{fmt.Sprintf("[%d]", at+i), len(val)})
		}
		if t.Entries <= bigSample {
			break
		}
	}
	return sample, nil
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
