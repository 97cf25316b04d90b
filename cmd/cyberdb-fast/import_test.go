package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cyberdb-fast/client"
	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/codec/legacy"
	"cyberdb-fast/codec/secure"
	"cyberdb-fast/loop"
)

// TestImportedIsServed: a server that starts with an imported file has the old one's tables, with
// all keys and values, in order.
func TestImportedIsServed(t *testing.T) {
	for _, name := range []string{"all_basic_types", "extended_types", "large_20000", "tutorial", "never_started"} {
		from := filepath.Join(root, "codec/legacy/testdata/cdb", name+".cdb")
		to := filepath.Join(t.TempDir(), "data.cdb")
		if _, err := importFile(from, to, legacy.RefuseClasses, nil); err != nil {
			t.Fatal(err)
		}
		old, err := legacy.ParseFile(mustRead(t, from), legacy.RefuseClasses)
		if err != nil {
			t.Fatal(err)
		}
		srv, err := loop.Start(loop.Config{
			Addr: "127.0.0.1:0", Password: "secret", KDF: secure.KDF{LogN: secure.MinLogN}, Data: loop.Data{File: to},
			Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		options := client.Options{Password: "secret", DialTimeout: testTimeout}
		db, err := client.Open(t.Context(), "cyberdb://"+srv.Addr().String(), &options)
		if err != nil {
			t.Fatal(err)
		}
		there, err := db.Tables(t.Context())
		if err != nil || len(there) != len(old.Tables) {
			t.Errorf("%s: %v, %v", name, there, err)
		}
		for i := range old.Tables {
			want := &old.Tables[i]
			if i < len(there) && there[i].Name != want.Name {
				t.Errorf("%s: table %d is %q, not %q", name, i, there[i].Name, want.Name)
			}
			sameTable(t, db, want)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		if err := srv.Stop(ctx); err != nil {
			t.Error(err)
		}
		cancel()
	}
}

func mustRead(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestImportNamesTheLineOfALongNumber: digits that no value has are refused before they are
// converted, which takes seconds.
func TestImportNamesTheLineOfALongNumber(t *testing.T) {
	const head = `{"cyberdb-fast":"jsonl","version":1,"tables":1,"items":1}` + "\n" + `{"table":"l","kind":"list","items":1}` + "\n"
	digits := strings.Repeat("9", 3_000_000)
	for _, number := range []string{digits, "-" + digits, `{"$int":"` + digits + `"}`, "1." + digits, "1e" + digits, `{"$decimal":"` + digits + `"}`} {
		dir := t.TempDir()
		from, to := filepath.Join(dir, "numbers.jsonl"), filepath.Join(dir, "data.cdb")
		if err := os.WriteFile(from, []byte(head+`{"value":`+number+"}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		_, err := importFile(from, to, legacy.RefuseClasses, nil)
		if took := time.Since(
			start,
		); err == nil || !strings.Contains(err.Error(), "line 3: ") || len(err.Error()) > 400 ||
			took > 2*time.Second {
			t.Errorf("%.20s...: after %v: %.400v", number, took, err)
		}
		if _, err := os.Stat(to); err == nil {
			t.Error("a file was made")
		}
	}
}

// sameTable compares a table of the server with one of an old file, encoding by encoding.
func sameTable(t *testing.T, db *client.Client, want *legacy.FileTable) {
	t.Helper()
	var got []any
	var err error
	if want.Kind == legacy.Dict {
		var items []client.Item[any, any]
		items, err = client.DictOf[any, any](db, want.Name).Items(t.Context())
		for _, item := range items {
			got = append(got, govalue.Tuple{item.Key, item.Value})
		}
	} else {
		got, err = client.ListOf[any](db, want.Name).Values(t.Context())
	}
	if err != nil || len(got) != want.Len() {
		t.Errorf("table %q: %d entries, not %d, %v", want.Name, len(got), want.Len(), err)
		return
	}
	for i, entry := range got {
		parts, isItem := entry.(govalue.Tuple)
		if want.Kind == legacy.List || !isItem {
			parts = govalue.Tuple{entry}
		}
		var encoded []byte
		for _, part := range parts {
			if encoded, err = govalue.Append(encoded, part); err != nil {
				t.Fatal(err)
			}
		}
		_, _, old, err := want.Entry(nil, i)
		if err != nil || !bytes.Equal(encoded, old) {
			t.Errorf("table %q, entry %d: %x, not %x, %v", want.Name, i, encoded, old, err)
		}
	}
}
