package page

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"strings"
)

// Markers around the text that is made from results: <!-- bench NAME --> and <!-- bench end -->.
const (
	markerFront = "<!-- bench "
	markerBack  = " -->"
	markerEnd   = markerFront + "end" + markerBack
)

// machineMarker is the marker of the table that says where all sections come from.
const machineMarker = "machine"

// FillIn puts a chart, a caption and a table for each question of the report between its markers in
// a document. Folder is where the charts are, as seen from the document; tables is the file of
// WriteTables, seen in the same way. A marker without an answer keeps its text. Errors: a marker
// that does not end; an answer without a marker.
func (r *Report) FillIn(document []byte, folder, tables string) ([]byte, error) {
	var out []byte
	var used []string
	for {
		at := bytes.Index(document, []byte(markerFront))
		if at < 0 {
			break
		}
		marker, rest, ok := bytes.Cut(document[at+len(markerFront):], []byte(markerBack))
		end := bytes.Index(rest, []byte(markerEnd))
		if !ok || end < 0 {
			return nil, fmt.Errorf("no %q after marker %q", markerEnd, markerFront+string(marker)+markerBack)
		}
		name := string(marker)
		out = append(append(out, document[:at]...), markerFront+name+markerBack...)
		if text, answered := r.text(name, folder, tables); answered {
			out = append(out, text...)
			used = append(used, name)
		} else {
			out = append(out, rest[:end]...)
		}
		out = append(out, markerEnd...)
		document = rest[end+len(markerEnd):]
	}
	for _, a := range r.answers {
		if !slices.Contains(used, a.name) {
			return nil, fmt.Errorf(
				"no marker for %s: put %q and %q into the document", a.name, markerFront+a.name+markerBack, markerEnd,
			)
		}
	}
	return append(out, document...), nil
}

// text returns what stands between the markers of that name.
func (r *Report) text(name, folder, tables string) (text string, answered bool) {
	var b strings.Builder
	if name == machineMarker {
		b.WriteString("\n\n")
		r.origin.markdown(&b)
		b.WriteString("\n")
		return b.String(), len(r.answers) > 0
	}
	at := slices.IndexFunc(r.answers, func(a *answer) bool { return a.name == name })
	if at < 0 {
		return "", false
	}
	a := r.answers[at]
	b.WriteString("\n\n")
	if len(a.pictures) > 0 {
		fmt.Fprintf(&b, "![%s](%s.svg)\n\n", a.title, path.Join(folder, a.pictures[0].Name))
	}
	b.WriteString(a.caption())
	if tables != "" {
		fmt.Fprintf(&b, " [Commands](%s#%s).", tables, a.found[0].Name)
	}
	b.WriteString("\n\n")
	b.WriteString(a.table.text())
	b.WriteString("\n")
	return b.String(), true
}

// caption says what a table's figures have in common.
func (a *answer) caption() string {
	text := a.medians
	if len(a.shared) > 0 {
		text += " with `" + strings.Join(a.shared, " ") + "`"
	}
	return text + ": " + strings.Join(versions(&a.results), ", ") + "."
}

// markdown writes the origin as a table.
func (o *origin) markdown(b *strings.Builder) {
	t := table{Heads: []string{"", ""}}
	for _, line := range []struct {
		head  string
		texts []string
	}{{"machine", o.Machines}, {"generators", o.Generators}, {"measured", o.Days}} {
		t.Lines = append(t.Lines, cells(line.head, strings.Join(line.texts, "; ")))
	}
	b.WriteString(strings.Replace(t.text(), "--:|", "---|", 1))
}

// Tables returns a Markdown document with all figures, all charts and the commands that made them.
// The charts are files in the same folder.
func (r *Report) Tables() []byte {
	var b strings.Builder
	b.WriteString(tablesHead)
	r.origin.markdown(&b)
	written := map[string]bool{}
	for _, a := range r.answers {
		for i, s := range a.found {
			if written[s.Name] {
				continue // of a question before
			}
			written[s.Name] = true
			fmt.Fprintf(&b, "\n## %s\n", s.Name)
			if i == 0 {
				fmt.Fprintf(&b, "\n%s. %s\n", a.title, a.note)
			}
			s.markdown(&b)
			if i == 0 {
				a.writePictures(&b)
			}
		}
	}
	return []byte(b.String())
}

//nolint:lll // a document
const tablesHead = `# Raw results

` + "`make bench-report`" + ` writes this file, the charts, ` + "`report.html`" + ` and the summaries of [BENCHMARKS.md](../../BENCHMARKS.md) from the
` + "`.jsonl`" + ` files in this folder. ` + "`make bench-compare` and `make bench-python`" + ` measure those: a line for each run, with its whole
histogram.

Each figure is the median of its runs, max is the highest of all runs. "x first" is the ratio of the throughput to that of
the first server with the same workload. Server and client CPU are user and system time per operation, server MiB is resident memory.

## Servers

` + "`make bench-compare`" + ` starts them on these ports of 127.0.0.1 and stops them. ` + "`.ci/peers-compare`" + ` has the ports of single sections and
says what REPEAT, D, ENTRIES and ONLY mean. Each process needs 12,064 file descriptors (` + "`ulimit -n`" + `).

| server | started as |
|---|---|
| cyberdb-fast | ` + "`cyberdb-fast -p 17980 -c 12000 --dir EMPTY --no-journal --cycle 0`" + ` |
| Redis (Debian) | ` + "`redis-server --port 17379 --bind 127.0.0.1 --save '' --appendonly no --maxclients 12000`" + ` |
| Valkey, if it is on PATH | ` + "`valkey-server --port 17380 --bind 127.0.0.1 --save '' --appendonly no --maxclients 12000`" + ` |
| memcached (Debian) | ` + "`memcached -l 127.0.0.1 -p 17211 -U 0 -m 8192 -c 12000 -t 2`" + ` |
| cyberdb-fast --legacy | ` + "`cyberdb-fast -p 17988 --legacy --no-journal --cycle 0`, and `-p 17989` with `--encrypt`" + ` |
| the original CyberDB 0.9.3 (PyPI) | ` + "`Server().run(port=17981, max_con=12000)`, and `run(port=17982, max_con=12000, encrypt=True)`" + ` |
| gnet echo | ` + "`cyberdb-bench` starts it, with the number of event loops in the target" + ` |

## Machine

`

func (s *Section) markdown(b *strings.Builder) {
	if list := servers(&s.Results); len(list) > 0 {
		fmt.Fprintf(b, "\nServers: %s.\n", strings.Join(list, "; "))
	}
	for _, t := range s.rawTables() {
		fmt.Fprintf(b, "\n%s:\n\n%s", t.Title, t.text())
	}
	if s.Notes != "" {
		fmt.Fprintf(b, "\n`%s.txt`:\n\n```\n%s\n```\n", s.Name, strings.TrimSpace(s.Notes))
	}
	if commands := s.commands(); len(commands) > 0 {
		fmt.Fprintf(b, "\nMade by\n\n    %s\n", strings.Join(commands, "\n    "))
	}
}

func (a *answer) writePictures(b *strings.Builder) {
	for _, p := range a.pictures {
		fmt.Fprintf(b, "\n![%s](%s.svg)\n", p.Name, p.Name)
	}
}
