package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	pathpkg "path"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"

	"cyberdb-fast/bench"
	"cyberdb-fast/bench/page"
)

// reportCommand is the first argument that asks for tables and charts from results.
const reportCommand = "report"

const reportHead = `cyberdb-bench report makes tables and charts from results that --out kept.

    cyberdb-bench report --html report.html results/*.jsonl
    cyberdb-bench report --markdown BENCHMARKS.md --tables results/README.md results/*.jsonl

In the file of --markdown, each summary stands between <!-- bench NAME --> and <!-- bench end -->.

`

// reportFlags are the files that a report writes, "" for none.
type reportFlags struct{ markdown, tables, html string }

// makeReport does what the arguments after reportCommand say.
func makeReport(args []string, stdout io.Writer) error {
	var to reportFlags
	f := pflag.NewFlagSet(reportCommand, pflag.ContinueOnError)
	f.SortFlags = false
	f.Usage = func() {}
	f.StringVar(&to.markdown, "markdown", "", "Markdown file to put the summaries into")
	f.StringVar(
		&to.tables,
		"tables",
		"",
		"Markdown file to write with all tables and commands; the charts go into its folder",
	)
	f.StringVar(&to.html, "html", "", "HTML file to write with everything")
	switch err := f.Parse(args); {
	case errors.Is(err, pflag.ErrHelp):
		fmt.Fprint(stdout, reportHead+f.FlagUsages())
		return nil
	case err != nil:
		return &bench.UsageError{Text: err.Error()}
	case f.NArg() == 0 || to == (reportFlags{}):
		return usagef("report needs files with results, and --markdown, --tables or --html")
	case to.markdown != "" && to.tables == "":
		return usagef("--markdown needs --tables, which writes the charts")
	}
	sections, err := readSections(f.Args())
	if err != nil {
		return err
	}
	r, err := page.NewReport(sections)
	if err != nil {
		return err
	}
	if to.html != "" {
		if err := writeHTML(to.html, r); err != nil {
			return err
		}
	}
	if to.tables != "" {
		if err := writeTables(to.tables, r); err != nil {
			return err
		}
	}
	if to.markdown == "" {
		return nil
	}
	return fillMarkdown(to.markdown, to.tables, r)
}

// readSections reads each file and NAME.txt, if there is one; its name without the ending is its
// section's.
func readSections(files []string) (sections []page.Section, err error) {
	for _, path := range files {
		file, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		bare := strings.TrimSuffix(path, filepath.Ext(path))
		s := page.Section{Name: filepath.Base(bare)}
		err = s.Results.ReadResults(file)
		file.Close()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		notes, err := os.ReadFile(bare + ".txt")
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		s.Notes = string(notes)
		sections = append(sections, s)
	}
	return sections, nil
}

const readable = 0o644 // for all users, as reports are

func writeHTML(path string, r *page.Report) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, readable)
	if err != nil {
		return err
	}
	return errors.Join(r.WriteHTML(file), file.Close())
}

// writeTables writes the file with all tables, and the charts into its folder.
func writeTables(path string, r *page.Report) error {
	for _, p := range r.Pictures() {
		if err := os.WriteFile(filepath.Join(filepath.Dir(path), p.Name+".svg"), p.SVG, readable); err != nil {
			return err
		}
	}
	return os.WriteFile(path, r.Tables(), readable)
}

// fillMarkdown puts the summaries into the file. They link to the tables and to the charts in the
// folder of the tables.
func fillMarkdown(path, tables string, r *page.Report) error {
	document, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	link, err := filepath.Rel(filepath.Dir(path), tables)
	if err != nil {
		return err
	}
	link = filepath.ToSlash(link)
	document, err = r.FillIn(document, pathpkg.Dir(link), link)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, document, readable)
}
