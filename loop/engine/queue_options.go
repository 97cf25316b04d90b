package engine

import (
	"fmt"
	"strconv"

	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/codec/value"
	"cyberdb-fast/shardmap"
)

// maxDeliveries is the largest number of deliveries that the options of a list allow.
const maxDeliveries = 1000

// queueOptions appends the options of a list.
func (x *Executor) queueOptions(list *shardmap.List) error {
	o, err := list.Options(&x.call)
	if err != nil {
		return err
	}
	x.body = msgp.AppendString(msgp.AppendMapHeader(x.body, 2), "max_deliveries")
	if o.MaxDeliveries == 0 {
		x.body = msgp.AppendNil(x.body)
	} else {
		x.body = msgp.AppendInt(x.body, o.MaxDeliveries)
	}
	x.body = msgp.AppendString(x.body, "dead_letter")
	if o.DeadLetter == "" {
		x.body = msgp.AppendNil(x.body)
	} else {
		x.body = msgp.AppendString(x.body, o.DeadLetter)
	}
	return nil
}

// readQueueOptions is readOptions for a list.
func (x *Executor) readQueueOptions(b []byte, existOK *bool) (func(o *shardmap.QueueOptions) error, error) {
	var set shardmap.QueueOptions
	var setsMax, setsDead bool
	err := eachOption(b, existOK, func(name string, val []byte) (err error) {
		switch name {
		case "max_deliveries":
			setsMax = true
			set.MaxDeliveries, err = readMaxDeliveries(val)
		case "dead_letter":
			setsDead = true
			set.DeadLetter, err = x.readDeadLetter(val)
		default:
			err = valueError(fmt.Sprintf(
				"there is no option %s: a list has max_deliveries and dead_letter", strconv.Quote(name)))
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return func(o *shardmap.QueueOptions) error {
		if setsMax {
			o.MaxDeliveries = set.MaxDeliveries
		}
		if setsDead {
			o.DeadLetter = set.DeadLetter
		}
		if (o.MaxDeliveries == 0) != (o.DeadLetter == "") {
			return valueError("max_deliveries and dead_letter are set together, or neither is")
		}
		return nil
	}, nil
}

func readMaxDeliveries(val []byte) (int, error) {
	if msgp.IsNil(val) {
		return 0, nil
	}
	n, isInt, _ := intArgument(val)
	if !isInt || msgp.NextType(val) == msgp.BoolType {
		return 0, typeError("max_deliveries is an int or None, not " + value.TypeName(val))
	}
	if n < 1 || n > maxDeliveries {
		return 0, valueError(fmt.Sprintf("max_deliveries is 1 to %d, not %s", maxDeliveries, reprOf(val)))
	}
	return int(n), nil
}

// readDeadLetter reads the name of a list of dead letters.
func (x *Executor) readDeadLetter(val []byte) (string, error) {
	if msgp.IsNil(val) {
		return "", nil
	}
	if msgp.NextType(val) != msgp.StrType {
		return "", typeError("dead_letter is a table's name or None, not " + value.TypeName(val))
	}
	name, _, err := tableName(val)
	if err == nil && string(name) == string(x.TableName) && !x.call.Replay {
		err = valueError("dead_letter is another list than the queue itself")
	}
	if err == nil {
		err = x.mayName(name)
	}
	return string(name), err
}

// eachOption calls set for each option of a map. existOK: where to put exist_ok; nil: it is not an
// option here.
func eachOption(b []byte, existOK *bool, set func(name string, val []byte) error) error {
	n, rest, err := msgp.ReadMapHeaderBytes(b)
	if err != nil {
		return typeError("options are a dict, not " + value.TypeName(b))
	}
	for range n {
		name, val, err := msgp.ReadStringZC(rest)
		if err != nil {
			return typeError("the name of an option is a str, not " + value.TypeName(rest))
		}
		size := value.Size(val)
		if string(name) == "exist_ok" && existOK != nil {
			*existOK, err = boolArgument(val[:size], "exist_ok")
		} else {
			err = set(string(name), val[:size:size])
		}
		if err != nil {
			return err
		}
		rest = val[size:]
	}
	return nil
}

// configureQueue changes options of a list.
func (x *Executor) configureQueue(list *shardmap.List) error {
	changes, err := x.readQueueOptions(x.args[0], nil)
	if err != nil {
		return err
	}
	return list.Configure(&x.call, changes)
}

// queueCreation reads the options of a list that is created.
func (x *Executor) queueCreation() (existOK bool, err error) {
	changes, err := x.readQueueOptions(x.args[0], &existOK)
	if err == nil {
		err = changes(&x.call.QueueOptions)
	}
	return existOK, err
}
