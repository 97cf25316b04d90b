package pubsub

// Figures are what a hub has done, and keeps.
type Figures struct {
	Subscriptions int64 `json:"subscriptions"`
	Channels      int   `json:"channels"` // that are subscribed to by name
	Prefixes      int   `json:"prefixes"`
	Queued        int64 `json:"queued_messages"` // that not all of their subscriptions have received
	Bytes         int64 `json:"bytes"`           // of these, and of the subscriptions
	LimitBytes    int64 `json:"limit_bytes"`     // above it, the oldest messages are dropped

	// since the start
	Published uint64 `json:"published"`
	Delivered uint64 `json:"delivered"` // to subscriptions: a message may count several times
	Missed    uint64 `json:"missed"`    // likewise
}

// Name is a channel or a prefix that is subscribed to.
type Name struct {
	Name          string `json:"name"`
	Prefix        bool   `json:"prefix"`
	Subscriptions int    `json:"subscriptions"`
}

// Figures returns the hub's figures.
func (h *Hub) Figures() Figures {
	f := Figures{
		Subscriptions: h.subscriptions.Load(), LimitBytes: h.memory.limit,
		Published: h.published.Load(), Delivered: h.delivered.Load(), Missed: h.missed.Load(),
	}
	h.mu.RLock()
	f.Channels, f.Prefixes = len(h.channels), len(h.prefixes)
	h.mu.RUnlock()
	h.memory.mu.Lock()
	f.Queued, f.Bytes = h.memory.messages, h.memory.used
	h.memory.mu.Unlock()
	return f
}

// Names returns at most limit of the channels and prefixes that are subscribed to, in any order,
// and whether there are more.
func (h *Hub) Names(limit int) (names []Name, more bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	names = []Name{}
	for _, among := range []map[string]*name{h.prefixes, h.channels} {
		for _, n := range among {
			if len(names) == limit {
				return names, true
			}
			names = append(names, Name{n.text, n.prefix, len(n.subs)})
		}
	}
	return names, false
}
