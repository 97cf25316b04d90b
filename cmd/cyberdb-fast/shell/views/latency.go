package views

import (
	"cmp"
	"context"
	"fmt"
	"slices"
)

// commandsSection is the section "commands".
type commandsSection struct {
	Commands []commandFigures `json:"commands"`
}

// commandFigures are those of one command.
type commandFigures struct {
	Name     string           `json:"name"`
	Statuses map[string]int64 `json:"statuses"`
	BytesIn  int64            `json:"bytes_in"`
	BytesOut int64            `json:"bytes_out"`
	Latency  struct {
		Count      int64        `json:"count"`
		SumSeconds float64      `json:"sum_seconds"`
		P50        float64      `json:"p50_us"`
		P90        float64      `json:"p90_us"`
		P99        float64      `json:"p99_us"`
		P999       float64      `json:"p999_us"`
		Max        float64      `json:"max_us"`
		Buckets    [][2]float64 `json:"buckets"` // the bound in seconds, how many took at most so long
	} `json:"latency"`
}

// requests returns how many requests there were, and how many of them failed.
func (c *commandFigures) requests() (all, failed int64) {
	for status, n := range c.Statuses {
		all += n
		if status != "OK" {
			failed += n
		}
	}
	return all, failed
}

// Latency writes the commands that were used, with their latencies.
func (v *View) Latency(ctx context.Context) error {
	var s commandsSection
	done, err := v.read(ctx, "commands", nil, &s)
	if err != nil || done {
		return err
	}
	slices.SortStableFunc(s.Commands, func(a, b commandFigures) int {
		return cmp.Compare(b.Latency.SumSeconds, a.Latency.SumSeconds)
	})
	g := v.grid("command", "requests", "failed", "mean", "p50", "p90", "p99", "p99.9", "max", "in", "out")
	g.minor = []string{"out", "in", "failed", "p50", "p90", "mean", "p99.9"}
	for i := range s.Commands {
		c := &s.Commands[i]
		all, failed := c.requests()
		mean := "-"
		if c.Latency.Count > 0 {
			mean = micros(c.Latency.SumSeconds * 1e6 / float64(c.Latency.Count))
		}
		g.row(plain(c.Name), number(all), number(failed), mean, micros(c.Latency.P50), micros(c.Latency.P90),
			micros(c.Latency.P99), micros(c.Latency.P999), micros(c.Latency.Max), size(c.BytesIn), size(c.BytesOut))
	}
	if len(s.Commands) == 0 {
		fmt.Fprintln(v.Out, "no requests yet")
		return nil
	}
	return g.flush()
}

// histogram counts requests by the bound of their latency, in seconds.
type histogram map[float64]float64

// others returns the figures without those of INFO, by which views ask.
func (s *commandsSection) others() *commandsSection {
	others := slices.DeleteFunc(slices.Clone(s.Commands), func(c commandFigures) bool { return c.Name == infoCommand })
	return &commandsSection{others}
}

// requests returns how many requests there were.
func (s *commandsSection) requests() (all int64) {
	for i := range s.Commands {
		n, _ := s.Commands[i].requests()
		all += n
	}
	return all
}

// histogramOf returns the latencies of all commands.
func (s *commandsSection) histogramOf() histogram {
	h := make(histogram)
	for i := range s.Commands {
		before := 0.0
		for _, bucket := range s.Commands[i].Latency.Buckets {
			h[bucket[0]] += bucket[1] - before
			before = bucket[1]
		}
	}
	return h
}

// since returns what was added to h after an earlier one.
func (h histogram) since(earlier histogram) histogram {
	added := make(histogram)
	for bound, n := range h {
		added[bound] = max(0, n-earlier[bound])
	}
	return added
}

// quantile returns the time below which this share of the requests is, in microseconds: requests
// are taken to be spread evenly between two bounds.
func (h histogram) quantile(q float64) (us float64, ok bool) {
	total := 0.0
	bounds := make([]float64, 0, len(h))
	for bound, n := range h {
		total += n
		bounds = append(bounds, bound)
	}
	slices.Sort(bounds)
	seen, low := 0.0, 0.0
	for _, bound := range bounds {
		if n := h[bound]; n > 0 && seen+n >= q*total {
			return (low + (bound-low)*(q*total-seen)/n) * 1e6, true
		}
		seen, low = seen+h[bound], bound
	}
	return 0, false
}
