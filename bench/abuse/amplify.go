package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/codec/value"
)

// Small requests that cost much work or much memory.

// asks sends requests in one write and reads their replies, which must have one of the statuses.
func (c *conn) asks(requests []byte, n int, statuses ...codec.Status) error {
	if err := c.send(requests); err != nil {
		return err
	}
	for range n {
		reply, err := c.reply()
		if err != nil {
			return err
		}
		if !slices.Contains(statuses, reply.Status) {
			problem, err := codec.ParseErrorBody(reply.Status, reply.Body)
			return errors.Join(fmt.Errorf("%v: %w", reply.Status, problem), err)
		}
	}
	return nil
}

// repeatedly makes clients send pipelines of the same request, several times.
func (a *attack) repeatedly(clients, pipeline, times int, statuses []codec.Status, op codec.Opcode, args ...any) error {
	if a.race {
		times = 1
	}
	return each(clients, clients, func(int) error {
		c, err := a.enter()
		if err != nil {
			return err
		}
		for range times {
			var frames []byte
			for range pipeline {
				frames = append(frames, c.request(op, args...)...)
			}
			if err := c.asks(frames, pipeline, statuses...); err != nil {
				return fmt.Errorf("%v: %w", op, err)
			}
		}
		return nil
	})
}

// turns nests forms of sort keys in each other, in turns.
func turns(times int, forms ...string) (key any) {
	for i := range times {
		key = []any{forms[i%len(forms)], key}
	}
	return key
}

// pow is base to the exponent.
func pow(base, exponent int64) *big.Int {
	return new(big.Int).Exp(big.NewInt(base), big.NewInt(exponent), nil)
}

// explodingSortKeys nests forms whose results double at each level.
func explodingSortKeys(a *attack) error {
	c, err := a.tables()
	if err != nil {
		return err
	}
	elems := []any{"\\", "\\'\"", strings.Repeat("\\", 5000), strings.Repeat("\x00", 5000)}
	if err := c.ok(codec.OpCreateList, append([]any{"texts", false}, elems...)...); err != nil {
		return err
	}
	for depth := range 60 {
		for _, forms := range [][]string{{"tuple", "str"}, {"tuple", "str", "lower"}, {"str", "tuple", "tuple"}} {
			key := turns(depth, forms...)
			if err := a.repeatedly(
				2,
				4,
				1,
				[]codec.Status{codec.StatusOK, codec.StatusValueError},
				codec.OpListSort,
				"texts",
				key,
				depth%2 == 0,
			); err != nil {
				return fmt.Errorf("%d deep: %w", depth, err)
			}
		}
	}
	return c.ok(codec.OpListExtend, append([]any{"texts"}, elems...)...)
}

// wideSortKeys asks for many copies of large elements, at a server whose memory is limited.
func wideSortKeys(a *attack) error {
	c, err := a.tables()
	if err != nil {
		return err
	}
	list := []any{"large", false}
	for i := range 16 {
		list = append(list, strings.Repeat(string(rune('a'+i)), 1<<20))
	}
	if err := c.ok(codec.OpCreateList, list...); err != nil {
		return err
	}
	for _, form := range []string{"str", "lower"} {
		wide := []any{"tuple"}
		for range 60 {
			wide = append(wide, []any{form, nil})
		}
		if err := a.repeatedly(
			8,
			4,
			2,
			[]codec.Status{codec.StatusValueError, codec.StatusOverloaded},
			codec.OpListSort,
			"large",
			wide,
			false,
		); err != nil {
			return err
		}
		if err := c.gets(
			codec.StatusValueError,
			codec.OpListSort,
			"large",
			append(wide, slices.Repeat([]any{nil}, 1000)...),
			false,
		); err != nil {
			return err
		}
	}
	return a.repeatedly(4, 2, 2, []codec.Status{codec.StatusOK, codec.StatusOverloaded}, codec.OpListReverse, "large")
}

// nestedLower sorts lists that are just small enough for the event loop, by keys that are slow for
// each element.
func nestedLower(a *attack) error {
	c, err := a.tables()
	if err != nil {
		return err
	}
	list := []any{"words", false}
	for i := range 3000 {
		list = append(list, fmt.Sprint("Ωord ", i))
	}
	if err := c.ok(codec.OpCreateList, list...); err != nil {
		return err
	}
	for _, key := range []any{
		turns(120, "lower"), turns(16, "lower"), turns(16, "lower", "str"), turns(16, "str", "tuple"),
		turns(15, "lower", "str", "tuple"),
	} {
		if err := a.repeatedly(
			8,
			4,
			1,
			[]codec.Status{codec.StatusOK, codec.StatusValueError, codec.StatusAttributeError},
			codec.OpListSort,
			"words",
			key,
			true,
		); err != nil {
			return err
		}
	}
	return nil
}

// longExponents uses keys of Decimals that would be long if they were written out, at a server
// whose memory is limited.
func longExponents(a *attack) error {
	if _, err := a.tables(); err != nil {
		return err
	}
	n := 100_000
	if a.race {
		n /= 10
	}
	members := func(format string) (all []any) {
		for i := range n {
			all = append(all, govalue.Decimal(fmt.Sprintf(format, i+1, i%90)))
		}
		return all
	}
	for _, format := range []string{"1.%06d1E-23%02d", "7.%06d5E-23%02d", "3.%06d1E+23%02d"} {
		for _, key := range []any{govalue.Tuple(members(format)), govalue.FrozenSet(members(format))} {
			statuses := []codec.Status{codec.StatusKeyError, codec.StatusOverloaded}
			if err := a.repeatedly(6, 1, 2, statuses, codec.OpDictGet, "d", raw(encoded(key))); err != nil {
				return err
			}
		}
	}
	return nil
}

// nestedFrozenSets looks up small keys of deeply nested frozensets in long pipelines.
func nestedFrozenSets(a *attack) error {
	if _, err := a.tables(); err != nil {
		return err
	}
	for _, format := range []string{"5E-%d", "1.5E-%d", "25E+%d", "%d.5"} {
		var members govalue.FrozenSet
		for i := range 150 {
			text := fmt.Sprintf(format, 2400-i)
			members = append(members, govalue.Decimal(strings.Replace(text, "25E", "2.5E", 1)))
		}
		key := any(members)
		for range 14 {
			key = govalue.FrozenSet{key}
		}
		if err := a.repeatedly(8, 40, 3, []codec.Status{codec.StatusKeyError}, codec.OpDictGet, "d", key); err != nil {
			return err
		}
	}
	return nil
}

// dearComparisons searches for large values among small ones that might equal them.
func dearComparisons(a *attack) error {
	c, err := a.tables()
	if err != nil {
		return err
	}
	repeat := func(name string, n int, v any) error {
		return c.ok(codec.OpCreateList, append([]any{name, false}, slices.Repeat([]any{raw(encoded(v))}, n)...)...)
	}
	number, digits := pow(10, 4600), strings.Repeat("7", 1700)
	for i, search := range []struct{ among, sought any }{
		{govalue.Decimal("1E+4600"), number},
		{govalue.Decimal("1E+4600"), new(big.Int).Add(number, pow(2, 4600))},
		{number, govalue.Decimal("1E+4600")},
		{govalue.Decimal("1E-4600"), new(big.Rat).SetFrac(big.NewInt(1), pow(10, 4600))},
		{[]any{govalue.Decimal("1E+4600")}, []any{number}},
		{govalue.Dict{{Key: 0, Value: 0}}, govalue.Dict{{Key: govalue.Tuple{digits}, Value: 0}}},
		{govalue.Set{0}, govalue.Set{govalue.FrozenSet{digits}}},
		{govalue.Counter{}, govalue.Counter{{Key: digits, Value: 0}}},
	} {
		name := fmt.Sprint("list ", i)
		if err := errors.Join(
			repeat(name, 1400, search.among),
			a.repeatedly(8, 20, 2, []codec.Status{codec.StatusOK}, codec.OpListCount, name, search.sought),
			c.ok(codec.OpListSort, "l", nil, false),
			c.ok(codec.OpDrop, name),
		); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return a.growFractions(c)
}

// growFractions adds large Fractions to each other again and again.
func (a *attack) growFractions(c *conn) error {
	fraction := func(bits int64) *big.Rat { return new(big.Rat).SetFrac(pow(3, bits*63/100), pow(2, bits)) }
	if err := c.ok(codec.OpDictSet, "d", "sum", fraction(60_000)); err != nil {
		return err
	}
	return a.repeatedly(
		8,
		20,
		2,
		[]codec.Status{codec.StatusOK, codec.StatusOverflowError},
		codec.OpDictIncrement,
		"d",
		"sum",
		fraction(7000),
	)
}

// dearSorts sorts lists that are just small enough for the event loop and slow to compare.
func dearSorts(a *attack) error {
	c, err := a.tables()
	if err != nil {
		return err
	}
	rng := a.rand(0)
	var members govalue.Set
	for i := range 100 {
		members = append(members, i)
	}
	deep := func(n int, last any) any { // lists in lists
		for range n {
			last = []any{last}
		}
		return last
	}
	for i, make := range []func() any{
		func() any { return members[:rng.IntN(100)] },
		func() any { return deep(100, rng.IntN(9)) },
		func() any { return new(big.Rat).SetFrac(big.NewInt(rng.Int64()), pow(7, 200)) },
		func() any { return govalue.Decimal("1" + fmt.Sprint(rng.Uint32()) + strings.Repeat("3", 900)) },
		func() any { return govalue.Counter{{Key: rng.IntN(2), Value: rng.IntN(3)}, {Key: "k", Value: 1}} },
	} {
		list := []any{fmt.Sprint("sort ", i), false}
		for size := 0; size < 16<<10; {
			elem := encoded(make())
			list, size = append(list, raw(elem)), size+len(elem)
		}
		if err := errors.Join(
			c.ok(codec.OpCreateList, list...),
			a.repeatedly(
				8,
				10,
				2,
				[]codec.Status{codec.StatusOK},
				codec.OpListSort,
				list[0],
				nil,
				i%2 == 0,
			),
		); err != nil {
			return fmt.Errorf("%v: %w", list[0], err)
		}
	}
	return nil
}

// zoneNames stores datetimes in zones that no tz database has.
func zoneNames(a *attack) error {
	c, err := a.tables()
	if err != nil {
		return err
	}
	zone := func(name string) raw {
		b := append(make([]byte, 8), 2, 0, 0, 0x0e, 0x10, 0, 0, 0, 0)
		b = append(b, name...)
		return append(value.AppendExtHeader(nil, value.ExtDateTime, len(b)), b...)
	}
	for _, name := range []string{
		"America/", "/etc/passwd", "../../etc/passwd", "a//b", ".", "..", "__init__.py", "a b", "Ä", "a\x00",
		strings.Repeat("a/", 1500) + "b",
	} {
		for _, v := range []raw{
			zone(name), slices.Concat(raw{0x91}, zone(name)), slices.Concat(raw{0x81, 1}, zone(name)),
		} {
			err := errors.Join(
				c.asks(c.request(codec.OpDictSet, "d", name, v), 1, codec.StatusValueError, codec.StatusTooLarge),
				c.asks(c.request(codec.OpDictGet, "d", zone(name)), 1, codec.StatusValueError, codec.StatusTooLarge),
			)
			if err != nil {
				return fmt.Errorf("%.40q: %w", name, err)
			}
		}
	}
	for _, name := range []string{
		strings.Repeat("a", 256), strings.Repeat("a", 1<<20), "=" + strings.Repeat("a", 255),
	} {
		if err := c.gets(codec.StatusTooLarge, codec.OpListAppend, "l", zone(name)); err != nil {
			return fmt.Errorf("%.40q: %w", name, err)
		}
	}
	for _, name := range []string{
		"", "America", strings.Repeat("a", 255), "=any text / at all", "Etc/GMT+5", "Mars/Olympus",
	} {
		if err := c.ok(codec.OpDictSet, "d", name, zone(name)); err != nil {
			return fmt.Errorf("%.40q: %w", name, err)
		}
	}
	reply, err := c.call(codec.OpDictItems, "d")
	if err != nil {
		return err
	}
	all, err := decoded(bytes.Clone(reply.Body))
	if err == nil && len(all) != 2*7 {
		err = fmt.Errorf("%d keys and values were read, not 14", len(all))
	}
	return err
}
