package main

import (
	"errors"
	"fmt"
	"strings"

	"cyberdb-fast/codec"
)

// tableNames tries names that could break a file system, a log or a format.
func tableNames(a *attack) error {
	c, err := a.enter()
	if err != nil {
		return err
	}
	for _, name := range []string{
		"../../../etc/passwd", "a\x00b", "%s%s%n", "\n level=ERROR msg=forged", "\x1b[2J",
		strings.Repeat("n", codec.MaxTableNameBytes), "\u202e", "''--",
	} {
		if err := errors.Join(
			c.ok(codec.OpCreateDict, name, false),
			c.ok(codec.OpDictSet, name, 1, 2),
			c.gets(codec.StatusTableExists, codec.OpCreateDict, name, false),
			c.gets(
				codec.StatusWrongTableKind,
				codec.OpListLen,
				name,
			),
			c.ok(codec.OpDrop, name),
			c.gets(codec.StatusNoSuchTable, codec.OpDictLen, name),
		); err != nil {
			return fmt.Errorf("%q: %w", name, err)
		}
	}
	for name, want := range map[any]codec.Status{
		"": codec.StatusValueError, strings.Repeat("n", codec.MaxTableNameBytes+1): codec.StatusValueError,
		1: codec.StatusTypeError, nil: codec.StatusTypeError,
	} {
		if err := c.gets(want, codec.OpCreateDict, name, false); err != nil {
			return fmt.Errorf("%v: %w", name, err)
		}
	}
	if log := a.srv.Log(); strings.Contains(log, "\x1b") || strings.Contains(log, "\n level=ERROR") {
		return errors.New("a table's name is in the log unescaped")
	}
	return nil
}

// manyTables creates, lists, renames and drops tens of thousands of tables.
func manyTables(a *attack) error {
	const clients = 4
	n := 20_000
	if a.race {
		n /= 20
	}
	return each(clients, clients, func(i int) error {
		c, err := a.enter()
		if err != nil {
			return err
		}
		for _, step := range []func(name string) []byte{
			func(name string) []byte { return c.request(codec.OpCreateDict, name, false, "k", "v") },
			func(name string) []byte { return c.request(codec.OpRename, name, name+"'") },
			func(name string) []byte { return c.request(codec.OpDrop, name+"'") },
		} {
			for from := 0; from < n; from += 1000 {
				var frames []byte
				for table := from; table < from+1000; table++ {
					frames = append(frames, step(fmt.Sprint("table ", i, " ", table))...)
				}
				if err := c.send(frames); err != nil {
					return err
				}
				if err := c.takes(1000); err != nil {
					return err
				}
			}
			if err := c.ok(codec.OpTables); err != nil {
				return err
			}
		}
		return nil
	})
}

// scanAbuse scans with invented cursors and limits, while the table changes.
func scanAbuse(a *attack) error {
	if _, err := a.tables(); err != nil {
		return err
	}
	return each(8, 8, func(i int) error {
		c, err := a.enter()
		if err != nil {
			return err
		}
		rng := a.rand(i)
		for n := range 2000 {
			cursor, limit := rng.Int64()>>rng.IntN(64), rng.IntN(10_000)-1000
			if n%3 == 0 {
				limit = 1 + rng.IntN(4096)
			}
			reply, err := c.call(codec.OpDictScan, "d", cursor, limit)
			if err != nil || reply.Status == codec.StatusInternal {
				return fmt.Errorf("%d, %d: %v, %w", cursor, limit, reply.Status, err)
			}
			if err := c.ok(codec.OpDictSet, "d", rng.IntN(500), n); err != nil {
				return err
			}
		}
		return nil
	})
}
