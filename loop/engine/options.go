package engine

import (
	"fmt"
	"strconv"

	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/value"
	"cyberdb-fast/shardmap"
)

// maxLimit is the largest limit of a dict.
const maxLimit = 1 << 48

// timeToLive sets the time to live of what the request writes.
func (x *Executor) timeToLive(req *codec.Request, command *Command, shape *codec.Shape) error {
	x.call.TTL = shardmap.DefaultTTL
	if req.Flags&codec.FlagTimeToLive == 0 {
		return nil
	}
	switch {
	case !command.Lives:
		return unsupported(shape.Name + " does not take the flag TIME TO LIVE")
	case req.TTL == codec.Persist:
		x.call.TTL = shardmap.ForeverTTL
	case req.TTL == codec.KeepTimeToLive:
		x.call.TTL = shardmap.KeepTTL
	case req.TTL < 0 || req.TTL > codec.MaxTimeToLive:
		return &codec.Error{
			Status:  codec.StatusValueError,
			Message: fmt.Sprintf("a time to live is 1 to %d milliseconds, not %d", int64(codec.MaxTimeToLive), req.TTL),
		}
	default:
		x.call.TTL = req.TTL
	}
	return nil
}

// dictTTL returns how long an entry still lives.
func dictTTL(x *Executor) error {
	left, err := x.Table.Dict().TTL(&x.call, x.args[0])
	switch {
	case err != nil:
		return err
	case left == 0:
		x.body = msgp.AppendNil(x.body)
	default:
		x.body = msgp.AppendInt64(x.body, left)
	}
	return nil
}

func dictExpire(x *Executor) error {
	if x.call.TTL == shardmap.DefaultTTL || x.call.TTL == shardmap.KeepTTL {
		return &codec.Error{
			Status:  codec.StatusBadArguments,
			Message: "DICT EXPIRE needs the flag TIME TO LIVE, with the new time to live or 0",
		}
	}
	return x.Table.Dict().Expire(&x.call, x.args[0])
}

func dictTouch(x *Executor) error { return x.Table.Dict().Touch(&x.call, x.args[0]) }

// creation reads the second argument of a creation: exist_ok, or options. It sets the
// options of the table that is created.
func (x *Executor) creation(kind shardmap.Kind) (existOK bool, err error) {
	x.call.Options, x.call.QueueOptions = shardmap.Options{}, shardmap.QueueOptions{}
	if msgp.NextType(x.args[0]) != msgp.MapType {
		return boolArgument(x.args[0], "exist_ok")
	}
	if kind == shardmap.KindList {
		return x.queueCreation()
	}
	changes, err := readOptions(x.args[0], &existOK)
	if err != nil {
		return false, err
	}
	changes(&x.call.Options)
	return existOK, nil
}

// configure changes options of a dict or a list.
func configure(x *Executor) error {
	switch x.Table.Kind() {
	case shardmap.KindDict:
	case shardmap.KindList:
		return x.configureQueue(x.Table.List())
	default:
		return shardmap.ErrKind
	}
	changes, err := readOptions(x.args[0], nil)
	if err != nil {
		return err
	}
	return x.Table.Dict().Configure(&x.call, changes)
}

// options returns the options of a dict or a list.
func options(x *Executor) error {
	switch x.Table.Kind() {
	case shardmap.KindDict:
	case shardmap.KindList:
		return x.queueOptions(x.Table.List())
	default:
		return shardmap.ErrKind
	}
	o, err := x.Table.Dict().CurrentOptions(&x.call)
	if err != nil {
		return err
	}
	x.body = msgp.AppendMapHeader(x.body, 5)
	for _, option := range []struct {
		name string
		n    int64
	}{{"ttl", o.TTL}, {"idle", o.Idle}, {"max_entries", o.MaxEntries}, {"max_bytes", o.MaxBytes}} {
		x.body = msgp.AppendString(x.body, option.name)
		if option.n == 0 {
			x.body = msgp.AppendNil(x.body)
		} else {
			x.body = msgp.AppendInt64(x.body, option.n)
		}
	}
	x.body = msgp.AppendString(x.body, "policy")
	x.body = msgp.AppendString(x.body, o.InForce().String())
	return nil
}

// readOptions reads a map of options and returns what makes these changes. existOK: where to put
// exist_ok; nil: it is not an option here.
func readOptions(b []byte, existOK *bool) (changes func(o *shardmap.Options), err error) {
	var sets []func(o *shardmap.Options)
	err = eachOption(b, existOK, func(name string, val []byte) error {
		set, err := readOption(name, val)
		sets = append(sets, set)
		return err
	})
	if err != nil {
		return nil, err
	}
	return func(o *shardmap.Options) {
		for _, set := range sets {
			set(o)
		}
	}, nil
}

// readOption reads the value of an option and returns what sets it.
func readOption(name string, val []byte) (set func(o *shardmap.Options), err error) {
	if name == "policy" {
		p, err := readPolicy(val)
		return func(o *shardmap.Options) { o.Policy = p }, err
	}
	most := int64(maxLimit)
	switch name {
	case "ttl", "idle":
		most = codec.MaxTimeToLive
	case "max_entries", "max_bytes":
	default:
		return nil, valueError(fmt.Sprintf(
			"there is no option %s: a dict has ttl, idle, max_entries, max_bytes and policy", strconv.Quote(name)))
	}
	n := int64(0)
	if msgp.NextType(val) != msgp.NilType {
		var isInt bool
		n, isInt, _ = intArgument(val)
		if !isInt || msgp.NextType(val) == msgp.BoolType {
			return nil, typeError(fmt.Sprintf("%s is an int or None, not %s", name, value.TypeName(val)))
		}
		if n < 1 || n > most {
			return nil, valueError(fmt.Sprintf("%s is 1 to %d, not %s", name, most, reprOf(val)))
		}
	}
	return func(o *shardmap.Options) {
		switch name {
		case "ttl":
			o.TTL = n
		case "idle":
			o.Idle = n
		case "max_entries":
			o.MaxEntries = n
		case "max_bytes":
			o.MaxBytes = n
		}
	}, nil
}

// readPolicy reads the policy at a limit.
func readPolicy(val []byte) (shardmap.Policy, error) {
	if msgp.NextType(val) == msgp.NilType {
		return shardmap.DefaultPolicy, nil
	}
	name, _, err := msgp.ReadStringZC(val)
	if err != nil {
		return 0, typeError("policy is a str or None, not " + value.TypeName(val))
	}
	p, ok := shardmap.ParsePolicy(string(name))
	if !ok {
		return 0, valueError(fmt.Sprintf("policy is 'none', 's3fifo' or 'ttl', not %s", reprOf(val)))
	}
	return p, nil
}

func valueError(message string) error {
	return &codec.Error{Status: codec.StatusValueError, Message: message}
}
