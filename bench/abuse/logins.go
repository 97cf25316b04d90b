package main

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"cyberdb-fast/codec/secure"
)

// wrongPasswords guesses thousands of passwords, from this machine.
func wrongPasswords(a *attack) error {
	const guesses = 3000
	err := each(guesses, 32, func(i int) error { return a.guess("", i) })
	figures, infoErr := info(a.control)
	if infoErr == nil && figures.FailedLogins != guesses {
		infoErr = fmt.Errorf("the server counts %d failed logins of %d", figures.FailedLogins, guesses)
	}
	return errors.Join(err, infoErr)
}

// guess tries one wrong password.
func (a *attack) guess(from string, i int) error {
	c, err := a.connectFrom(from)
	if err != nil {
		return err
	}
	defer c.Close()
	c.key = randomBytes(a.rand(i), 32)
	if err := c.login(); !isRefusal(err, secure.RefusedPassword) {
		return fmt.Errorf("a wrong password: %w", err)
	}
	return nil
}

// timedLogin returns how long a login with the right password takes.
func (a *attack) timedLogin(from string) (time.Duration, error) {
	c, err := a.connectFrom(from)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	start := time.Now()
	err = c.login()
	return time.Since(start), err
}

// guessingAddress guesses from an address of another machine. Only that address has to wait, longer
// each time, and the right password still logs in.
func guessingAddress(a *attack) error {
	return a.delays(strangers4[0], strangers4[0], strangers4[1])
}

// guessingNetwork is guessingAddress with all addresses of an IPv6 network.
func guessingNetwork(a *attack) error {
	return a.delays(strangers6[0], strangers6[1], stranger6Apart)
}

// delays guesses from one address; then the second must wait and the third must not.
func (a *attack) delays(guesser, delayed, free string) error {
	for i := range 9 { // 10 ms, doubled eight times, is a second at most
		if err := a.guess(guesser, i); err != nil {
			return err
		}
	}
	took, err := a.timedLogin(free)
	if err != nil || took > a.scaled(300*time.Millisecond) {
		return fmt.Errorf("another address: %v, %w", took, err)
	}
	if took, err = a.timedLogin(
		delayed,
	); err != nil || took < 500*time.Millisecond ||
		took > a.scaled(5*time.Second) {
		return fmt.Errorf("the address of the guesses: %v, %w", took, err)
	}
	// More than may wait at once: the server tells the rest to retry.
	refused := make([]bool, 60)
	if err := each(len(refused), len(refused), func(i int) error {
		c, err := a.connectFrom(delayed)
		if err != nil {
			return err
		}
		share, err := c.upTo(sendsShare)
		if err != nil {
			return err
		}
		if _, err := c.Write(share); err != nil {
			return err
		}
		if err := c.receive(500 * time.Millisecond); err != nil {
			return nil //nolint:nilerr // it waits
		}
		code, err := c.refused()
		refused[i] = code == secure.RefusedTooManyConnections
		_ = c.Close()
		if err != nil {
			return nil //nolint:nilerr // it was served
		}
		return nil
	}); err != nil {
		return err
	}
	if !slices.Contains(refused, true) || !slices.Contains(refused, false) {
		return errors.New("of many logins at once, none or all were told to retry")
	}
	a.closeAll()
	took, err = a.timedLogin(delayed)
	if err != nil || took > a.scaled(10*time.Second) {
		return fmt.Errorf("the right password after the guesses: %v, %w", took, err)
	}
	return nil
}

// handshakeFlood makes the server compute handshakes that are never completed.
func handshakeFlood(a *attack) error {
	return forTime(4*time.Second, 64, func(int) error {
		c, err := a.connect()
		if err != nil {
			return err
		}
		defer c.reset()
		_, err = c.upTo(sendsFin)
		return err
	})
}

// askedAndGone is handshakeFlood by clients that do not wait for the reply.
func askedAndGone(a *attack) error {
	return forTime(4*time.Second, 64, func(int) error {
		c, err := a.connect()
		if err != nil {
			return err
		}
		defer c.reset()
		share, err := c.upTo(sendsShare)
		if err != nil {
			return err
		}
		_, err = c.Write(share)
		return err
	})
}
