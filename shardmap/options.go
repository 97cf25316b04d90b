package shardmap

// Options are a dict's limits of time and size. The zero Options limit nothing.
type Options struct {
	TTL        int64 // milliseconds that an entry without a deadline lives after its last write; 0: for ever
	Idle       int64 // milliseconds that an entry lives after its last use, at most twice that; 0: for ever
	MaxEntries int64 // 0: no limit
	MaxBytes   int64 // of keys, values and EntryOverhead for each; 0: no limit
	Policy     Policy
}

// EntryOverhead is what Options.MaxBytes counts for an entry besides its record, in bytes.
const EntryOverhead = 24

// Options returns the dict's options.
func (d *Dict) Options() Options { return *d.options.Load() }

// CurrentOptions returns the dict's options, once the call may use the dict.
func (d *Dict) CurrentOptions(c *Call) (Options, error) {
	if _, err := d.lock(c, 0); err != nil {
		return Options{}, err
	}
	defer c.unlock()
	return d.Options(), nil
}

// Configure changes the dict's options as set says. From then on the entries that are there live by
// a new default time to live.
func (d *Dict) Configure(c *Call, set func(o *Options)) error {
	c.Version = 0
	if err := d.lockAll(c); err != nil {
		return err
	}
	defer c.unlockShards()
	o := d.Options()
	set(&o)
	d.settleHorizon(c)
	w := d.table.begin(c, 1)
	c.Version = w.first
	d.handoverSettings(&w)
	d.store.MarkTime()
	switch old := d.Options(); {
	case o.TTL == 0:
		d.since.Store(0)
	case old.TTL == 0:
		d.since.Store(c.Time)
	}
	d.setOptions(o)
	c.complete()
	return nil
}

// settleHorizon moves the horizon to what is shown, before the default time to live changes: what
// was shown as expired stays so. All shards are locked.
func (d *Dict) settleHorizon(c *Call) {
	if c.Replay {
		return
	}
	if lsn := d.hiding(c).horizon; lsn > d.horizon.Load() {
		d.setHorizon(c, lsn)
	}
}

// setOptions sets the options of a dict that is new or locked.
func (d *Dict) setOptions(o Options) {
	d.options.Store(&o)
	d.moves.Store(0)
	d.table.aging, d.table.idle = o.TTL > 0 || d.horizon.Load() > 0, o.Idle
	ages := d.table.aging || o.Idle > 0
	d.table.tracks, d.table.limited = o.tracks() || d.store.pressure.on && d.table.kind != KindLocks, o.Limited()
	d.dir.Load().each(func(s *shard) {
		s.ages = ages
		s.track(d.table.tracks)
		s.startIdling(o.Idle)
		s.schedule()
	})
	if d.excess(&o) > 0 && d.table.state.Load() == present {
		d.trimLater()
	}
	if ages {
		d.volatile.Store(true)
	}
	d.ageIfThere()
}

// ageIfThere tells the store that entries of the dict without a deadline expire, or no longer, if
// the dict is in the store.
func (d *Dict) ageIfThere() {
	if d.volatile.Load() && d.table.state.Load() == present {
		d.store.due.age(d, d.table.aging)
	}
}

// Limited reports whether the number or the bytes of the entries have a limit.
func (o *Options) Limited() bool { return o.MaxEntries > 0 || o.MaxBytes > 0 }

// tracks reports whether uses of entries are counted.
func (o *Options) tracks() bool { return o.Idle > 0 || o.Limited() && o.InForce() == S3FIFO }

// InForce returns the policy, with the default put in.
func (o *Options) InForce() Policy {
	switch {
	case o.Policy != DefaultPolicy:
		return o.Policy
	case o.Limited():
		return S3FIFO
	}
	return NoEviction
}

// Policy says what a dict does at its limit.
type Policy uint8

// The policies. Stored in files: do not change.
const (
	DefaultPolicy   Policy = iota // S3FIFO if there is a limit
	NoEviction                    // what adds an entry is refused
	S3FIFO                        // entries that are not used make room
	NearestDeadline               // the entry that expires first makes room; one without a deadline never does
)

var policyNames = [...]string{"", "none", "s3fifo", "ttl"}

// String returns the policy's name; "" for the default.
func (p Policy) String() string { return policyNames[p] }

// ParsePolicy returns the policy with a name, which is not the default.
func ParsePolicy(name string) (Policy, bool) {
	for p, other := range policyNames {
		if p > 0 && name == other {
			return Policy(p), true
		}
	}
	return 0, false
}
