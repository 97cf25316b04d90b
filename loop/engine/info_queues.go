package engine

import (
	"cyberdb-fast/shardmap"
)

// maxQueueFigures is the most lists of which INFO "queues" tells.
const maxQueueFigures = 1000

// QueueFigures is what INFO "queues" says of a list that is used as a queue: one that holds items
// or did so, or that has options.
type QueueFigures struct {
	Name          string `json:"name"`
	Ready         int    `json:"ready"` // elements of the list
	Leased        int    `json:"leased"`
	Delayed       int    `json:"delayed"`
	MaxDeliveries int    `json:"max_deliveries,omitempty"`
	DeadLetter    string `json:"dead_letter,omitempty"`

	// since the list was created or loaded
	Deliveries    uint64 `json:"deliveries"`
	LeasesExpired uint64 `json:"leases_expired"`
	DeadLettered  uint64 `json:"dead_lettered"`
}

// infoQueues answers INFO "queues". It walks over all tables.
func infoQueues(x *Executor) error {
	var answer struct {
		Queues []QueueFigures `json:"queues"`
		More   bool           `json:"more"` // there are other lists like these
	}
	answer.Queues = []QueueFigures{}
	for name, table := range x.engine.env.Store.AllTables {
		if table.Kind() != shardmap.KindList {
			continue
		}
		f := table.List().QueueFigures()
		if f == (shardmap.QueueFigures{}) {
			continue
		}
		if answer.More = len(answer.Queues) == maxQueueFigures; answer.More {
			break
		}
		answer.Queues = append(answer.Queues, QueueFigures{
			Name: name, Ready: table.Len(), Leased: f.Leased, Delayed: f.Delayed,
			MaxDeliveries: f.Options.MaxDeliveries, DeadLetter: f.Options.DeadLetter,
			Deliveries: f.Taken, LeasesExpired: f.Expired, DeadLettered: f.Dead,
		})
	}
	return x.answerJSON(&answer)
}
