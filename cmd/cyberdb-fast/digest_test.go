package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDigestOfGoldenFile: the digest of the file that FORMAT.md has as its example is the one that
// FORMAT.md says, whatever the codec; a file with a flipped bit has none.
func TestDigestOfGoldenFile(t *testing.T) {
	_, example, _ := strings.Cut(document(t, "persist/FORMAT.md"), "\n## Digest\n")
	_, sum, found := strings.Cut(example, "\n    sum")
	sum, _, _ = strings.Cut(strings.TrimSpace(sum), "\n")
	want := "digest " + sum + " lsn 1099511627776 tables 3 items 5\n"
	for _, codec := range []string{"raw", "s2", "zstd"} {
		name, err := filepath.Abs(filepath.Join(root, "persist/testdata/v3-"+codec+".cdb"))
		if err != nil {
			t.Fatal(err)
		}
		if got := command(t, "check", "--digest", name); !found || got != want {
			t.Errorf("%s: %q, FORMAT.md says %q", codec, got, want)
		}
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		data[len(data)/2] ^= 1
		damaged := filepath.Join(t.TempDir(), "damaged.cdb")
		if err := os.WriteFile(damaged, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if got := command(t, "check", "--digest", damaged); strings.Contains(got, "digest ") || got == "" {
			t.Errorf("damaged %s: %q", codec, got)
		}
	}
	for file, counts := range map[string]string{
		"v3-expiry.cdb": "tables 1 items 2", "v3-queue.cdb": "tables 2 items 5",
	} {
		_, sum, _ = strings.Cut(example, "The digest of testdata/"+file+" is ")
		sum, _, _ = strings.Cut(sum, ".")
		want = "digest " + sum + " lsn 1099511627776 " + counts + "\n"
		name, err := filepath.Abs(filepath.Join(root, "persist/testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		if got := command(t, "check", "--digest", name); got != want {
			t.Errorf("%s: %q, FORMAT.md says %q", file, got, want)
		}
	}
}
