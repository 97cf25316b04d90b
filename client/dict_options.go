package client

import (
	"context"
	"fmt"
	"time"

	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/govalue"
)

// DictOptions are a dict's limits of time and size. In what the server tells, a zero field means
// that there is no such limit. For CreateWith and EnsureWith it does, too. Configure leaves such an
// option as it is, and removes one that is None.
type DictOptions struct {
	// TTL is how long an entry lives after its last write, unless it has a deadline of its own. It
	// is at most MaxTTL, and is rounded up to milliseconds.
	TTL time.Duration
	// Idle is how long an entry lives after it was last read or written; it goes at the latest
	// after twice that time. It is at most MaxTTL, and is rounded up to milliseconds.
	Idle time.Duration
	// MaxEntries is the largest number of entries.
	MaxEntries int
	// MaxBytes is the largest sum of the sizes of the entries: the bytes of key and value, and 24.
	MaxBytes int
	// Policy says what a write does at a limit.
	Policy Policy
}

// Policy says what a write does if the dict would exceed MaxEntries or MaxBytes.
type Policy string

// The policies.
const (
	DefaultPolicy   Policy = "default" // S3FIFO if there is a limit; what Configure sets if an option is removed
	NoEviction      Policy = "none"    // the write fails with ErrOverloaded
	S3FIFO          Policy = "s3fifo"  // entries that are not used make room
	NearestDeadline Policy = "ttl"     // the entry that expires first makes room
)

// wireOption is an option by its name on the wire.
type wireOption struct {
	name  string
	value any // nil: the option is removed
}

// onWire returns the options that are to be changed. Errors: ErrValue.
func (o *DictOptions) onWire() (options []wireOption, err error) {
	add := func(name string, given int64, value any, failed error) {
		switch {
		case given == 0:
		case given == None:
			options = append(options, wireOption{name, nil})
		case failed != nil:
			err = fmt.Errorf("option %s: %w", name, failed)
		default:
			options = append(options, wireOption{name, value})
		}
	}
	ttl, failed := wireTTL(o.TTL)
	add("ttl", int64(o.TTL), ttl, failed)
	idle, failed := wireTTL(o.Idle)
	add("idle", int64(o.Idle), idle, failed)
	add("max_entries", int64(o.MaxEntries), o.MaxEntries, checkLimit(o.MaxEntries))
	add("max_bytes", int64(o.MaxBytes), o.MaxBytes, checkLimit(o.MaxBytes))
	switch o.Policy {
	case "":
	case DefaultPolicy:
		options = append(options, wireOption{"policy", nil})
	default:
		options = append(options, wireOption{"policy", string(o.Policy)})
	}
	return options, err
}

func checkLimit(limit int) error {
	if limit < 0 {
		return fmt.Errorf("%w: a limit is at least 1, not %d", ErrValue, limit)
	}
	return nil
}

// addOptions adds options as one argument, a map.
func addOptions(q *call, options []wireOption) {
	if q.err != nil {
		return
	}
	q.frame = msgp.AppendMapHeader(q.frame, uint32(len(options)))
	q.args++
	for _, option := range options {
		q.frame = msgp.AppendString(q.frame, option.name)
		if q.frame, q.err = govalue.Append(q.frame, option.value); q.err != nil {
			return
		}
	}
}

// CreateWith is Create with options. Errors: those of Create, and ErrValue for an option that is
// out of range.
func (d *Dict[K, V]) CreateWith(ctx context.Context, o DictOptions, items ...Item[K, V]) error {
	_, err := request(ctx, d.createWith(&o, false, items), decodeOne[bool])
	return err
}

// EnsureWith is Ensure with options, which are those of a new table: one that exists keeps its own.
// Errors: ErrValue for an option that is out of range.
func (d *Dict[K, V]) EnsureWith(ctx context.Context, o DictOptions, items ...Item[K, V]) (made bool, err error) {
	return request(ctx, d.createWith(&o, true, items), decodeOne[bool])
}

func (d *Dict[K, V]) createWith(o *DictOptions, existOK bool, items []Item[K, V]) *call {
	options, err := o.onWire()
	if err == nil && len(options) == 0 {
		return d.create(existOK, seqOf(items)) // which servers without options understand
	}
	q := d.client.write(codec.OpCreateDict, d.table)
	if q.err == nil {
		q.err = err
	}
	addOptions(q, append(options, wireOption{"exist_ok", existOK}))
	return addItems(q, seqOf(items))
}

// Configure changes options of the dict: those that are not zero. None removes an option;
// DefaultPolicy does as Policy. Errors: ErrValue for an option that is out of range.
//
//	err := cache.Configure(ctx, client.DictOptions{TTL: time.Hour, MaxEntries: client.None})
func (d *Dict[K, V]) Configure(ctx context.Context, changes DictOptions) error {
	return perform(ctx, d.configure(&changes))
}

func (d *Dict[K, V]) configure(changes *DictOptions) *call {
	q := d.client.write(codec.OpConfigure, d.table)
	options, err := changes.onWire()
	if q.err == nil {
		q.err = err
	}
	addOptions(q, options)
	return q
}

// Options returns the options of the dict. Policy is the one in force, never DefaultPolicy.
func (d *Dict[K, V]) Options(ctx context.Context) (DictOptions, error) {
	return request(ctx, d.client.read(codec.OpOptions, d.table), decodeOptions)
}

func decodeOptions(q *call) (o DictOptions, err error) {
	wire, err := govalue.UnmarshalOf[struct {
		TTL        *int64 `cyberdb:"ttl"`
		Idle       *int64 `cyberdb:"idle"`
		MaxEntries *int   `cyberdb:"max_entries"`
		MaxBytes   *int   `cyberdb:"max_bytes"`
		Policy     Policy `cyberdb:"policy"`
	}](q.reply)
	if err == nil && wire.Policy == "" { // a dict always has one
		return o, otherKind(KindDict, KindList)
	}
	return DictOptions{
		TTL:        time.Duration(orZero(wire.TTL)) * time.Millisecond,
		Idle:       time.Duration(orZero(wire.Idle)) * time.Millisecond,
		MaxEntries: orZero(wire.MaxEntries),
		MaxBytes:   orZero(wire.MaxBytes),
		Policy:     wire.Policy,
	}, err
}

// otherKind is the error of options that a table of the other kind has.
func otherKind(want, have Kind) error {
	return &Error{Want: want, Have: have, Message: "these are the options of a " + string(have), Err: ErrWrongTableKind}
}

// orZero returns what p points to, 0 if it points to nothing.
func orZero[T int | int64](p *T) T {
	if p == nil {
		return 0
	}
	return *p
}
