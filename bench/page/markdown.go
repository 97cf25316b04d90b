package page

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

	"cyberdb-fast/bench"
)

// Section is what one file of results becomes in a Markdown document, and the pictures that it
// shows.
type Section struct {
	Name     string
	Results  bench.Results
	Pictures []Picture
}

// Markers around the text that is made from results: <!-- bench NAME --> and <!-- bench end -->.
const (
	markerFront = "<!-- bench "
	markerBack  = " -->"
	markerEnd   = markerFront + "end" + markerBack
)

// machineSection is the marker of the table that says where all sections come from.
const machineSection = "machine"

// FillIn puts the sections between their markers in a document. pictureFolder is where the pictures
// are, as seen from it. A marker without a section keeps what stands behind it. Errors: a marker
// that does not end; a section without a marker.
func FillIn(document []byte, sections []Section, pictureFolder string) ([]byte, error) {
	var out []byte
	var used []string
	for {
		at := bytes.Index(document, []byte(markerFront))
		if at < 0 {
			break
		}
		name, rest, ok := bytes.Cut(document[at+len(markerFront):], []byte(markerBack))
		end := bytes.Index(rest, []byte(markerEnd))
		if !ok || end < 0 {
			return nil, fmt.Errorf("marker %q has no %q behind it", markerFront+string(name)+markerBack, markerEnd)
		}
		out = append(append(out, document[:at]...), markerFront+string(name)+markerBack...)
		text, known := sectionText(string(name), sections, pictureFolder)
		if known {
			out = append(out, "\n"+text...)
			used = append(used, string(name))
		} else {
			out = append(out, rest[:end]...)
		}
		out = append(out, markerEnd...)
		document = rest[end+len(markerEnd):]
	}
	for i := range sections {
		if !slices.Contains(used, sections[i].Name) {
			return nil, fmt.Errorf(
				"no place for %s: put %s%s%s and %s where it belongs",
				sections[i].Name,
				markerFront,
				sections[i].Name,
				markerBack,
				markerEnd,
			)
		}
	}
	return append(out, document...), nil
}

func sectionText(name string, sections []Section, pictureFolder string) (text string, known bool) {
	if name == machineSection {
		return machineText(sections), len(sections) > 0
	}
	at := slices.IndexFunc(sections, func(s Section) bool { return s.Name == name })
	if at < 0 {
		return "", false
	}
	return sections[at].text(pictureFolder), true
}

// text returns tables, pictures and commands.
func (s *Section) text(pictureFolder string) string {
	var b strings.Builder
	writeGroups(
		&b,
		bench.SummaryHeads(),
		groups(bench.Summarize(s.Results.Runs), func(s *bench.Summary) string { return s.Workload }),
	)
	writeGroups(
		&b,
		bench.PythonHeads(),
		groups(bench.SummarizePython(s.Results.Python), func(s *bench.PythonSummary) string { return s.Workload }),
	)
	s.writeHalfway(&b)
	s.writeMemory(&b)
	s.writeRest(&b)
	for _, p := range s.Pictures {
		fmt.Fprintf(&b, "\n![%s](%s/%s-%s.svg)\n", p.Name, pictureFolder, s.Name, p.Name)
	}
	if commands := s.commands(); len(commands) > 0 {
		fmt.Fprintf(&b, "\nMade by\n\n    %s\n", strings.Join(commands, "\n    "))
	}
	b.WriteString("\n")
	return b.String()
}

func writeGroups(b *strings.Builder, heads []string, all []group) {
	for _, g := range all {
		fmt.Fprintf(b, "\n%s:\n\n", g.Title)
		writeTable(b, heads, g.Lines)
	}
}

// writeHalfway writes what was measured before, during and after the commands in the middle of
// runs.
func (s *Section) writeHalfway(b *strings.Builder) {
	var lines [][]string
	for _, h := range bench.SummarizeHalfway(s.Results.Runs) {
		lines = append(lines, h.Lines()...)
	}
	if len(lines) > 0 {
		b.WriteString("\n")
		writeTable(b, bench.HalfwayHeads(), lines)
	}
}

func (s *Section) writeMemory(b *strings.Builder) {
	var lines [][]string
	for _, r := range s.Results.Loads {
		what := fmt.Sprintf(
			"%d entries by %s, keys of %d and values of %d bytes",
			r.Entries,
			r.Op,
			r.KeyBytes,
			r.ValueBytes,
		)
		lines = append(lines, []string{cmp.Or(r.Server, r.Target), what, fmt.Sprintf("%.1f", r.BytesPerEntry)})
	}
	for _, r := range s.Results.Idles {
		lines = append(
			lines,
			[]string{
				r.Target,
				fmt.Sprintf("%d idle connections", r.Connections),
				fmt.Sprintf("%.0f", r.BytesPerConnection),
			},
		)
	}
	if len(lines) > 0 {
		b.WriteString("\n")
		writeTable(b, []string{"server", "what", "resident bytes each"}, lines)
	}
}

// writeRest writes what servers do whose clients are silent.
func (s *Section) writeRest(b *strings.Builder) {
	var lines [][]string
	for _, r := range s.Results.Idles {
		if r.Rest != nil {
			lines = append(lines, []string{
				r.Target,
				fmt.Sprint(r.Connections),
				fmt.Sprintf("%.1f", r.WakeupsPerSecond),
				fmt.Sprintf("%.3f", r.CorePercent),
				fmt.Sprintf("%.0f", r.Watched),
			})
		}
	}
	if len(lines) > 0 {
		b.WriteString("\n")
		writeTable(b, []string{"server", "idle connections", "wake-ups/s", "% of a core", "watched for s"}, lines)
	}
}

func (s *Section) commands() (all []string) {
	for _, r := range s.Results.Runs {
		all = addNew(all, r.Command)
	}
	for _, r := range s.Results.Loads {
		all = addNew(all, r.Command)
	}
	for _, r := range s.Results.Idles {
		all = addNew(all, r.Command)
	}
	for _, r := range s.Results.Python {
		all = addNew(all, r.Command)
	}
	return all
}

// machineText says what is the same in all sections, and when they were measured.
func machineText(sections []Section) string {
	var machines, servers, days []string
	for i := range sections {
		for _, r := range sections[i].Results.Runs {
			machines = addNew(machines, spellMachine(&r.Machine, r.Machine.Go))
			servers = addNew(servers, r.Server)
			days = addNew(days, r.Time.Format(day))
		}
		for _, r := range sections[i].Results.Python {
			machines = addNew(machines, spellMachine(&r.Machine, r.Python))
			servers = addNew(servers, r.Server)
			days = addNew(days, r.Time.Format(day))
		}
	}
	var b strings.Builder
	b.WriteString("\n")
	writeTable(&b, []string{"", ""}, [][]string{
		{
			"machine",
			strings.Join(machines, "<br>"),
		},
		{"servers", strings.Join(servers, ", ")},
		{"measured", strings.Join(days, ", ")},
	})
	b.WriteString("\n")
	return b.String()
}

const day = "2006-01-02"

// spellMachine names a machine and what the measuring program is written in.
func spellMachine(m *bench.Machine, language string) string {
	return fmt.Sprintf(
		"%s, %d CPUs, %g GiB; %s; %s; commit %s",
		m.Processor,
		m.CPUs,
		m.MemoryGiB,
		m.Kernel,
		language,
		cmp.Or(m.Commit, "unknown"),
	)
}

func writeTable(b *strings.Builder, heads []string, lines [][]string) {
	fmt.Fprintf(b, "| %s |\n|%s\n", strings.Join(heads, " | "), strings.Repeat("---|", len(heads)))
	for _, cells := range lines {
		fmt.Fprintf(b, "| %s |\n", strings.Join(cells, " | "))
	}
}
