package eval

import (
	"time"

	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/client"
	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/codec/value"
)

// defaultLease is how long an item is leased if the call does not say.
const defaultLease = time.Minute

// queueMethods are the methods of lists as queues.
func queueMethods() map[string]function {
	return map[string]function{
		"put": {"value, *, delay=0", "adds value at the end, after so many seconds", func(c *call) (object, error) {
			val, err := c.given("value")
			if err != nil {
				return nil, err
			}
			delay, err := c.seconds("delay")
			if err != nil {
				return nil, err
			}
			return nothing{}, c.table.list().Put(c.ctx, val, delay)
		}},
		"take": {
			"lease=60, wait=0", "takes the first element for a time: receipt, deliveries and value, or None",
			(*call).take,
		},
		"ack": {"receipt", "removes an item that was taken", func(c *call) (object, error) {
			receipt, err := c.receipt()
			if err != nil {
				return nil, err
			}
			return nothing{}, c.table.list().Ack(c.ctx, receipt)
		}},
		"nack": {
			"receipt, *, delay=0", "gives an item that was taken back: to the front, or to the end after a delay",
			(*call).nack,
		},
		"extend_lease": {
			"receipt, lease=60", "leases an item that was taken for so many seconds from now", (*call).extendLease,
		},
		"leased": {"", "the number of items that are taken and not acknowledged", func(c *call) (object, error) {
			held, err := c.table.list().Held(c.ctx)
			return integer(held.Leased), err
		}},
		"delayed": {"", "the number of items whose delay is not over", func(c *call) (object, error) {
			held, err := c.table.list().Held(c.ctx)
			return integer(held.Delayed), err
		}},
		"configure": {
			"*, max_deliveries=None, dead_letter=None",
			"sets after how many deliveries items go to the list dead_letter; None: never", (*call).configureList,
		},
		"options": {"", "the options of the list", func(c *call) (object, error) {
			o, err := c.table.list().Options(c.ctx)
			if err != nil {
				return nil, err
			}
			options := govalue.Dict{{Key: "max_deliveries"}, {Key: "dead_letter"}}
			if o.DeadLetter != "" {
				options[0].Value, options[1].Value = o.MaxDeliveries, o.DeadLetter
			}
			return encoded(options)
		}},
	}
}

func (c *call) take() (object, error) {
	lease, given, err := c.duration("lease")
	if err != nil {
		return nil, err
	}
	if !given {
		lease = defaultLease
	}
	wait, err := c.seconds("wait")
	if err != nil {
		return nil, err
	}
	item, ok, err := c.table.list().Take(c.ctx, lease, wait)
	if err != nil || !ok {
		return nothing{}, err
	}
	return encoded(govalue.Dict{
		{Key: "receipt", Value: uint64(item.Receipt)},
		{Key: "deliveries", Value: item.Deliveries},
		{Key: "value", Value: item.Value},
	})
}

func (c *call) nack() (object, error) {
	receipt, err := c.receipt()
	if err != nil {
		return nil, err
	}
	delay, err := c.seconds("delay")
	if err != nil {
		return nil, err
	}
	return nothing{}, c.table.list().Nack(c.ctx, receipt, delay)
}

func (c *call) extendLease() (object, error) {
	receipt, err := c.receipt()
	if err != nil {
		return nil, err
	}
	lease, given, err := c.duration("lease")
	if err != nil {
		return nil, err
	}
	if !given {
		lease = defaultLease
	}
	return nothing{}, c.table.list().ExtendLease(c.ctx, receipt, lease)
}

func (c *call) configureList() (object, error) {
	deliveries, err := c.limit("max_deliveries")
	if err != nil {
		return nil, err
	}
	o := client.ListOptions{MaxDeliveries: deliveries}
	b, err := c.given("dead_letter")
	if err == nil && !isNone(b) {
		o.DeadLetter, err = c.text("dead_letter")
	}
	if err != nil {
		return nil, err
	}
	if o == (client.ListOptions{}) {
		o.MaxDeliveries = client.None
	}
	return nothing{}, c.table.list().Configure(c.ctx, o)
}

// receipt returns the argument of this name.
func (c *call) receipt() (client.Receipt, error) {
	b, err := c.given("receipt")
	if err != nil {
		return 0, err
	}
	receipt, err := govalue.UnmarshalOf[uint64](b)
	if err != nil {
		return 0, typeError("receipt is an int, as take has returned it, not %s", value.TypeName(b))
	}
	return client.Receipt(receipt), nil
}

// seconds is duration for a time that may be 0, which it is by default.
func (c *call) seconds(name string) (time.Duration, error) {
	b, err := c.given(name)
	if err != nil || msgp.IsNil(b) {
		return 0, err
	}
	if i, fits, err := intOf(b); err == nil && fits && i == 0 {
		return 0, nil
	}
	d, _, err := c.duration(name)
	return d, err
}
