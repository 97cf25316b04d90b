package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/zeebo/xxh3"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/codec/value"
)

// tables makes a dict "d" and a list "l" and returns a connection.
func (a *attack) tables() (*conn, error) {
	c, err := a.enter()
	if err != nil {
		return nil, err
	}
	return c, errors.Join(c.ok(codec.OpCreateDict, "d", false, "k", "v"), c.ok(codec.OpCreateList, "l", false, 1, 2, 3))
}

// nested returns lists in lists.
func nested(depth int) raw { return append(bytes.Repeat([]byte{0x91}, depth-1), 0x90) }

// deepNesting sends values that are nested too deep, in every argument.
func deepNesting(a *attack) error {
	if _, err := a.tables(); err != nil {
		return err
	}
	return each(8, 8, func(int) error {
		c, err := a.enter()
		if err != nil {
			return err
		}
		for _, depth := range []int{value.MaxDepth + 1, 1000, 100_000, 1 << 20, 30 << 20} {
			deep := nested(depth)
			if err := errors.Join(
				c.gets(codec.StatusValueError, codec.OpDictSet, "d", "k", deep),
				c.gets(codec.StatusValueError, codec.OpDictGet, "d", deep),
				c.gets(
					codec.StatusValueError,
					codec.OpListExtend,
					"l",
					1,
					deep,
				),
				c.gets(codec.StatusValueError, codec.OpListSort, "l", deep, false),
			); err != nil {
				return fmt.Errorf("%d deep: %w", depth, err)
			}
		}
		return nil
	})
}

// hollow sends values that claim to be large and are not.
func hollow(a *attack) error {
	if _, err := a.tables(); err != nil {
		return err
	}
	values := []raw{
		{0xdb, 0x01, 0xff, 0xff, 0xff},
		{0xc6, 0x01, 0xff, 0xff, 0xff},
		{0xc9, 0x01, 0xff, 0xff, 0xff, 2},
		{0xdd, 0x00, 0x0f, 0xff, 0xff},
		{0xdf, 0x00, 0x0f, 0xff, 0xff},
		{0xc7, 5, 3, 0xdd, 0x00, 0x0f, 0xff, 0xff},
		{0xdd, 0xff, 0xff, 0xff, 0xff},
		{0xdf, 0xff, 0xff, 0xff, 0xff},
		{0xdb, 0xff, 0xff, 0xff, 0xff},
		{0xc9, 0xff, 0xff, 0xff, 0xff, 1},
		bytes.Repeat(raw{0xdd, 0x00, 0x0f, 0xff, 0xff}, 100),
	}
	return forTime(2*time.Second, 8, func(int) error {
		c, err := a.enter()
		if err != nil {
			return err
		}
		defer c.Close()
		for _, v := range values {
			for _, op := range []codec.Opcode{codec.OpDictSet, codec.OpDictUpdate, codec.OpDictIncrement} {
				reply, err := c.call(op, "d", "k", v)
				if err != nil {
					return err
				}
				switch reply.Status {
				case codec.StatusBadArguments, codec.StatusTooLarge, codec.StatusValueError:
				default:
					return fmt.Errorf("%x: %v", v, reply.Status)
				}
			}
		}
		return nil
	})
}

// elementBombs sends too many elements in few bytes.
func elementBombs(a *attack) error {
	if _, err := a.tables(); err != nil {
		return err
	}
	return each(6, 6, func(int) error {
		c, err := a.enter()
		if err != nil {
			return err
		}
		zeros := make(raw, codec.MaxArguments+1)
		list := append(raw{0xdd, 0x00, 0x10, 0x00, 0x01}, zeros...)
		for range 3 {
			if err := errors.Join(
				c.gets(codec.StatusTooLarge, codec.OpListExtend, "l", zeros),
				c.gets(codec.StatusTooLarge, codec.OpDictGetMany, "d", zeros),
				c.gets(
					codec.StatusTooLarge,
					codec.OpDictSet,
					"d",
					"k",
					list,
				),
				c.gets(codec.StatusTooLarge, codec.OpListSetSlice, "l", 0, 1, nil, zeros),
			); err != nil {
				return err
			}
		}
		return c.ok(codec.OpPing)
	})
}

// damaged damages values and uses them as value, key, number and sort key.
func damaged(a *attack) error {
	if _, err := a.tables(); err != nil {
		return err
	}
	seeds := []raw{
		encoded(
			1 << 40,
		),
		encoded("text"),
		encoded([]any{1, "a", nil}),
		encoded(map[any]any{"a": 1}),
		encoded(1.5),
		encoded([]byte("bytes")),
		{0xc7, 3, 2, 1, 2, 3},
		{0xd6, 0xff, 1, 2, 3, 4},
		{0xc7, 5, 3, 0x92, 1, 2, 3, 4},
		nested(20),
		{0xd8, 6, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
	}
	return each(8, 8, func(i int) error {
		c, err := a.enter()
		if err != nil {
			return err
		}
		rng := a.rand(i)
		for range 1500 {
			v := bytes.Clone(seeds[rng.IntN(len(seeds))])
			for range 1 + rng.IntN(3) {
				v[rng.IntN(len(v))] = byte(rng.Uint32())
			}
			requests := []struct {
				op   codec.Opcode
				args []any
			}{
				{codec.OpDictSet, []any{"d", "k", raw(v)}},
				{codec.OpDictSetDefault, []any{"d", raw(v), raw(v)}},
				{codec.OpDictIncrement, []any{"d", raw(v), raw(v)}},
				{codec.OpListSort, []any{"l", raw(v), false}},
				{codec.OpListSlice, []any{"l", raw(v), raw(v), raw(v)}},
				{codec.OpDictScan, []any{"d", raw(v), raw(v)}},
				{codec.OpListSet, []any{"l", 0, raw(v)}},
				{codec.OpRename, []any{"absent", raw(v)}},
			}
			r := requests[rng.IntN(len(requests))]
			reply, err := c.call(r.op, r.args...)
			if err != nil || reply.Status == codec.StatusInternal {
				return fmt.Errorf("%v of %x: %v, %w", r.op, v, reply.Status, err)
			}
		}
		return nil
	})
}

// giantKeys uses keys of the largest size. Replies do not repeat them.
func giantKeys(a *attack) error {
	if _, err := a.tables(); err != nil {
		return err
	}
	return each(4, 4, func(i int) error {
		c, err := a.enter()
		if err != nil {
			return err
		}
		for _, n := range []int{1 << 20, 8 << 20, value.MaxValueBytes - 8} {
			key := append(bytes.Repeat([]byte{'k'}, n-1), byte(i))
			reply, err := c.call(codec.OpDictGet, "d", key)
			if err != nil || reply.Status != codec.StatusKeyError || len(reply.Body) > 1<<16 {
				return fmt.Errorf("a key of %d bytes: %v, %d bytes, %w", n, reply.Status, len(reply.Body), err)
			}
			if err := errors.Join(
				c.ok(codec.OpDictSet, "d", key, 1),
				c.ok(codec.OpDictDelete, "d", key),
				c.gets(codec.StatusTypeError, codec.OpDictGet, "d", []any{key[:n/2]}),
			); err != nil {
				return err
			}
		}
		tooLarge := raw(
			append(
				binary.BigEndian.AppendUint32([]byte{0xc6}, value.MaxValueBytes),
				make([]byte, value.MaxValueBytes)...),
		)
		return c.gets(codec.StatusTooLarge, codec.OpDictGet, "d", tooLarge)
	})
}

// numberBombs compares, adds and prints numbers that would be enormous if they were written out.
func numberBombs(a *attack) error {
	if _, err := a.tables(); err != nil {
		return err
	}
	ext := func(code byte, text string) raw {
		return append(binary.BigEndian.AppendUint32([]byte{0xc9}, uint32(len(text))), append([]byte{code}, text...)...)
	}
	var numbers []raw
	for code := range byte(32) {
		for _, text := range []string{
			"1E+999999999", "-1E+999999999999999999", "1E-999999999", strings.Repeat("9", 100_000),
			"9" + strings.Repeat("0", 1_000_000), strings.Repeat("\xff", 1_000_000),
		} {
			numbers = append(numbers, ext(code, text))
		}
	}
	return each(len(numbers), 8, func(i int) error {
		w, err := a.enter()
		if err != nil {
			return err
		}
		defer w.Close()
		v := numbers[i]
		for _, args := range []struct {
			op   codec.Opcode
			args []any
		}{
			{codec.OpDictSet, []any{"d", v, 1}},
			{codec.OpDictGet, []any{"d", v}},
			{codec.OpDictSet, []any{"d", i, v}},
			{codec.OpDictIncrement, []any{"d", i, v}},
			{codec.OpDictIncrement, []any{"d", i, 1}},
			{codec.OpListAppend, []any{"l", v}},
			{codec.OpListCount, []any{"l", v}},
			{codec.OpListSort, []any{"l", nil, false}},
			{codec.OpListSort, []any{"l", []any{"str", nil}, false}},
			{codec.OpDictCompareAndSet, []any{"d", i, v, v}},
			{codec.OpListRemove, []any{"l", v}},
		} {
			reply, err := w.call(args.op, args.args...)
			if err != nil || reply.Status == codec.StatusInternal {
				return fmt.Errorf("%v of %.60q: %v, %w", args.op, v, reply.Status, err)
			}
		}
		return nil
	})
}

// sortBombs makes many clients sort, reverse, count and update large tables concurrently.
func sortBombs(a *attack) error {
	c, err := a.tables()
	if err != nil {
		return err
	}
	n := 200_000
	if a.race {
		n /= 10
	}
	rng := a.rand(0)
	args := []any{"l"}
	for range n {
		args = append(args, rng.Int64())
	}
	if err := c.ok(codec.OpListExtend, args...); err != nil {
		return err
	}
	update := []any{"d"}
	for i := range n / 4 {
		update = append(update, i, i)
	}
	return each(24, 24, func(i int) error {
		c, err := a.enter()
		if err != nil {
			return err
		}
		for range 2 {
			for _, err := range []error{
				c.ok(codec.OpListSort, "l", []any{"neg", nil}, i%2 == 0), c.ok(codec.OpListReverse, "l"),
				c.ok(codec.OpListCount, "l", -1), c.gets(codec.StatusValueError, codec.OpListIndex, "l", -1),
				c.ok(codec.OpDictUpdate, update...), c.ok(codec.OpListSlice, "l", nil, nil, -7),
			} {
				if err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// flooding stores keys that collide if the hash has no secret seed. They must cost no more than
// others.
func flooding(a *attack) error {
	const keys, bits = 3000, 12
	var collide, others []any
	for i := 0; len(collide) < keys; i++ {
		key := fmt.Sprint("key ", i)
		if hash := xxh3.Hash(encoded(key)); hash&(1<<bits-1) == 0 && hash>>60 == 0 || hash&(1<<bits-1) == 1<<bits-1 {
			collide = append(collide, key, i)
		} else if len(others) < 2*keys {
			others = append(others, key, i)
		}
	}
	c, err := a.enter()
	if err != nil {
		return err
	}
	timed := func(name string, pairs []any) (time.Duration, error) {
		if err := c.ok(codec.OpCreateDict, name, false); err != nil {
			return 0, err
		}
		start := time.Now()
		for range 30 {
			if err := errors.Join(
				c.ok(codec.OpDictUpdate, append([]any{name}, pairs...)...),
				c.ok(codec.OpDictClear, name),
			); err != nil {
				return 0, err
			}
		}
		return time.Since(start), nil
	}
	usual, err := timed("others", others[:len(collide)])
	if err != nil {
		return err
	}
	took, err := timed("collide", collide)
	if err == nil && took > 5*usual+100*time.Millisecond {
		err = fmt.Errorf("keys chosen to collide took %v, others %v", took, usual)
	}
	return err
}

// decoded returns the values of a reply.
func decoded(b []byte) (all []any, err error) {
	for len(b) > 0 {
		v, n, err := govalue.Decode(b)
		if err != nil {
			return nil, err
		}
		all, b = append(all, v), b[n:]
	}
	return all, nil
}
