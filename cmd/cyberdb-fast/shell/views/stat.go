package views

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// StatInterval is the time between two lines of Stat.
const StatInterval = time.Second

// titleLines is the number of lines after which Stat repeats its titles.
const titleLines = 20

// moment is what Stat reads at one time.
type moment struct {
	at   time.Time
	info struct {
		Connections int64 `json:"connections"`
		Resident    int64 `json:"resident_bytes"`
		Heap        int64 `json:"heap_bytes"`
		Slabs       int64 `json:"slab_bytes"`
		Clock       int64 `json:"clock"`
		Data        *struct {
			Durable int64 `json:"durable_clock"`
			Pending int64 `json:"pending_bytes"`
		} `json:"data"`
	}
	requests, hits, misses int64
	latencies              histogram
}

// line is a line of Stat, and its form in JSON.
type line struct {
	Time         string   `json:"time"`
	Operations   float64  `json:"operations_per_second"`
	HitRate      *float64 `json:"hit_rate"` // null: no reads of keys
	MemoryBytes  int64    `json:"memory_bytes"`
	Connections  int64    `json:"connections"`
	P99US        *float64 `json:"p99_us"` // null: no requests but INFO
	JournalLag   int64    `json:"journal_lag"`
	JournalBytes int64    `json:"journal_pending_bytes"`
}

// Stat writes a line each second until the context ends, or count lines if that is not 0.
func (v *View) Stat(ctx context.Context, count int) error {
	tick := time.NewTicker(StatInterval)
	defer tick.Stop()
	last, err := v.moment(ctx)
	if err != nil {
		return err
	}
	for n := 0; count == 0 || n < count; n++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		now, err := v.moment(ctx)
		if err != nil {
			return err
		}
		if err := v.statLine(n, now.since(last)); err != nil {
			return err
		}
		last = now
	}
	return nil
}

// moment asks for all figures of one time. INFO, by which it asks, is not among the requests.
func (v *View) moment(ctx context.Context) (*moment, error) {
	var m moment
	var commands commandsSection
	var tables tablesSection
	for _, part := range []struct {
		section    string
		parameters map[string]any
		into       any
	}{
		{"", nil, &m.info}, {"commands", nil, &commands}, {"tables", map[string]any{"limit": 1000}, &tables},
	} {
		text, err := v.section(ctx, part.section, part.parameters)
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(text, part.into); err != nil {
			return nil, fmt.Errorf("the server's section %q cannot be read: %w", part.section, err)
		}
	}
	m.at = time.Now()
	m.hits, m.misses = tables.Other.Hits, tables.Other.Misses
	for _, t := range tables.Tables {
		m.hits += t.Hits
		m.misses += t.Misses
	}
	others := commands.others()
	m.requests, m.latencies = others.requests(), others.histogramOf()
	return &m, nil
}

func (m *moment) since(last *moment) line {
	l := line{
		Time:        m.at.UTC().Format("2006-01-02T15:04:05.000Z"),
		Operations:  max(0, float64(m.requests-last.requests)/m.at.Sub(last.at).Seconds()),
		MemoryBytes: m.info.Resident,
		Connections: m.info.Connections,
	}
	if l.MemoryBytes == 0 { // an older server
		l.MemoryBytes = m.info.Heap + m.info.Slabs
	}
	hits, reads := m.hits-last.hits, m.hits-last.hits+m.misses-last.misses
	if reads > 0 && hits >= 0 && hits <= reads { // a table that was dropped takes its figures with it
		rate := float64(hits) / float64(reads)
		l.HitRate = &rate
	}
	if p99, ok := m.latencies.since(last.latencies).quantile(0.99); ok {
		l.P99US = &p99
	}
	if d := m.info.Data; d != nil {
		l.JournalLag, l.JournalBytes = max(0, m.info.Clock-d.Durable), d.Pending
	}
	return l
}

// statColumn is a column of Stat; the next lines are not known, so that its width is fixed.
type statColumn struct {
	title string
	width int // negative: flush left
	rank  int // a terminal that is too narrow shows those of low ranks
}

var statColumns = []statColumn{
	{"time", -12, 5},
	{"ops/s", 10, 0},
	{"hits", 7, 2},
	{"memory", 10, 3},
	{"conns", 6, 4},
	{"p99", 8, 1},
	{"journal lag", -14, 6},
}

// statCells writes the cells for which there is room.
func (v *View) statCells(cells []string) error {
	room := v.width()
	shown := make([]bool, len(statColumns))
	for rank := range statColumns {
		i := slices.IndexFunc(statColumns, func(c statColumn) bool { return c.rank == rank })
		need := max(statColumns[i].width, -statColumns[i].width)
		if rank > 0 {
			need += columnGap
		}
		if v.width() > 0 && need > room {
			break
		}
		room -= need
		shown[i] = true
	}
	var parts []string
	for i, cell := range cells {
		if shown[i] {
			parts = append(parts, fmt.Sprintf("%*s", statColumns[i].width, cell))
		}
	}
	_, err := fmt.Fprintln(v.Out, strings.TrimRight(strings.Join(parts, strings.Repeat(" ", columnGap)), " "))
	return err
}

func (v *View) statLine(n int, l line) error {
	if v.JSON {
		return json.NewEncoder(v.Out).Encode(l)
	}
	if n%titleLines == 0 {
		titles := make([]string, len(statColumns))
		for i, c := range statColumns {
			titles[i] = c.title
		}
		if err := v.statCells(titles); err != nil {
			return err
		}
	}
	hits, p99 := "-", "-"
	if l.HitRate != nil {
		hits = fmt.Sprintf("%.1f %%", 100**l.HitRate)
	}
	if l.P99US != nil {
		p99 = micros(*l.P99US)
	}
	return v.statCells([]string{
		clock(l.Time), number(int64(l.Operations)), hits, size(l.MemoryBytes), number(l.Connections), p99,
		fmt.Sprintf("%s changes, %s", number(l.JournalLag), size(l.JournalBytes)),
	})
}
