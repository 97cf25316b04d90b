package shardmap

// QueueFigures are what a list holds as a queue, and what it did since it was created or loaded.
type QueueFigures struct {
	Leased, Delayed int
	Taken           uint64 // leases that were given: deliveries
	Expired         uint64 // leases that have ended, after which the item returned
	Dead            uint64 // items that became dead letters
	Options         QueueOptions
}

// QueueFigures returns the list's figures.
func (l *List) QueueFigures() (f QueueFigures) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if q := l.queue; q != nil {
		f = QueueFigures{q.leased, q.held.Len()/2 - q.leased, q.taken, q.expired, q.dead, q.options}
	}
	return f
}
