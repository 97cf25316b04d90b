package main

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sort"
	"strings"
	"time"

	"cyberdb-fast/client"
)

// batch is the number of records in one request, batches the number of requests in one pipeline.
const (
	batch   = 250
	batches = 8
)

// Size is one element of the list.
type Size struct {
	Name      string `cyberdb:"name"`
	Installed int64  `cyberdb:"installed"` // KiB
}

// tables are the two tables that hold the records.
type tables struct {
	db       *client.Client
	packages *client.Dict[string, Package]
	sizes    *client.List[Size]
}

func tablesOf(db *client.Client) *tables {
	return &tables{db, client.DictOf[string, Package](db, "packages"), client.ListOf[Size](db, "package sizes")}
}

// load replaces the contents of the tables, several requests at a time, and prints its progress.
func (t *tables) load(ctx context.Context, records []Package, loaded func(n int)) error {
	if _, err := t.packages.Ensure(ctx); err != nil {
		return err
	}
	if _, err := t.sizes.Ensure(ctx); err != nil {
		return err
	}
	p := t.db.Pipeline()
	t.packages.With(p).Clear()
	t.sizes.With(p).Clear()
	waiting := 0
	for part := range slices.Chunk(records, batch) {
		t.packages.With(p).Update(byName(part))
		t.sizes.With(p).Extend(sizesOf(part)...)
		if waiting += len(part); waiting < batch*batches {
			continue
		}
		if err := p.Do(ctx); err != nil {
			return err
		}
		loaded(waiting)
		waiting = 0
	}
	if err := p.Do(ctx); err != nil {
		return err
	}
	loaded(waiting)
	return nil
}

func byName(records []Package) iter.Seq2[string, Package] {
	return func(yield func(string, Package) bool) {
		for _, p := range records {
			if !yield(p.Name, p) {
				return
			}
		}
	}
}

func sizesOf(records []Package) []Size {
	sizes := make([]Size, len(records))
	for i, p := range records {
		sizes[i] = Size{p.Name, p.Installed}
	}
	return sizes
}

// section is a section and its number of records.
type section struct {
	name  string
	count int
}

// sections counts the records of each section in one streamed read. The largest section comes
// first.
func (t *tables) sections(ctx context.Context) ([]section, error) {
	counts := map[string]int{}
	items, failed := t.packages.All(ctx)
	for _, p := range items {
		counts[p.Section]++
	}
	if err := failed(); err != nil {
		return nil, err
	}
	all := make([]section, 0, len(counts))
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		all = append(all, section{name, counts[name]})
	}
	slices.SortStableFunc(all, func(a, b section) int { return cmp.Compare(b.count, a.count) })
	return all, nil
}

// largest lets the server sort the list by size, then by name, and returns the first n elements.
func (t *tables) largest(ctx context.Context, n int) ([]Size, error) {
	if err := t.sizes.Sort(
		ctx,
		client.Tuple(client.By("installed").Neg(), client.By("name")),
		client.Ascending,
	); err != nil {
		return nil, err
	}
	return t.sizes.Slice(ctx, client.None, n, client.None)
}

// withPrefix lets the server sort the list by name and returns, in order, the names that begin with
// prefix. It finds both ends by binary search, in some 2 log2(length) small requests.
func (t *tables) withPrefix(ctx context.Context, prefix string) ([]string, error) {
	if err := t.sizes.Sort(ctx, client.By("name"), client.Ascending); err != nil {
		return nil, err
	}
	n, err := t.sizes.Len(ctx)
	if err != nil {
		return nil, err
	}
	firstThat := func(holds func(name string) bool) int {
		return sort.Search(n, func(i int) bool {
			size, getErr := t.sizes.Get(ctx, i)
			if getErr != nil {
				err = getErr
			}
			return holds(size.Name)
		})
	}
	start := firstThat(func(name string) bool { return name >= prefix })
	stop := firstThat(func(name string) bool { return name >= prefix && !strings.HasPrefix(name, prefix) })
	if err != nil {
		return nil, err
	}
	found, err := t.sizes.Slice(ctx, start, stop, client.None)
	names := make([]string, len(found))
	for i, size := range found {
		names[i] = size.Name
	}
	return names, err
}

// ask prints the answers to a few questions, and how long each took.
func (t *tables) ask(ctx context.Context, name, prefix string) error {
	begin := time.Now()
	count, err := t.packages.Len(ctx)
	if err != nil {
		return err
	}
	printStep(begin, "names: %d", count)

	begin = time.Now()
	p, err := t.packages.Get(ctx, name)
	if err != nil {
		return err
	}
	printStep(begin, "%s %s: %s (%d KiB, needs %d others)", p.Name, p.Version, p.Summary, p.Installed, len(p.Depends))

	begin = time.Now()
	sections, err := t.sections(ctx)
	if err != nil {
		return err
	}
	printStep(begin, "sections: %d, the largest are %s", len(sections), firstOf(sections, 5))

	begin = time.Now()
	sizes, err := t.largest(ctx, 5)
	if err != nil {
		return err
	}
	printStep(begin, "largest: %s", firstOf(sizes, 5))

	begin = time.Now()
	names, err := t.withPrefix(ctx, prefix)
	if err != nil {
		return err
	}
	printStep(begin, "names with %q: %d, the first are %s", prefix, len(names), firstOf(names, 5))
	return nil
}

// firstOf lists the first n elements.
func firstOf[T any](all []T, n int) string {
	texts := make([]string, min(n, len(all)))
	for i := range texts {
		texts[i] = fmt.Sprint(all[i])
	}
	return strings.Join(texts, ", ")
}

// String returns the section and its count.
func (s section) String() string { return fmt.Sprintf("%s (%d)", s.name, s.count) }

// String returns the name and the size.
func (s Size) String() string { return fmt.Sprintf("%s (%d MiB)", s.Name, s.Installed/1024) }
