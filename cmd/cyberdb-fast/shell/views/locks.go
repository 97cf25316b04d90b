package views

import (
	"context"
	"fmt"
	"time"
)

// locksSection is the section "locks".
type locksSection struct {
	Held  int64         `json:"held"`
	Locks []lockFigures `json:"locks"`
	More  bool          `json:"more"`
}

type lockFigures struct {
	Kind    string `json:"kind"`
	Name    string `json:"name"`
	Slot    int64  `json:"slot"`
	Fence   uint64 `json:"fence"`
	LeftMS  int64  `json:"left_ms"`
	Waiters int64  `json:"waiters"`
}

// Locks writes the locks that are held, and the leases of computations.
func (v *View) Locks(ctx context.Context) error {
	var s locksSection
	if done, err := v.read(ctx, "locks", nil, &s); done || err != nil {
		return err
	}
	if len(s.Locks) == 0 {
		_, err := fmt.Fprintln(v.Out, "no lock is held")
		return err
	}
	g := v.grid("lock", "kind", "slot", "fence", "lease left", "waiters")
	g.minor = []string{"kind", "slot", "fence"}
	for _, l := range s.Locks {
		left := time.Duration(l.LeftMS) * time.Millisecond
		g.row(v.short(l.Name), l.Kind, number(l.Slot), fmt.Sprint(l.Fence), left.String(), number(l.Waiters))
	}
	if err := g.flush(); err != nil || !s.More {
		return err
	}
	_, err := fmt.Fprintf(v.Out, "(%s are held, these are the first %s)\n", number(s.Held), number(int64(len(s.Locks))))
	return err
}
