package shardmap

// QueueOptions say what becomes of items that are delivered again and again. The zero QueueOptions
// deliver them for ever.
type QueueOptions struct {
	MaxDeliveries int    // an item that would return after so many deliveries is a dead letter; 0: none is
	DeadLetter    string // the list whose end dead letters join, created if need be; "": none
}

// exhausted reports whether an item that would return is a dead letter.
func (o *QueueOptions) exhausted(h *HeldItem) bool {
	return o.DeadLetter != "" && !h.Delayed && int64(h.Deliveries) >= int64(o.MaxDeliveries)
}

// Options returns the list's options, once the call may use the list.
func (l *List) Options(c *Call) (o QueueOptions, err error) {
	if err := l.lockToRead(c); err != nil {
		return o, err
	}
	defer c.unlock()
	if l.queue != nil {
		o = l.queue.options
	}
	return o, nil
}

// Configure changes the list's options as set says, or returns its error.
func (l *List) Configure(c *Call, set func(o *QueueOptions) error) error {
	if err := l.lockToWrite(c); err != nil {
		return err
	}
	o := QueueOptions{}
	if l.queue != nil {
		o = l.queue.options
	}
	if err := set(&o); err != nil {
		c.unlock()
		return err
	}
	l.beginChange(c, 1)
	l.asQueue().options = o
	l.unlockChanged(c)
	return nil
}
