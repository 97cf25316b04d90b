package views

import (
	"cmp"
	"context"
	"fmt"
	"slices"
)

// channelsSection is the section "channels".
type channelsSection struct {
	Subscriptions int64         `json:"subscriptions"`
	Queued        int64         `json:"queued_messages"`
	Bytes         int64         `json:"bytes"`
	LimitBytes    int64         `json:"limit_bytes"`
	Published     int64         `json:"published"`
	Delivered     int64         `json:"delivered"`
	Missed        int64         `json:"missed"`
	Names         []channelName `json:"names"`
	More          bool          `json:"more"`
}

type channelName struct {
	Name          string `json:"name"`
	Prefix        bool   `json:"prefix"`
	Subscriptions int64  `json:"subscriptions"`
}

// Channels writes what publish and subscribe do, and the channels and prefixes that are subscribed
// to, those with the most subscriptions first.
func (v *View) Channels(ctx context.Context) error {
	var s channelsSection
	if done, err := v.read(ctx, "channels", nil, &s); done || err != nil {
		return err
	}
	fmt.Fprintf(v.Out, "%s subscriptions; %s messages wait, %s of %s\n",
		number(s.Subscriptions), number(s.Queued), size(s.Bytes), size(s.LimitBytes))
	fmt.Fprintf(v.Out, "since the start: %s published, %s delivered, %s missed\n",
		number(s.Published), number(s.Delivered), number(s.Missed))
	if len(s.Names) == 0 {
		return nil
	}
	slices.SortFunc(s.Names, func(a, b channelName) int {
		return cmp.Or(cmp.Compare(b.Subscriptions, a.Subscriptions), cmp.Compare(a.Name, b.Name))
	})
	fmt.Fprintln(v.Out)
	g := v.grid("channel", "subscriptions")
	for _, n := range s.Names {
		name := v.short(n.Name)
		switch {
		case n.Prefix && n.Name == "":
			name = "*"
		case n.Prefix:
			name += "*"
		}
		g.row(name, number(n.Subscriptions))
	}
	if err := g.flush(); err != nil || !s.More {
		return err
	}
	_, err := fmt.Fprintf(v.Out, "(more than these %s)\n", number(int64(len(s.Names))))
	return err
}
