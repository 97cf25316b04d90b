package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"cyberdb-fast/bench"
	"cyberdb-fast/bench/page"
)

// reportCommand is the first argument that asks for tables and pictures from results.
const reportCommand = "report"

const reportHead = `cyberdb-bench report makes tables and pictures from results that --out kept.

    cyberdb-bench report --html report.html results/*.jsonl
    cyberdb-bench report --markdown BENCHMARKS.md --pictures bench/results bench/results/*.jsonl

A file NAME.jsonl fills what stands between <!-- bench NAME --> and <!-- bench end --> in the Markdown file.

`

// makeReport does what the arguments behind reportCommand say.
func makeReport(args []string, stdout io.Writer) error {
	var markdown, html, pictures string
	f := pflag.NewFlagSet(reportCommand, pflag.ContinueOnError)
	f.SortFlags = false
	f.Usage = func() {}
	f.StringVar(&markdown, "markdown", "", "Markdown file to put the tables into")
	f.StringVar(&pictures, "pictures", "", "folder for its pictures, relative to it")
	f.StringVar(&html, "html", "", "file to write with all tables and pictures")
	switch err := f.Parse(args); {
	case errors.Is(err, pflag.ErrHelp):
		fmt.Fprint(stdout, reportHead+f.FlagUsages())
		return nil
	case err != nil:
		return &bench.UsageError{Text: err.Error()}
	case f.NArg() == 0 || (markdown == "" && html == ""):
		return usagef("report needs files with results, and --markdown or --html")
	}
	sections, err := readSections(f.Args())
	if err != nil {
		return err
	}
	if html != "" {
		var runs []*bench.Report
		for i := range sections {
			runs = append(runs, sections[i].Results.Runs...)
		}
		if err := writeHTML(html, bench.NewSeries(runs)); err != nil {
			return err
		}
	}
	if markdown == "" {
		return nil
	}
	return fillMarkdown(markdown, pictures, sections)
}

// readSections reads each file; its name without the ending is its section's.
func readSections(files []string) (sections []page.Section, err error) {
	for _, path := range files {
		file, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		name := filepath.Base(path)
		s := page.Section{Name: strings.TrimSuffix(name, filepath.Ext(name))}
		err = s.Results.ReadResults(file)
		file.Close()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		sections = append(sections, s)
	}
	return sections, nil
}

const readable = 0o644 // for everybody, as reports are

func writeHTML(path string, series *bench.Series) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, readable)
	if err != nil {
		return err
	}
	return errors.Join(page.WriteHTML(file, series), file.Close())
}

// fillMarkdown puts the sections into the file, and the pictures that the file is to show beside
// it.
func fillMarkdown(path, folder string, sections []page.Section) error {
	document, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if folder != "" {
		for i := range sections {
			if err := drawSection(filepath.Join(filepath.Dir(path), folder), &sections[i]); err != nil {
				return err
			}
		}
	}
	document, err = page.FillIn(document, sections, filepath.ToSlash(folder))
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, document, readable)
}

// savingSection is the section of runs in whose middle something happens: it shows latency over
// time.
const savingSection = "saving"

// drawSection writes the pictures that say more than the section's table: throughput by connections
// and pipeline, percentiles of open loops, latency over time around a save.
func drawSection(folder string, s *page.Section) error {
	all, err := page.Pictures(bench.NewSeries(s.Results.Runs))
	if err != nil {
		return err
	}
	openLoop := slices.ContainsFunc(s.Results.Runs, func(r *bench.Report) bool { return r.Rate > 0 })
	for _, p := range all {
		kind, _, _ := strings.Cut(p.Name, "-")
		if kind == "time" && s.Name != savingSection || (kind == "percentiles" && !openLoop) {
			continue
		}
		if err := os.WriteFile(filepath.Join(folder, s.Name+"-"+p.Name+".svg"), p.SVG, readable); err != nil {
			return err
		}
		s.Pictures = append(s.Pictures, p)
	}
	return nil
}
