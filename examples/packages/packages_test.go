package main

import (
	"cmp"
	"context"
	"errors"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"testing"

	"cyberdb-fast/loop/looptest"
)

// part is how many records the tests load.
const part = 3000

// TestAnswers loads a part of each source that this machine has, and compares the server's answers
// with what the records say.
func TestAnswers(t *testing.T) {
	sources := map[string]func(context.Context, func(Package) error) error{"go": readGo}
	if _, err := exec.LookPath("apt-cache"); err == nil {
		sources["apt"] = readApt
	}
	for name, source := range sources {
		t.Run(name, func(t *testing.T) {
			var records []Package
			err := source(t.Context(), func(p Package) error {
				if records = append(records, p); len(records) == part {
					return errEnough
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if name == "go" && len(records) != part {
				t.Fatalf("%d records", len(records))
			}
			if len(records) > 0 { // apt may have no index
				checkAnswers(t, records)
			}
		})
	}
}

func checkAnswers(t *testing.T, records []Package) {
	ctx := t.Context()
	set := tablesOf(looptest.Client(t))
	sum := 0
	for range 2 { // loading replaces what is there
		sum = 0
		if err := set.load(ctx, records, func(n int) { sum += n }); err != nil {
			t.Fatal(err)
		}
	}
	if sum != len(records) {
		t.Errorf("progress reported %d of %d records", sum, len(records))
	}

	byName := map[string]Package{}
	counts := map[string]int{}
	for _, p := range records {
		byName[p.Name] = p // of several with one name, the last
	}
	for _, p := range byName {
		counts[p.Section]++
	}
	if n, err := set.packages.Len(ctx); err != nil || n != len(byName) {
		t.Errorf("%d names, %v; want %d", n, err, len(byName))
	}
	for _, p := range records[:100] {
		if got, err := set.packages.Get(ctx, p.Name); err != nil || !reflect.DeepEqual(got, byName[p.Name]) {
			t.Errorf("got %+v, %v; want %+v", got, err, byName[p.Name])
		}
	}
	sections, err := set.sections(ctx)
	if err != nil || len(sections) != len(counts) {
		t.Errorf("%d sections, %v; want %d", len(sections), err, len(counts))
	}
	for i, s := range sections {
		if s.count != counts[s.name] || i > 0 && s.count > sections[i-1].count {
			t.Errorf("section %d is %v, want %d", i, s, counts[s.name])
		}
	}

	sizes := sizesOf(records)
	slices.SortFunc(sizes, func(a, b Size) int {
		return cmp.Or(cmp.Compare(b.Installed, a.Installed), cmp.Compare(a.Name, b.Name))
	})
	if got, err := set.largest(ctx, 20); err != nil || !slices.Equal(got, sizes[:min(20, len(sizes))]) {
		t.Errorf("largest: %v, %v; want %v", got, err, sizes[:20])
	}
	for _, prefix := range []string{"", records[len(records)/2].Name, records[0].Name[:1], "\x00", "\U0010ffff"} {
		var want []string
		for _, p := range records {
			if strings.HasPrefix(p.Name, prefix) {
				want = append(want, p.Name)
			}
		}
		slices.Sort(want)
		if got, err := set.withPrefix(ctx, prefix); err != nil || !slices.Equal(got, want) {
			t.Errorf("prefix %q: %d names, %v; want %d", prefix, len(got), err, len(want))
		}
	}
}

func TestRun(t *testing.T) {
	srv := looptest.Start(t)
	if err := run(t.Context(), srv.URL(), 500, "g"); err != nil {
		t.Fatal(err)
	}
}

func TestParseIndex(t *testing.T) {
	const text = "Package: a\nVersion: 1:2-3\nInstalled-Size: 7\nSection: net\nDepends: b (>= 1), c | d\n" +
		"Description: first line\n more of it\n .\n Package: not a field\n\n\n" +
		"Package: b\nDepends:\n"
	want := []Package{
		{Name: "a", Version: "1:2-3", Installed: 7, Section: "net", Depends: []string{"b", "c"}, Summary: "first line"},
		{Name: "b"},
	}
	var got []Package
	collect := func(p Package) error { got = append(got, p); return nil }
	if err := parseIndex(strings.NewReader(text), collect); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v\nwant %+v", got, err, want)
	}
	for text, want := range map[string]string{
		"Package: a\nrubbish\n":                                      "line 2: no field",
		"Package: a\nInstalled-Size: x\n":                            "line 2: ",
		"\n\nPackage: " + strings.Repeat("a", 2<<20):                 "line 3: ",
		"Package: a\nInstalled-Size: 1" + "0000000000000000000000\n": "line 2: ",
	} {
		if err := parseIndex(strings.NewReader(text), collect); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%.40q: got %v, want %q", text, err, want)
		}
	}
	stop := errors.New("stop")
	if err := parseIndex(strings.NewReader(text), func(Package) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("got %v, want the reader's own error", err)
	}
}

// FuzzParseIndex: no index makes the parser do more than fail, and every record has a name.
func FuzzParseIndex(f *testing.F) {
	f.Add("Package: a\nDepends: b (>= 1), c\n\nPackage: b\nInstalled-Size: -1\n x\n")
	f.Fuzz(func(t *testing.T, text string) {
		_ = parseIndex(strings.NewReader(text), func(p Package) error { // any error but no panic
			if p.Name == "" {
				t.Errorf("a record without a name: %+v", p)
			}
			return nil
		})
	})
}
