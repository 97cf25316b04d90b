package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"cyberdb-fast/client"
)

// The tables that entries leave by themselves.
const (
	mortalName = "shared mortals" // a dict whose entries expire; each client has keys of its own
	fullName   = "shared full"    // a dict with a limit, whose keys are set once

	mostFull = 50
	longLife = time.Hour
	// maxShortLife bounds the times to live that end within a cycle, or soon after.
	maxShortLife = 150 * time.Millisecond
	// clockSlack is how far the server's clock may be from that of the campaign.
	clockSlack = 20 * time.Millisecond
)

// mortal is a write of an entry that expires.
type mortal struct {
	value       string
	life        time.Duration
	sent, acked time.Time // acked is zero: unknown whether applied
}

// expiredBy reports whether the entry of a write may have expired at a time.
func (m *mortal) expiredBy(t time.Time) bool { return !m.sent.Add(m.life).After(t.Add(clockSlack)) }

// setMortal sets one of a client's keys to a value that expires soon, or in an hour.
func (s *shared) setMortal(c *client.Client, w *writer) error {
	w.count++
	key := fmt.Sprintf("%d %d", w.number, w.rng.IntN(3))
	m := mortal{value: fmt.Sprintf("%d %d", w.number, w.count), life: longLife, sent: time.Now()}
	if w.rng.IntN(2) == 0 {
		m.life = time.Millisecond + time.Duration(w.rng.Int64N(int64(maxShortLife)))
	}
	s.mu.Lock()
	s.mortals[key] = append(s.mortals[key], m)
	at := len(s.mortals[key]) - 1
	s.mu.Unlock()
	err := client.DictOf[string, string](c, mortalName).SetWithTTL(context.Background(), key, m.value, m.life)
	if err == nil {
		s.mu.Lock()
		s.mortals[key][at].acked = time.Now()
		s.mu.Unlock()
	}
	return err
}

// checkMortals: no entry is shown past its deadline, and each that has not expired is there. It
// continues from what is there.
func (s *shared) checkMortals(ctx context.Context, c *client.Client, v *verdict) error {
	asked := time.Now()
	items, err := client.DictOf[string, string](c, mortalName).Items(ctx)
	if err != nil {
		return err
	}
	read := time.Now()
	left := map[string][]mortal{}
	for _, i := range items {
		at := slices.IndexFunc(s.mortals[i.Key], func(m mortal) bool { return m.value == i.Value })
		if at < 0 {
			return fmt.Errorf("wrong data: the key %q, which expires, holds %q, which was not set", i.Key, i.Value)
		}
		m := s.mortals[i.Key][at]
		if m.acked.IsZero() {
			m.acked = asked
		}
		if late := asked.Sub(m.acked.Add(m.life)); late > clockSlack {
			return fmt.Errorf("wrong data: %q is shown %v after its deadline", i.Key, late)
		}
		left[i.Key] = []mortal{m}
	}
	for key, writes := range s.mortals {
		found := 0 // writes up to the one that is there
		if m := left[key]; m != nil {
			found = 1 + slices.IndexFunc(writes, func(o mortal) bool { return o.value == m[0].value })
		}
		v.loseMortals(writes[found:], found == 0, read)
	}
	for _, writes := range s.mortals {
		for _, m := range writes {
			if !m.acked.IsZero() && m.acked.After(s.checked) {
				v.acked++
			}
		}
	}
	s.mortals, s.checked = left, asked
	return nil
}

// loseMortals counts the acknowledged writes of a key that came after what is there. If nothing is
// there, the last one that was applied must have expired.
func (v *verdict) loseMortals(writes []mortal, none bool, read time.Time) {
	for _, m := range slices.Backward(writes) {
		switch {
		case none && m.expiredBy(read):
			return
		case m.acked.IsZero():
			continue
		}
		if v.lose(m.acked); !v.mayLose(m.acked) {
			return
		}
	}
}

// fill sets a key of the dict with a limit that no other write sets.
func (s *shared) fill(c *client.Client, w *writer) error {
	w.count++
	key := fmt.Sprintf("%d %d", w.number, w.count)
	err := client.DictOf[string, string](c, fullName).Set(context.Background(), key, key)
	if err == nil {
		s.mu.Lock()
		s.filled = append(s.filled, time.Now())
		s.mu.Unlock()
	}
	return err
}

// checkFull: the dict is within its limit, and entries were removed only to make room.
func (s *shared) checkFull(ctx context.Context, c *client.Client, v *verdict) error {
	items, err := client.DictOf[string, string](c, fullName).Items(ctx)
	if err != nil {
		return err
	}
	for _, i := range items {
		if i.Key != i.Value {
			return fmt.Errorf("wrong data: the dict with a limit holds %q under %q", i.Value, i.Key)
		}
	}
	if len(items) > mostFull {
		return fmt.Errorf("wrong data: the dict with a limit of %d has %d entries", mostFull, len(items))
	}
	slices.SortFunc(s.filled, time.Time.Compare)
	missing := min(mostFull, s.full+len(s.filled)) - len(items)
	for i := len(s.filled) - 1; i >= 0 && missing > 0; i, missing = i-1, missing-1 {
		v.lose(s.filled[i])
	}
	if missing > 0 {
		v.lost += missing
		v.note("the dict with a limit had %d entries when the cycle began, and has %d", s.full, len(items))
	}
	v.acked += len(s.filled)
	s.full, s.filled = len(items), nil
	return nil
}
