package main

import (
	"errors"
	"fmt"
	"net"
	"time"

	"cyberdb-fast/codec"
)

const stalledTime = 30 * time.Second // after which a client that reads nothing is closed

// large makes a dict "large" with a value of n bytes.
func (a *attack) large(n int) error {
	return a.control.ok(codec.OpCreateDict, "large", false, "k", make([]byte, n))
}

// long makes a list "long". Reading all of it is a long read.
func (a *attack) long(n int) error {
	args := []any{"long", false}
	for i := range n {
		args = append(args, fmt.Sprint("element ", i))
	}
	return a.control.ok(codec.OpCreateList, args...)
}

// asks sends n requests for the large value.
func (a *attack) asks(n int) (*conn, error) {
	c, err := a.enter()
	if err != nil {
		return nil, err
	}
	var frames []byte
	for range n {
		frames = append(frames, c.request(codec.OpDictGet, "large", "k")...)
	}
	return c, c.send(frames)
}

// deaf sends requests and never reads. Its requests wait, and the server closes it.
func deaf(a *attack) error {
	if err := a.large(1 << 20); err != nil {
		return err
	}
	const clients = 4
	for range clients {
		if _, err := a.asks(500); err != nil {
			return err
		}
	}
	start := time.Now()
	err := until(a.scaled(stalledTime+10*time.Second), func() error {
		figures, err := info(a.control)
		if err == nil && figures.Overrun < clients {
			err = fmt.Errorf("%d clients of %d were closed", figures.Overrun, clients)
		}
		return err
	})
	if took := time.Since(start); took < stalledTime/2 {
		err = errors.Join(err, fmt.Errorf("closed after %v", took))
	}
	return err
}

// deafTogether has many clients leave as much unread as each may. All together exceed the limit.
func deafTogether(a *attack) error {
	if err := a.large(1 << 20); err != nil {
		return err
	}
	if err := each(100, 20, func(int) error {
		_, err := a.asks(40)
		return err
	}); err != nil {
		return err
	}
	most := int64(0)
	if err := forTime(4*time.Second, 1, func(int) error {
		figures, err := info(a.control)
		most = max(most, figures.UnsentBytes)
		time.Sleep(20 * time.Millisecond)
		return err
	}); err != nil {
		return err
	}
	if limit := int64(256 << 20); most > limit+100*(2<<20) || most < limit/2 {
		return fmt.Errorf("%d MiB were unread", most>>20)
	}
	return nil
}

// deafToGiants makes many clients request a value of 30 MiB each and not read it.
func deafToGiants(a *attack) error {
	if err := a.large(30 << 20); err != nil {
		return err
	}
	return each(100, 10, func(int) error {
		_, err := a.asks(2)
		return err
	})
}

// tinyWindows reads with the smallest buffer that the kernel permits. Everything arrives, and no
// other client waits for it.
func tinyWindows(a *attack) error {
	if err := a.large(20 << 10); err != nil { // a kilobyte takes some milliseconds
		return err
	}
	return each(40, 40, func(int) error {
		c, err := a.connect()
		if err != nil {
			return err
		}
		if err := c.Conn.(*net.TCPConn).SetReadBuffer(1); err != nil {
			return err
		}
		if err := c.login(); err != nil {
			return err
		}
		for range 4 {
			if err := c.send(c.request(codec.OpDictGet, "large", "k")); err != nil {
				return err
			}
		}
		return c.takes(4)
	})
}

// abandonedReads requests long reads and disconnects.
func abandonedReads(a *attack) error {
	if err := a.long(100_000); err != nil {
		return err
	}
	return forTime(4*time.Second, 8, func(i int) error {
		c, err := a.enter()
		if err != nil {
			return err
		}
		defer c.reset()
		for range 1 + i {
			if err := c.send(
				append(c.request(codec.OpListAll, "long"), c.request(codec.OpListCount, "long", 1)...),
			); err != nil {
				return err
			}
		}
		if i%2 == 0 {
			return nil
		}
		return c.receive(defaultTimeout)
	})
}

// tooManyReads requests more long reads than a connection and the server may have in progress, and
// reads none. The server runs, queues or refuses each.
func tooManyReads(a *attack) error {
	if err := a.long(100_000); err != nil {
		return err
	}
	if err := each(100, 20, func(int) error {
		c, err := a.enter()
		if err != nil {
			return err
		}
		var frames []byte
		for range 40 {
			frames = append(frames, c.request(codec.OpListAll, "long")...)
		}
		return c.send(frames)
	}); err != nil {
		return err
	}
	// A client that reads gets a reply to each, even if it says that there are too many.
	c, err := a.enter()
	if err != nil {
		return err
	}
	for range 20 {
		reply, err := c.call(codec.OpListAll, "long")
		if err != nil || reply.Status != codec.StatusOK && reply.Status != codec.StatusOverloaded {
			return fmt.Errorf("%v, %w", reply.Status, err)
		}
	}
	return nil
}

// blocked has hundreds of clients wait for a table that long writes have locked, and disconnect.
func blocked(a *attack) error {
	if err := a.long(200_000); err != nil {
		return err
	}
	return forTime(4*time.Second, 100, func(i int) error {
		c, err := a.enter()
		if err != nil {
			return err
		}
		defer c.reset()
		frames := c.request(codec.OpListAppend, "long", i)
		if i%10 == 0 {
			frames = append(c.request(codec.OpListReverse, "long"), frames...)
		}
		if err := c.send(frames); err != nil {
			return err
		}
		if i%2 == 0 {
			return nil
		}
		return c.takes(1)
	})
}

// dropped drops and renames tables that others read.
func dropped(a *attack) error {
	return forTime(4*time.Second, 12, func(i int) error {
		c, err := a.enter()
		if err != nil {
			return err
		}
		defer c.reset()
		if i%3 == 0 {
			args := []any{"long", true}
			for n := range 20_000 {
				args = append(args, n)
			}
			if err := c.ok(codec.OpCreateList, args...); err != nil {
				return err
			}
		}
		op := []codec.Opcode{codec.OpListClear, codec.OpListAll, codec.OpListReverse, codec.OpDrop}[i%4]
		reply, err := c.call(op, "long")
		if err != nil || reply.Status != codec.StatusOK && reply.Status != codec.StatusNoSuchTable {
			return fmt.Errorf("%v: %v, %w", op, reply.Status, err)
		}
		return nil
	})
}

// figuresFlood requests INFO and the list of tables as fast as it can.
func figuresFlood(a *attack) error {
	return each(8, 8, func(int) error {
		c, err := a.enter()
		if err != nil {
			return err
		}
		return forTime(3*time.Second, 1, func(int) error {
			var frames []byte
			for range 100 {
				frames = append(frames, c.request(codec.OpInfo)...)
				frames = append(frames, c.request(codec.OpTables)...)
			}
			if err := c.send(frames); err != nil {
				return err
			}
			return c.takes(200)
		})
	})
}

// fullOfWriters writes until the server has no memory left. Writes then fail; reads and deletions
// still work.
func fullOfWriters(a *attack) error {
	if _, err := a.tables(); err != nil {
		return err
	}
	if err := each(10, 10, func(i int) error {
		c, err := a.enter()
		if err != nil {
			return err
		}
		for n, refused := 0, 0; refused < 20; n++ {
			reply, err := c.call(codec.OpDictSet, "d", fmt.Sprint(i, " ", n), make([]byte, 100<<10))
			switch {
			case err != nil:
				return err
			case reply.Status == codec.StatusOverloaded:
				refused++
			case reply.Status != codec.StatusOK:
				return fmt.Errorf("%v", reply.Status)
			case n > 10_000:
				return errors.New("a gigabyte was stored")
			}
		}
		return errors.Join(c.ok(codec.OpDictGet, "d", "k"), c.ok(codec.OpDictDelete, "d", fmt.Sprint(i, " ", 0)))
	}); err != nil {
		return err
	}
	return a.roomAgain()
}

// roomAgain drops the tables. Writes must work again.
func (a *attack) roomAgain() error {
	if err := a.control.ok(codec.OpDictClear, "d"); err != nil {
		return err
	}
	return until(a.scaled(10*time.Second), func() error {
		if err := a.forget(); err != nil {
			return err
		}
		return a.control.ok(codec.OpDictSet, "d", "again", make([]byte, 100<<10))
	})
}

// fullOfCrumbs is fullOfWriters with small entries, elements and tables.
func fullOfCrumbs(a *attack) error {
	if _, err := a.tables(); err != nil {
		return err
	}
	if err := each(6, 6, func(i int) error {
		c, err := a.enter()
		if err != nil {
			return err
		}
		for n, refused := 0, 0; refused == 0; n++ {
			var frames []byte
			for k := range 1000 {
				switch i % 3 {
				case 0:
					frames = append(frames, c.request(codec.OpDictSet, "d", i<<40+n<<20+k, k)...)
				case 1:
					frames = append(frames, c.request(codec.OpListAppend, "l", "some text that is not long")...)
				case 2:
					frames = append(frames, c.request(codec.OpCreateDict, fmt.Sprint("crumb ", i, n, k), true)...)
				}
			}
			if err := c.send(frames); err != nil {
				return err
			}
			for range 1000 {
				reply, err := c.reply()
				if err != nil || reply.Status != codec.StatusOK && reply.Status != codec.StatusOverloaded {
					return fmt.Errorf("%v, %w", reply.Status, err)
				}
				if reply.Status == codec.StatusOverloaded {
					refused++
				}
			}
			if n > 20_000 {
				return errors.New("twenty million entries were stored")
			}
		}
		return nil
	}); err != nil {
		return err
	}
	return errors.Join(a.dropTables("crumb "), a.control.ok(codec.OpListClear, "l"), a.roomAgain())
}
