package views

import (
	"context"
	"encoding/json"
	"fmt"
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
		Requests    int64 `json:"requests"`
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
	hits, misses int64
	latencies    histogram
}

// line is a line of Stat, and its form in JSON.
type line struct {
	Time         string   `json:"time"`
	Operations   float64  `json:"operations_per_second"`
	HitRate      *float64 `json:"hit_rate"` // null: no reads of keys
	MemoryBytes  int64    `json:"memory_bytes"`
	Connections  int64    `json:"connections"`
	P99US        *float64 `json:"p99_us"` // null: no requests
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

// moment asks for all figures of one time. The requests of the view itself are among them.
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
	m.latencies = commands.histogramOf()
	return &m, nil
}

func (m *moment) since(last *moment) line {
	l := line{
		Time:        m.at.UTC().Format("2006-01-02T15:04:05.000Z"),
		Operations:  max(0, float64(m.info.Requests-last.info.Requests)/m.at.Sub(last.at).Seconds()),
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

const statColumns = "%-12s  %10s  %7s  %10s  %6s  %8s  %s\n"

func (v *View) statLine(n int, l line) error {
	if v.JSON {
		return json.NewEncoder(v.Out).Encode(l)
	}
	if n%titleLines == 0 {
		fmt.Fprintf(v.Out, statColumns, "time", "ops/s", "hits", "memory", "conns", "p99", "journal lag")
	}
	hits, p99 := "-", "-"
	if l.HitRate != nil {
		hits = fmt.Sprintf("%.1f %%", 100**l.HitRate)
	}
	if l.P99US != nil {
		p99 = micros(*l.P99US)
	}
	lag := fmt.Sprintf("%s changes, %s", number(l.JournalLag), size(l.JournalBytes))
	_, err := fmt.Fprintf(v.Out, statColumns, clock(l.Time), number(int64(l.Operations)), hits, size(l.MemoryBytes),
		number(l.Connections), p99, lag)
	return err
}
