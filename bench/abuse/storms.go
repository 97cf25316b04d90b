package main

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/secure"
)

const maxConns = 10_000 // of the servers here, as of every server

// loginStorm opens as many connections as -c allows, each with the password.
func loginStorm(a *attack) error {
	crowd := maxConns - witnessConns - 5
	if a.race {
		crowd /= 10
	}
	conns := make([]*conn, crowd)
	start := time.Now()
	if err := each(crowd, 64, func(i int) (err error) {
		conns[i], err = a.enter()
		return err
	}); err != nil {
		return err
	}
	if took := time.Since(start); took > a.scaled(20*time.Second) {
		return fmt.Errorf("%d logins took %v", crowd, took)
	}
	if !a.race {
		if err := a.fill(20); err != nil {
			return err
		}
	}
	return each(crowd/10, 64, func(i int) error { return conns[10*i].ok(codec.OpPing) })
}

// fill opens connections until the server is full, and n more.
func (a *attack) fill(n int) error {
	for refused := 0; refused < n; {
		c, err := a.connect()
		if err != nil {
			return err
		}
		switch err := c.login(); {
		case isRefusal(err, secure.RefusedTooManyConnections):
			refused++
		case err != nil:
			return err
		}
	}
	return nil
}

// silentStorm opens half as many connections again as -c allows and sends nothing. Clients with the
// password can log in all the time.
func silentStorm(a *attack) error {
	if err := each(maxConns*3/2, 64, func(int) error {
		_, err := a.connect()
		return err
	}); err != nil {
		return err
	}
	for range 50 {
		c, err := a.enter()
		if err != nil {
			return err
		}
		if err := c.ok(codec.OpPing); err != nil {
			return err
		}
	}
	return nil
}

// noRoomLeft occupies all slots with unauthenticated connections.
func noRoomLeft(a *attack) error {
	err := a.unauthenticated(300)
	figures, infoErr := info(a.control)
	if infoErr == nil && figures.Refused < 300 {
		infoErr = fmt.Errorf("the server refused only %d: it was not full", figures.Refused)
	}
	return errors.Join(err, infoErr)
}

// unauthenticated connects clients without a password from two addresses, many at once. They stop
// at some message of the handshake and connect again as soon as the server closes them.
func (a *attack) unauthenticated(crowd int) error {
	return forTime(6*time.Second, crowd, func(i int) error {
		c, err := a.connectFrom(strangers4[i%2])
		if err != nil {
			return err
		}
		defer c.reset()
		if _, err := c.upTo(i % 3); err != nil {
			return nil //nolint:nilerr // the server closed it
		}
		return c.ends()
	})
}

// justEnoughDescriptors connects clients without a password to a server with no more descriptors
// than it needs, while it saves and its journal begins new files.
func justEnoughDescriptors(a *attack) error {
	if err := a.large(1 << 20); err != nil {
		return err
	}
	gone := make(chan error, 1)
	go func() { gone <- a.unauthenticated(400) }()
	for range 150 { // beyond two segments of the journal
		if err := a.control.ok(codec.OpDictSet, "large", "k", make([]byte, 1<<20)); err != nil {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
	err := <-gone
	figures, infoErr := info(a.control)
	if data := figures.Data; infoErr == nil &&
		(figures.AcceptErrors > 0 || data.JournalError != "" || data.SaveError != "") {
		infoErr = fmt.Errorf(
			"%d accept errors, journal %q, save %q",
			figures.AcceptErrors,
			data.JournalError,
			data.SaveError,
		)
	}
	return errors.Join(err, infoErr)
}

// resetStorm connects and resets.
func resetStorm(a *attack) error {
	return each(20_000, 32, func(int) error {
		c, err := a.connect()
		if err == nil {
			c.reset()
		}
		return err
	})
}

// churn logs in, sends one request and disconnects.
func churn(a *attack) error {
	return forTime(4*time.Second, 32, func(i int) error {
		c, err := a.enter()
		if err != nil {
			return err
		}
		if err := c.ok(codec.OpPing); err != nil {
			return err
		}
		if i%2 == 0 {
			c.reset()
			return nil
		}
		return c.Close()
	})
}

// noDescriptors leaves the server few descriptors. It keeps its connections, refuses new ones, and
// accepts connections again later.
func noDescriptors(a *attack) error {
	pid := a.srv.PID()
	var limit unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &limit); err != nil {
		return err
	}
	now, err := a.usage()
	if err != nil {
		return err
	}
	few := unix.Rlimit{Cur: uint64(now.Descriptors + 20), Max: limit.Max}
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &few, nil); err != nil {
		return err
	}
	served, failed := 0, 0
	for failed < 30 && served < 100 {
		c, err := a.connect()
		if err != nil {
			return err
		}
		if err := c.SetDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
			return err
		}
		if c.login() == nil {
			served++
		} else {
			failed++
		}
	}
	if served < 5 || served > 30 { // the witness connects and disconnects too
		return fmt.Errorf("%d connections were accepted, with 20 descriptors", served)
	}
	if figures, err := info(a.control); err != nil || figures.AcceptErrors == 0 {
		return fmt.Errorf("%d accept errors are counted, %w", figures.AcceptErrors, err)
	}
	a.closeAll()
	return errors.Join(
		until(a.scaled(10*time.Second), func() error {
			c, err := a.enter()
			if err == nil {
				_ = c.Close()
			}
			return err
		}),
		unix.Prlimit(pid, unix.RLIMIT_NOFILE, &limit, nil),
	)
}

// reach connects from addresses and checks whether each is accepted.
func (a *attack) reach(wants map[string]bool) error {
	var problems []error
	for from, want := range wants {
		problems = append(problems, each(20, 5, func(int) error {
			c, err := a.connectFrom(from)
			if err != nil {
				return fmt.Errorf("%s: %w", from, err)
			}
			defer c.Close()
			err = c.login()
			if err == nil && !want {
				return fmt.Errorf("%s was accepted", from)
			}
			if want && err != nil || !want && !isRefusal(err, secure.RefusedAddress) {
				return fmt.Errorf("%s: %w", from, err)
			}
			return nil
		}))
	}
	return errors.Join(problems...)
}

// unixStorm does the same to the Unix socket.
func unixStorm(a *attack) error {
	return each(2000, 100, func(i int) error {
		c, err := a.connectTo("unix", a.dir+"/socket", "")
		if err != nil {
			return err
		}
		defer c.Close()
		switch i % 3 {
		case 0:
			return nil
		case 1:
			if _, err := c.Write(randomBytes(a.rand(i), 100)); err != nil {
				return nil // it has already ended
			}
			return c.ends()
		}
		if err := c.login(); err != nil {
			return err
		}
		return c.ok(codec.OpPing)
	})
}
