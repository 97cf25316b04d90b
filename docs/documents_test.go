// Package docs holds the documents, and tests that read them.
package docs

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

const root = ".."

// TestLinks checks that every relative link in every document leads to a file, and its anchor to a
// heading.
func TestLinks(t *testing.T) {
	documents := filesOf(t, ".md")
	links := 0
	for name, text := range documents {
		for _, link := range linksIn(text) {
			path, anchor, hasAnchor := strings.Cut(link, "#")
			if strings.Contains(path, "://") || strings.HasPrefix(path, "mailto:") {
				continue
			}
			links++
			target := name
			if path != "" {
				target = filepath.Join(filepath.Dir(name), path)
			}
			if _, err := os.Stat(filepath.Join(root, target)); err != nil {
				t.Errorf("%s links to %s: there is no such file", name, link)
				continue
			}
			if hasAnchor && !anchorsOf(documents[target])[anchor] {
				t.Errorf("%s links to %s: %s has no such heading", name, link, target)
			}
		}
	}
	if links < 50 {
		t.Errorf("%d links found in %d documents", links, len(documents))
	}
}

// TestSizes holds the documents that a newcomer reads first to a length.
func TestSizes(t *testing.T) {
	for name, most := range map[string]int64{"README.md": 8192, "BENCHMARKS.md": 16384} {
		info, err := os.Stat(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() > most {
			t.Errorf("%s has %d bytes, the limit is %d", name, info.Size(), most)
		}
	}
}

// TestFigures checks that BENCHMARKS.md has the figures of README.md.
func TestFigures(t *testing.T) {
	documents := filesOf(t, ".md")
	_, text, _ := strings.Cut(documents["README.md"], "\n## Figures\n")
	text, _, _ = strings.Cut(text, "\n## ")
	figures := regexp.MustCompile(`\| ([0-9][0-9.,]*)`).FindAllStringSubmatch(text, -1)
	if len(figures) < 6 {
		t.Errorf("README.md has %d figures", len(figures))
	}
	for _, figure := range figures {
		if !strings.Contains(documents["BENCHMARKS.md"], figure[1]) {
			t.Errorf("README.md has the figure %s, which BENCHMARKS.md has not", figure[1])
		}
	}
}

// TestNamedTests checks that the tests and the scenarios of abuse that RELIABILITY.md and
// SECURITY.md name exist.
func TestNamedTests(t *testing.T) {
	exists := make(map[string]bool)
	declarations := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(|\bname: +"([a-z-]+)"`)
	for _, match := range declarations.FindAllStringSubmatch(sourceOf(t, ".go"), -1) {
		exists[match[1]+match[2]] = true
	}
	documents := filesOf(t, ".md")
	named := scenariosIn(documents["docs/SECURITY.md"])
	for _, document := range []string{"docs/RELIABILITY.md", "docs/SECURITY.md"} {
		tests := regexp.MustCompile(`\b(?:Test|Fuzz)[A-Z]\w+`).FindAllString(documents[document], -1)
		named = append(named, tests...)
	}
	for _, name := range named {
		if !exists[name] {
			t.Errorf("a document names %s, which does not exist", name)
		}
	}
	if len(named) < 150 {
		t.Errorf("%d names of tests found", len(named))
	}
}

// scenariosIn returns what the last cells of SECURITY.md's first table have in code.
func scenariosIn(text string) (names []string) {
	for line := range strings.Lines(text) {
		if row := strings.Split(line, "|"); len(row) == 6 {
			for _, match := range regexp.MustCompile("`([a-z-]+)`").FindAllStringSubmatch(row[4], -1) {
				names = append(names, match[1])
			}
		}
	}
	return names
}

// TestMessages checks that the messages in OPERATIONS.md's tables of troubleshooting are texts of
// the programs.
func TestMessages(t *testing.T) {
	source := sourceOf(t, ".go") + sourceOf(t, ".py")
	_, text, _ := strings.Cut(filesOf(t, ".md")["docs/OPERATIONS.md"], "\n## Troubleshooting\n")
	messages := 0
	for line := range strings.Lines(text) {
		row := strings.Split(line, "|")
		if len(row) != 4 {
			continue
		}
		for _, match := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(row[1], -1) {
			messages++
			if message := match[1]; !strings.Contains(source, message) {
				t.Errorf("OPERATIONS.md explains the message %q, which no program has", message)
			}
		}
	}
	if messages < 20 {
		t.Errorf("%d messages found", messages)
	}
}

// sourceOf returns the text of all files with the extension.
func sourceOf(t *testing.T, extension string) string {
	t.Helper()
	var all strings.Builder
	for _, text := range filesOf(t, extension) {
		all.WriteString(text)
	}
	return all.String()
}

// filesOf returns the text of every file with the extension by its path from the root.
func filesOf(t *testing.T, extension string) map[string]string {
	t.Helper()
	files := make(map[string]string)
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != root && strings.HasPrefix(entry.Name(), "."):
			return filepath.SkipDir
		case filepath.Ext(path) != extension:
			return nil
		}
		text, err := os.ReadFile(path)
		files[strings.TrimPrefix(path, root+"/")] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

var (
	fenced    = regexp.MustCompile("(?ms)^```.*?^```")
	code      = regexp.MustCompile("`[^`\n]*`")
	target    = regexp.MustCompile(`\]\(([^)\s]+)\)|(?:src|href)="([^"]+)"`)
	headings  = regexp.MustCompile(`(?m)^#+ +(.+?)\s*$`)
	linkTexts = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
)

// linksIn returns the targets of a document's links and pictures, except those in code.
func linksIn(text string) (links []string) {
	text = code.ReplaceAllString(fenced.ReplaceAllString(text, ""), "")
	for _, match := range target.FindAllStringSubmatch(text, -1) {
		links = append(links, match[1]+match[2])
	}
	return links
}

// anchorsOf returns the anchors that Git hosts give a document's headings: lower case, blanks as
// hyphens, no other punctuation, and a number for each repetition.
func anchorsOf(text string) map[string]bool {
	anchors := make(map[string]bool)
	for _, match := range headings.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
		title := linkTexts.ReplaceAllString(match[1], "$1")
		anchor := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, title)
		unique := anchor
		for n := 1; anchors[unique]; n++ {
			unique = fmt.Sprintf("%s-%d", anchor, n)
		}
		anchors[unique] = true
	}
	return anchors
}
