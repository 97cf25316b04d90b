// Package page writes what the load generator has measured for people: one HTML file with pictures,
// which needs nothing from elsewhere, and the tables of a Markdown file.
package page

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"slices"

	"cyberdb-fast/bench"
)

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// content is what page.html shows.
type content struct {
	Machine  bench.Machine
	Servers  []string
	Commands []string
	Heads    []string
	Groups   []group
	Pictures []Picture
}

// group is a workload: its table's lines are its targets.
type group struct {
	Title string
	Lines [][]string
}

// WriteHTML writes a whole HTML document: machine, tables, pictures and the commands that made
// them. Errors: of w, and of reports without a histogram.
func WriteHTML(w io.Writer, series *bench.Series) error {
	pictures, err := Pictures(series)
	if err != nil {
		return err
	}
	c := content{
		Heads:    bench.SummaryHeads(),
		Pictures: pictures,
		Groups:   groups(series.Summary, func(s *bench.Summary) string { return s.Workload }),
	}
	for _, r := range series.Runs {
		c.Machine = r.Machine
		c.Servers = addNew(c.Servers, r.Server)
		c.Commands = addNew(c.Commands, r.Command)
	}
	if err := pageTemplate.Execute(w, c); err != nil {
		return fmt.Errorf("writing the page: %w", err)
	}
	return nil
}

// groups puts summaries of one workload together.
func groups[S interface{ Cells() []string }](all []S, workload func(S) string) (found []group) {
	for _, s := range all {
		title := workload(s)
		at := slices.IndexFunc(found, func(g group) bool { return g.Title == title })
		if at < 0 {
			at = len(found)
			found = append(found, group{Title: title})
		}
		found[at].Lines = append(found[at].Lines, s.Cells())
	}
	return found
}

func addNew(all []string, one string) []string {
	if one == "" || slices.Contains(all, one) {
		return all
	}
	return append(all, one)
}
