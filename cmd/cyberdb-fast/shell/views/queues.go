package views

import (
	"context"
	"fmt"
)

// queuesSection is the section "queues".
type queuesSection struct {
	Queues []queueFigures `json:"queues"`
	More   bool           `json:"more"`
}

type queueFigures struct {
	Name          string `json:"name"`
	Ready         int64  `json:"ready"`
	Leased        int64  `json:"leased"`
	Delayed       int64  `json:"delayed"`
	MaxDeliveries int64  `json:"max_deliveries"`
	DeadLetter    string `json:"dead_letter"`
	Deliveries    int64  `json:"deliveries"`
	LeasesExpired int64  `json:"leases_expired"`
	DeadLettered  int64  `json:"dead_lettered"`
}

// Queues writes the lists that are used as queues, and what they hold.
func (v *View) Queues(ctx context.Context) error {
	var s queuesSection
	if done, err := v.read(ctx, "queues", nil, &s); done || err != nil {
		return err
	}
	if len(s.Queues) == 0 {
		_, err := fmt.Fprintln(v.Out, "no queues: no list has leased or delayed items, or options")
		return err
	}
	g := v.grid("queue", "ready", "leased", "delayed", "deliveries", "expired", "dead", "dead letters go to")
	g.minor = []string{"dead letters go to", "deliveries"}
	for _, q := range s.Queues {
		to := "-"
		if q.DeadLetter != "" {
			to = fmt.Sprintf("%s, after %s deliveries", v.short(q.DeadLetter), number(q.MaxDeliveries))
		}
		g.row(v.short(q.Name), number(q.Ready), number(q.Leased), number(q.Delayed), number(q.Deliveries),
			number(q.LeasesExpired), number(q.DeadLettered), to)
	}
	if err := g.flush(); err != nil || !s.More {
		return err
	}
	_, err := fmt.Fprintf(v.Out, "(more than these %s)\n", number(int64(len(s.Queues))))
	return err
}
