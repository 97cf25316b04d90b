package eval

import (
	"context"
	"errors"
	"iter"

	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/client"
	"cyberdb-fast/cmd/cyberdb-fast/shell/syntax"
	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/codec/value"
)

type encodedDict = client.Dict[govalue.Encoded, govalue.Encoded]

// dictMethods are the methods of dicts. init breaks the circle: their bodies evaluate calls.
var dictMethods map[string]function

func init() {
	dictMethods = map[string]function{
		"get":     {"key, default=None", "the value of key, or default", (*call).dictGet},
		"set":     {"key, value, *, ttl=None, keep_ttl=False", "sets key; ttl in seconds", (*call).dictSet},
		"add":     {"key, value, *, ttl=None", "sets key if it is missing; whether it was", setIf(client.Absent)},
		"replace": {"key, value, *, ttl=None", "sets key if it is there; whether it was", setIf(client.Present)},
		"setdefault": {
			"key, default=None, *, ttl=None",
			"the value of key, which is set first if missing",
			(*call).setDefault,
		},
		"delete_many": {"keys", "removes many keys at once, and returns those that were there", (*call).deleteMany},
		"delete":      {"key", "removes key", onKey((*encodedDict).Delete)},
		"pop":         {"key, default=...", "removes key and returns its value", (*call).dictPop},
		"popitem":     {"", "removes and returns the newest item", (*call).popItem},
		"clear": {"", "removes all items", func(c *call) (object, error) {
			return nothing{}, c.table.dict().Clear(c.ctx)
		}},
		"update":   {"items={}, *, ttl=None, **others", "sets many keys at once", (*call).update},
		"set_many": {"items, *, ttl=None", "sets many keys at once", (*call).update},
		"get_many": {"keys", "a dict of those keys that are there", (*call).getMany},
		"items":    {"", "all items, page by page", func(c *call) (object, error) { return pairsOf(c.table), nil }},
		"keys":     {"", "all keys, page by page", func(c *call) (object, error) { return c.table.all().keys(), nil }},
		"values": {
			"",
			"all values, page by page",
			func(c *call) (object, error) { return c.table.all().values(), nil },
		},
		"copy": {"", "all items as of one moment, as a value", (*call).copyDict},
		"increment": {
			"key, by=1, *, ttl=None", "adds to the value of key, and returns the sum", (*call).increment,
		},
		"compare_and_set": {
			"key, old, new, *, ttl=None",
			"sets key to new if its value is old; ABSENT for no value",
			(*call).compareAndSet,
		},
		"ttl":     {"key", "the seconds until key expires, or None", (*call).timeToLive},
		"expire":  {"key, ttl", "makes key expire after so many seconds", (*call).expire},
		"persist": {"key", "removes the deadline of key", onKey((*encodedDict).Persist)},
		"touch":   {"key", "restarts the idle time of key", onKey((*encodedDict).Touch)},
		"configure": {
			"*, " + limitParameters, "changes limits of the dict; None removes one", (*call).configure,
		},
		"options": {"", "the limits of the dict", (*call).options},
	}
}

// onKey is a method that does something with a key.
func onKey(do func(d *encodedDict, ctx context.Context, key govalue.Encoded) error) func(c *call) (object, error) {
	return func(c *call) (object, error) {
		key, err := c.given("key")
		if err != nil {
			return nil, err
		}
		return nothing{}, do(c.table.dict(), c.ctx, key)
	}
}

// expiring returns the dict with the time to live that is given.
func (c *call) expiring() (*encodedDict, error) {
	d := c.table.dict()
	ttl, given, err := c.duration("ttl")
	if err != nil || !given {
		return d, err
	}
	return d.WithTTL(ttl), nil
}

func (c *call) dictGet() (object, error) {
	key, otherwise, err := c.two("key", "default")
	if err != nil {
		return nil, err
	}
	return c.table.dict().GetOr(c.ctx, key, otherwise)
}

func (c *call) dictSet() (object, error) {
	key, val, err := c.two("key", "value")
	if err != nil {
		return nil, err
	}
	keep, err := c.flag("keep_ttl")
	if err != nil {
		return nil, err
	}
	d, err := c.expiring()
	if err != nil {
		return nil, err
	}
	if keep {
		if c.has("ttl") {
			return nil, valueError("ttl and keep_ttl exclude each other")
		}
		d = d.KeepTTL()
	}
	return nothing{}, d.Set(c.ctx, key, val)
}

// setIf is a method that sets a key if its version is the given one.
func setIf(version client.Version) func(c *call) (object, error) {
	return func(c *call) (object, error) {
		key, val, err := c.two("key", "value")
		if err != nil {
			return nil, err
		}
		d, err := c.expiring()
		if err != nil {
			return nil, err
		}
		_, err = d.SetIf(c.ctx, key, val, version)
		if errors.Is(err, client.ErrVersionMismatch) {
			return boolean(false), nil
		}
		return boolean(true), err
	}
}

func (c *call) setDefault() (object, error) {
	key, otherwise, err := c.two("key", "default")
	if err != nil {
		return nil, err
	}
	d, err := c.expiring()
	if err != nil {
		return nil, err
	}
	return d.SetDefault(c.ctx, key, otherwise)
}

func (c *call) dictPop() (object, error) {
	key, otherwise, err := c.two("key", "default")
	if err != nil {
		return nil, err
	}
	if !c.has("default") {
		return c.table.dict().Pop(c.ctx, key)
	}
	return c.table.dict().PopOr(c.ctx, key, otherwise)
}

func (c *call) popItem() (object, error) {
	item, err := c.table.dict().PopItem(c.ctx)
	if err != nil {
		return nil, err
	}
	return tupleOf(item.Key, item.Value), nil
}

// tupleOf returns a tuple of values.
func tupleOf(vals ...govalue.Encoded) govalue.Encoded {
	b := msgp.AppendArrayHeader(nil, uint32(len(vals)))
	for _, val := range vals {
		b = append(b, val...)
	}
	return value.WrapExt(b, 0, value.ExtTuple)
}

func (c *call) update() (object, error) {
	d, err := c.expiring()
	if err != nil {
		return nil, err
	}
	var items pairs
	if c.has("items") {
		if items, err = c.items("items"); err != nil {
			return nil, err
		}
	}
	for _, k := range c.more {
		val, err := c.value(k.Value)
		if err != nil {
			return nil, err
		}
		if err := items.set(msgp.AppendString(nil, k.Name), val); err != nil {
			return nil, err
		}
	}
	return nothing{}, d.Update(c.ctx, iter.Seq2[govalue.Encoded, govalue.Encoded](items.all))
}

func (c *call) getMany() (object, error) {
	keys, err := c.elements(c.args["keys"])
	if err != nil {
		return nil, err
	}
	entries, err := c.table.dict().GetMany(c.ctx, keys...)
	if err != nil {
		return nil, err
	}
	var found pairs
	for i, entry := range entries {
		if entry.Found {
			if err := found.set(keys[i], entry.Value); err != nil {
				return nil, err
			}
		}
	}
	return govalue.Encoded(found.append(nil)), nil
}

func (c *call) deleteMany() (object, error) {
	keys, err := c.elements(c.args["keys"])
	if err != nil {
		return nil, err
	}
	were, err := c.table.dict().DeleteMany(c.ctx, keys...)
	if err != nil {
		return nil, err
	}
	var deleted []govalue.Encoded
	for i, key := range keys {
		if were[i] {
			deleted = append(deleted, key)
		}
	}
	return listOf(deleted), nil
}

// pairsOf are the items of a dict as pairs.
func pairsOf(t *table) *Sequence { return &Sequence{Pairs, t.all().Each} }

func (c *call) copyDict() (object, error) {
	items, err := c.table.dict().Items(c.ctx)
	if err != nil {
		return nil, err
	}
	b := msgp.AppendMapHeader(nil, uint32(len(items)))
	for _, item := range items {
		b = append(append(b, item.Key...), item.Value...)
	}
	return govalue.Encoded(b), nil
}

func (c *call) increment() (object, error) {
	key, err := c.given("key")
	if err != nil {
		return nil, err
	}
	by := integer(1)
	if c.has("by") {
		if by, err = c.given("by"); err != nil {
			return nil, err
		}
	}
	d, err := c.expiring()
	if err != nil {
		return nil, err
	}
	return d.Increment(c.ctx, key, by)
}

func (c *call) compareAndSet() (object, error) {
	key, err := c.given("key")
	if err != nil {
		return nil, err
	}
	d, err := c.expiring()
	if err != nil {
		return nil, err
	}
	noOld, noNew := isAbsent(c.args["old"]), isAbsent(c.args["new"])
	var old, val govalue.Encoded
	if !noOld {
		if old, err = c.given("old"); err != nil {
			return nil, err
		}
	}
	if !noNew {
		if val, err = c.given("new"); err != nil {
			return nil, err
		}
	}
	var done bool
	switch {
	case noOld && noNew:
		done, err = d.Contains(c.ctx, key)
		done = !done
	case noOld:
		done, err = d.SetIfAbsent(c.ctx, key, val)
	case noNew:
		done, err = d.DeleteIfEqual(c.ctx, key, old)
	default:
		done, err = d.CompareAndSet(c.ctx, key, old, val)
	}
	return boolean(done), err
}

// isAbsent reports whether an argument is ABSENT, which stands for no value.
func isAbsent(n syntax.Node) bool {
	name, ok := n.(syntax.Name)
	return ok && name.Name == "ABSENT"
}

func (c *call) timeToLive() (object, error) {
	key, err := c.given("key")
	if err != nil {
		return nil, err
	}
	left, expires, err := c.table.dict().TTL(c.ctx, key)
	if err != nil || !expires {
		return govalue.Encoded(msgp.AppendNil(nil)), err
	}
	return govalue.Encoded(msgp.AppendFloat64(nil, left.Seconds())), nil
}

func (c *call) expire() (object, error) {
	key, err := c.given("key")
	if err != nil {
		return nil, err
	}
	ttl, given, err := c.duration("ttl")
	if err != nil {
		return nil, err
	}
	if !given {
		return nil, typeError("ttl is a number of seconds or a timedelta; .persist(key) removes the deadline")
	}
	return nothing{}, c.table.dict().Expire(c.ctx, key, ttl)
}

// configure changes the limits that are given; one that is None is removed.
func (c *call) configure() (object, error) {
	o, err := c.limits()
	if err != nil {
		return nil, err
	}
	if c.has("ttl") && o.TTL == 0 {
		o.TTL = client.None
	}
	if c.has("idle") && o.Idle == 0 {
		o.Idle = client.None
	}
	if c.has("max_entries") && o.MaxEntries == 0 {
		o.MaxEntries = client.None
	}
	if c.has("max_bytes") && o.MaxBytes == 0 {
		o.MaxBytes = client.None
	}
	if c.has("policy") && o.Policy == "" {
		o.Policy = client.DefaultPolicy
	}
	return nothing{}, c.table.dict().Configure(c.ctx, o)
}

func (c *call) options() (object, error) {
	o, err := c.table.dict().Options(c.ctx)
	if err != nil {
		return nil, err
	}
	orNone := func(given bool, v any) any {
		if !given {
			return nil
		}
		return v
	}
	return encoded(govalue.Dict{
		{Key: "ttl", Value: orNone(o.TTL != 0, o.TTL.Seconds())},
		{Key: "idle", Value: orNone(o.Idle != 0, o.Idle.Seconds())},
		{Key: "max_entries", Value: orNone(o.MaxEntries != 0, o.MaxEntries)},
		{Key: "max_bytes", Value: orNone(o.MaxBytes != 0, o.MaxBytes)},
		{Key: "policy", Value: string(o.Policy)},
	})
}

// encoded returns a Go value as a value.
func encoded(v any) (object, error) {
	b, err := govalue.Marshal(v)
	return govalue.Encoded(b), err
}
