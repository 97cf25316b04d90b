// Package page writes what the load generator has measured for people: an HTML file that needs no
// other file, charts, the summaries of BENCHMARKS.md and a Markdown file with all tables.
package page

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
)

// headline is the chart that stands first, in the page and in README.md.
const headline = "headline"

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// Report is results in the order of the questions that they answer.
type Report struct {
	answers []*answer
	origin  origin
}

// NewReport summarizes the sections and draws the charts. Errors: of runs whose histogram cannot be
// read.
func NewReport(sections []Section) (*Report, error) {
	all, err := answers(sections)
	if err != nil {
		return nil, err
	}
	return &Report{answers: all, origin: originOf(sections)}, nil
}

// Pictures returns all charts.
func (r *Report) Pictures() (all []Picture) {
	for _, a := range r.answers {
		all = append(all, a.pictures...)
	}
	return all
}

// WriteHTML writes a whole HTML document: a chart, a summary, all tables and the commands for each
// question. Errors: of w.
func (r *Report) WriteHTML(w io.Writer) error {
	if err := pageTemplate.Execute(w, r); err != nil {
		return fmt.Errorf("writing the page: %w", err)
	}
	return nil
}

// The methods below are for page.html.

// Origin says where and when everything was measured.
func (r *Report) Origin() origin { return r.origin }

// Headline is the chart at the top of the page, nil if dicts were not measured.
func (r *Report) Headline() *Picture {
	for _, a := range r.answers {
		for i := range a.pictures {
			if a.pictures[i].Name == headline {
				return &a.pictures[i]
			}
		}
	}
	return nil
}

// Answers are the sections of the page.
func (r *Report) Answers() []*answer { return r.answers }

// Name is the anchor of the section.
func (a *answer) Name() string { return a.name }

// Title is the heading of the section.
func (a *answer) Title() string { return a.title }

// Note says what was measured.
func (a *answer) Note() string { return a.note }

// Legend says what the cells of the table are.
func (a *answer) Legend() string { return a.legend }

// Medians says how many runs a figure stands for.
func (a *answer) Medians() string { return a.medians }

// Shared is what all workloads of the table have in common.
func (a *answer) Shared() []string { return a.shared }

// Table is the summary.
func (a *answer) Table() table { return a.table }

// Charts are the pictures but for the headline; the first is the one that answers the question.
func (a *answer) Charts() (all []Picture) {
	for _, p := range a.pictures {
		if p.Name != headline {
			all = append(all, p)
		}
	}
	return all
}

// Servers describes the servers, with their addresses.
func (a *answer) Servers() []string { return servers(&a.results) }

// Origin says where and when the section was measured.
func (a *answer) Origin() (o origin) {
	o.add(&a.results)
	return o
}

// Sections have the runs.
func (a *answer) Sections() []*Section { return a.found }

// Tables are all figures of the section.
func (s *Section) Tables() []table { return s.rawTables() }

// Commands made the results.
func (s *Section) Commands() []string { return s.commands() }
