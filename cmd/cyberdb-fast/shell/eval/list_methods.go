package eval

import (
	"context"
	"maps"
	"math"
	"slices"

	"cyberdb-fast/client"
	"cyberdb-fast/codec/govalue"
)

type encodedList = client.List[govalue.Encoded]

// listMethods are the methods of lists. init breaks the circle: their bodies evaluate calls.
var listMethods map[string]function

func init() {
	listMethods = map[string]function{
		"append":     {"value", "adds value at the end", onValue((*encodedList).Append)},
		"appendleft": {"value", "adds value at the front", onValue((*encodedList).AppendLeft)},
		"remove":     {"value", "removes the first element that equals value", onValue((*encodedList).Remove)},
		"extend": {"values", "adds all of values at the end", func(c *call) (object, error) {
			vals, err := c.elements(c.args["values"])
			if err != nil {
				return nil, err
			}
			return nothing{}, c.table.list().Extend(c.ctx, vals...)
		}},
		"insert": {"index, value", "inserts value before index", func(c *call) (object, error) {
			i, err := c.integer("index", 0)
			if err != nil {
				return nil, err
			}
			val, err := c.given("value")
			if err != nil {
				return nil, err
			}
			return nothing{}, c.table.list().Insert(c.ctx, i, val)
		}},
		"pop": {
			"index=-1, *, wait=None", "removes the element at index and returns it; the last one is waited for",
			(*call).pop,
		},
		"popleft": {
			"*, wait=None", "removes the first element and returns it, after a wait if need be", (*call).popLeft,
		},
		"count": {"value", "the number of elements that equal value", func(c *call) (object, error) {
			val, err := c.given("value")
			if err != nil {
				return nil, err
			}
			n, err := c.table.list().Count(c.ctx, val)
			return integer(n), err
		}},
		"index": {"value, start=0, stop=None", "the index of the first element that equals value", (*call).find},
		"sort":  {"*, key=None, reverse=False", "sorts the list in the server", (*call).sort},
		"reverse": {"", "reverses the list", func(c *call) (object, error) {
			return nothing{}, c.table.list().Reverse(c.ctx)
		}},
		"clear": {"", "removes all elements", func(c *call) (object, error) {
			return nothing{}, c.table.list().Clear(c.ctx)
		}},
		"copy": {"", "all elements as of one moment, as a value", func(c *call) (object, error) {
			vals, err := c.table.list().Values(c.ctx)
			if err != nil {
				return nil, err
			}
			return listOf(vals), nil
		}},
	}
	maps.Copy(listMethods, queueMethods())
}

func (c *call) pop() (object, error) {
	i, err := c.integer("index", -1)
	if err != nil {
		return nil, err
	}
	if !c.has("wait") {
		return c.table.list().PopAt(c.ctx, i)
	}
	if i != -1 {
		return nil, valueError("pop waits for the last element alone: an index and wait exclude each other")
	}
	wait, err := c.seconds("wait")
	if err != nil {
		return nil, err
	}
	return c.table.list().PopWait(c.ctx, wait)
}

func (c *call) popLeft() (object, error) {
	if !c.has("wait") {
		return c.table.list().PopLeft(c.ctx)
	}
	wait, err := c.seconds("wait")
	if err != nil {
		return nil, err
	}
	return c.table.list().PopLeftWait(c.ctx, wait)
}

// onValue is a method that does something with a value.
func onValue(do func(l *encodedList, ctx context.Context, val govalue.Encoded) error) func(c *call) (object, error) {
	return func(c *call) (object, error) {
		val, err := c.given("value")
		if err != nil {
			return nil, err
		}
		return nothing{}, do(c.table.list(), c.ctx, val)
	}
}

func (c *call) find() (object, error) {
	val, err := c.given("value")
	if err != nil {
		return nil, err
	}
	start, err := c.part(c.args["start"])
	if err != nil {
		return nil, err
	}
	stop, err := c.part(c.args["stop"])
	if err != nil {
		return nil, err
	}
	if stop == math.MaxInt {
		stop = client.None
	}
	i, err := c.table.list().IndexIn(c.ctx, val, start, stop)
	return integer(i), err
}

func methodsOf(kind client.Kind) map[string]function {
	if kind == client.KindList {
		return listMethods
	}
	return dictMethods
}

// Methods returns the names of the methods of a kind of tables, in order.
func Methods(kind client.Kind) []string { return slices.Sorted(maps.Keys(methodsOf(kind))) }

// Describe returns the arguments of a method, and what it does.
func Describe(kind client.Kind, name string) (signature, help string, ok bool) {
	f, ok := methodsOf(kind)[name]
	return f.signature, f.help, ok
}

// Functions returns the names of the functions of the shell, in order.
func Functions() []string { return slices.Sorted(maps.Keys(functions)) }
