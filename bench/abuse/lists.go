package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"cyberdb-fast/codec"
)

const (
	longNameBytes = 1000
	// Memory that a server may use above that of the tables, doubled by its collector: for lists
	// that are read and for INFO, and for lists that are not read. Of the latter, clients leave 256
	// MiB unread, and the server retains 64 MiB of removed names; both are doubled.
	readBound = 384 << 20
	deafBound = 768 << 20
)

// longNames returns how many tables with long names a scenario makes, and a name.
func (a *attack) longNames() (n int, name func(i int) string) {
	n = 100_000
	if a.race {
		n = 5_000
	}
	filling := strings.Repeat("n", longNameBytes-10)
	return n, func(i int) string { return fmt.Sprintf("%09d %s", i, filling) }
}

// forEach sends a request for each of n tables, a thousand at a time.
func (c *conn) forEach(n int, request func(i int) []byte) error {
	for from := 0; from < n; from += 1000 {
		var frames []byte
		to := min(from+1000, n)
		for i := from; i < to; i++ {
			frames = append(frames, request(i)...)
		}
		sent := make(chan error, 1)
		go func() { sent <- c.send(frames) }()
		if err := errors.Join(c.takes(to-from), <-sent); err != nil {
			return err
		}
	}
	return nil
}

// makeLongNames creates the tables and then resets the peak of the server's memory.
func (a *attack) makeLongNames() (c *conn, n int, err error) {
	n, name := a.longNames()
	if c, err = a.enter(); err != nil {
		return nil, 0, err
	}
	if err := c.forEach(n, func(i int) []byte { return c.request(codec.OpCreateList, name(i), false) }); err != nil {
		return nil, 0, err
	}
	a.srv.ForgetPeak()
	a.before, err = a.usage()
	return c, n, err
}

// dropLongNames drops the tables and checks the server's peak memory since they were created.
func (a *attack) dropLongNames(c *conn, bound int64) error {
	used, err := a.usage()
	if grown := used.Peak - a.before.Resident - a.before.memory(); grown > bound && !a.race {
		err = errors.Join(
			err,
			fmt.Errorf("the server used %d MiB, %d with the tables alone", used.Peak>>20, a.before.Resident>>20),
		)
	}
	n, name := a.longNames()
	return errors.Join(err, c.forEach(n, func(i int) []byte { return c.request(codec.OpDrop, name(i)) }))
}

// longLists has clients ask for a list of 100 MB at the same time and read it.
func longLists(a *attack) error {
	c, n, err := a.makeLongNames()
	if err != nil {
		return err
	}
	err = each(8, 8, func(int) error {
		c, err := a.enter()
		if err != nil {
			return err
		}
		for range 2 {
			reply, err := c.call(codec.OpTables)
			if err != nil || reply.Status != codec.StatusOK || len(reply.Body) < n*longNameBytes {
				return fmt.Errorf("TABLES: %v, %d bytes, %w", reply.Status, len(reply.Body), err)
			}
		}
		return nil
	})
	return errors.Join(err, a.dropLongNames(c, readBound))
}

// deafToLists makes many clients request lists of 100 MB, more than each may have in progress, and
// not read them, while all tables are renamed.
func deafToLists(a *attack) error {
	c, n, err := a.makeLongNames()
	if err != nil {
		return err
	}
	if err := each(40, 20, func(int) error {
		c, err := a.enter()
		if err != nil {
			return err
		}
		var frames []byte
		for range 20 {
			frames = append(frames, c.request(codec.OpTables)...)
		}
		return c.send(frames)
	}); err != nil {
		return err
	}
	_, name := a.longNames()
	if err := c.forEach(
		n,
		func(i int) []byte { return c.request(codec.OpRename, name(i), "renamed "+name(i)) },
	); err != nil {
		return err
	}
	err = c.forEach(n, func(i int) []byte { return c.request(codec.OpRename, "renamed "+name(i), name(i)) })
	return errors.Join(err, a.dropLongNames(c, deafBound))
}

// figuresOfMany requests INFO in pipelines, without a pause, from a server with very many tables.
func figuresOfMany(a *attack) error {
	c, _, err := a.makeLongNames()
	if err != nil {
		return err
	}
	err = each(20, 20, func(int) error {
		c, err := a.enter()
		if err != nil {
			return err
		}
		return forTime(4*time.Second, 1, func(int) error {
			return c.forEach(300, func(int) []byte { return c.request(codec.OpInfo) })
		})
	})
	return errors.Join(err, a.dropLongNames(c, readBound))
}
