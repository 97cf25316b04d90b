package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/secure"
)

const (
	handshakeTime = 5 * time.Second // the server's authentication timeout
	anything      = secure.RefusalCode(0)
)

// wantRefusal waits for a refusal with the code, and the end of the connection.
func wantRefusal(c *conn, want secure.RefusalCode) error {
	got, err := c.refused()
	if err != nil {
		return err
	}
	if got != want && want != anything {
		return fmt.Errorf("refused with code %d, not %d", got, want)
	}
	return c.ends()
}

// isRefusal reports whether an error is a refusal with the code.
func isRefusal(err error, want secure.RefusalCode) bool {
	var refusal *secure.Refusal
	return errors.As(err, &refusal) && refusal.Code == want
}

// dripped returns the scenario of clients that stop at a message of the handshake and send it a
// byte at a time, or not at all.
func dripped(message int, silent bool) func(a *attack) error {
	return func(a *attack) error {
		const clients = 150
		return each(clients, clients, func(int) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			start := time.Now()
			due, err := c.upTo(message)
			if err != nil {
				return err
			}
			ended := make(chan error, 1)
			go func() { ended <- wantRefusal(c, secure.RefusedTimeout) }()
			drip := time.NewTicker(300 * time.Millisecond)
			defer drip.Stop()
			for n := 0; ; n++ {
				select {
				case err := <-ended:
					if took := time.Since(
						start,
					); err == nil &&
						(took < handshakeTime*9/10 || took > a.scaled(handshakeTime+3*time.Second)) {
						err = fmt.Errorf("closed after %v", took)
					}
					return err
				case <-drip.C:
					if !silent && n < len(due)-1 {
						_, _ = c.Write(due[n : n+1]) // only the end matters
					}
				}
			}
		})
	}
}

// garbled returns the scenario of clients that reach a message of the handshake and send something
// else.
func garbled(message int) func(a *attack) error {
	return func(a *attack) error {
		const clients = 600
		err := each(clients, 50, func(i int) error {
			rng := a.rand(i)
			c, err := a.connect()
			if err != nil {
				return err
			}
			due, err := c.upTo(message)
			if err != nil {
				return err
			}
			if message == sendsHello {
				due = due[len(secure.Magic):]
			}
			b := randomBytes(rng, 1+rng.IntN(700))
			switch i % 4 {
			case 1: // the right type and length
				copy(b[:], due[:min(3, len(b))])
			case 2: // a good beginning
				b = append(bytes.Clone(due[:rng.IntN(len(due))]), b...)
			case 3:
				b = bytes.Clone(due)
				b[3+rng.IntN(len(b)-3)] ^= byte(1 + rng.IntN(255))
			}
			if message == sendsHello && i%4 > 0 {
				b = append([]byte(secure.Magic), b...)
			}
			if _, err := c.Write(b); err != nil {
				return nil // it has already ended
			}
			_ = c.closeWrite()
			return c.ends()
		})
		return errors.Join(err, a.wantNoneIn())
	}
}

func randomBytes(rng *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

// wantNoneIn checks that only ordinary connections are served.
func (a *attack) wantNoneIn() error {
	return until(a.scaled(10*time.Second), func() error {
		figures, err := info(a.control)
		// and the witness's logins
		if err == nil && figures.Connections > a.before.Connections+witnessConns+2 {
			err = fmt.Errorf("%d connections", figures.Connections)
		}
		return err
	})
}

// otherProtocols sends the first bytes of clients of other protocols.
func otherProtocols(a *attack) error {
	texts := [][]byte{
		[]byte(
			"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		),
		[]byte("*1\r\n$4\r\nPING\r\n"),
		[]byte("SSH-2.0-OpenSSH_9.2\r\n"),
		[]byte("\x80\x04\x95."),
		[]byte("get k\r\n"),
		[]byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
		[]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
		{0},
		[]byte("\r\n\r\n"),
		[]byte("USER anonymous\r\n"),
		[]byte(secure.Magic[:7] + "\x1b"),
		bytes.Repeat([]byte{0xff}, 1000),
		bytes.Repeat([]byte("A"), 1<<20),
	}
	return each(40*len(texts), 50, func(i int) error {
		c, err := a.connect()
		if err != nil {
			return err
		}
		if _, err := c.Write(texts[i%len(texts)]); err != nil {
			return nil // it has already ended
		}
		return c.ends()
	})
}

// longMessages announces and sends more than a handshake has.
func longMessages(a *attack) error {
	return each(300, 50, func(i int) error {
		c, err := a.connect()
		if err != nil {
			return err
		}
		due, err := c.upTo(i % 3)
		if err != nil {
			return err
		}
		header := 0
		if i%3 == sendsHello {
			header = len(secure.Magic)
		}
		switch i / 3 % 3 {
		case 0:
			due[header+1], due[header+2] = 0xff, 0xff
		case 1:
			due[header+1], due[header+2] = 0, 0
		case 2:
			due = append(due[:len(due)-1], bytes.Repeat([]byte{0}, 64<<10)...)
		}
		if _, err := c.Write(due); err != nil {
			return nil // it has already ended
		}
		return c.ends()
	})
}

// everyBit flips each bit of each message that a client sends.
func everyBit(a *attack) error {
	var flips []func(message int, b []byte) []byte
	for target, size := range []int{sendsHello: len(secure.Magic) + 6, sendsShare: 69, sendsFin: 35} {
		for bit := range 8 * size {
			flips = append(flips, func(message int, b []byte) []byte {
				if message == target {
					b[bit/8] ^= 1 << (bit % 8)
				}
				return b
			})
		}
	}
	return each(len(flips), 64, func(i int) error {
		c, err := a.connect()
		if err != nil {
			return err
		}
		c.change = flips[i]
		if err := c.login(); err == nil {
			return fmt.Errorf("flip %d of %d was let in", i, len(flips))
		}
		return c.ends()
	})
}

// replayed sends a recorded login again, and sends the server's own messages back.
func replayed(a *attack) error {
	var recorded [3][]byte
	c, err := a.connect()
	if err != nil {
		return err
	}
	c.change = func(message int, b []byte) []byte {
		recorded[message] = bytes.Clone(b)
		return b
	}
	if err := c.login(); err != nil {
		return err
	}
	return each(300, 20, func(i int) error {
		c, err := a.connect()
		if err != nil {
			return err
		}
		switch i % 3 {
		case 0: // all of it
			c.change = func(message int, _ []byte) []byte { return recorded[message] }
		case 1: // the proof alone
			c.change = func(message int, b []byte) []byte {
				if message == sendsFin {
					return recorded[message]
				}
				return b
			}
		case 2: // the server's last message: its greeting as a share
			return a.reflected(c)
		}
		if err := c.login(); !isRefusal(err, secure.RefusedPassword) {
			return fmt.Errorf("replayed: %w", err)
		}
		return c.ends()
	})
}

func (a *attack) reflected(c *conn) error {
	hello, err := c.upTo(sendsHello)
	if err != nil {
		return err
	}
	if err := c.say(sendsHello, hello); err != nil {
		return err
	}
	if err := c.receive(defaultTimeout); err != nil {
		return err
	}
	if _, err := c.Write(c.wire); err != nil {
		return err
	}
	c.wire = nil
	return wantRefusal(c, secure.RefusedMessage)
}

// lowOrder sends points that would make the key independent of the password.
func lowOrder(a *attack) error {
	points := [][]byte{
		make([]byte, 32),
		append([]byte{1}, make([]byte, 31)...),
		append(append([]byte{0xec}, bytes.Repeat([]byte{0xff}, 30)...), 0x7f),
	}
	return each(150, 20, func(i int) error {
		c, err := a.connect()
		if err != nil {
			return err
		}
		share, err := c.upTo(sendsShare)
		if err != nil {
			return err
		}
		copy(share[len(share)-32:], points[i%len(points)])
		if _, err := c.Write(share); err != nil {
			return err
		}
		return wantRefusal(c, secure.RefusedMessage)
	})
}

// otherSettings connects with the other setting of encryption, other versions, suites and options.
func otherSettings(a *attack) error {
	at := len(secure.Magic) + 3 // Hello's body: oldest version, newest version, options
	cases := []struct {
		message, at int
		value       byte
		want        secure.RefusalCode
	}{
		{sendsHello, at, 9, secure.RefusedVersion},
		{sendsHello, at + 1, 0, secure.RefusedVersion},
		{sendsHello, at + 2, 0x80, secure.RefusedMessage},
		{sendsShare, 3, 1, secure.RefusedSuite},
		{sendsShare, 4, 1, secure.RefusedMessage},
	}
	return each(60*(len(cases)+1), 30, func(i int) error {
		c, err := a.connect()
		if err != nil {
			return err
		}
		if i%(len(cases)+1) == len(cases) {
			c.encrypt = !c.encrypt
			if err := c.login(); !isRefusal(err, secure.RefusedEncryption) {
				return fmt.Errorf("the other setting: %w", err)
			}
			return c.ends()
		}
		x := cases[i%(len(cases)+1)]
		c.change = func(message int, b []byte) []byte {
			if message == x.message {
				b[x.at] = x.value
			}
			return b
		}
		if err := c.login(); !isRefusal(err, x.want) {
			return fmt.Errorf("message %d with %d at %d: %w", x.message, x.value, x.at, err)
		}
		return c.ends()
	})
}

// unproved sends requests without authentication, at every stage.
func unproved(a *attack) error {
	err := each(200, 20, func(i int) error {
		c, err := a.connect()
		if err != nil {
			return err
		}
		due, err := c.upTo(i % 3)
		if err != nil {
			return err
		}
		frames := c.request(codec.OpCreateDict, fmt.Sprint("unproved ", i), true)
		if i%2 == 0 {
			frames = append(due, frames...)
			if i%3 == sendsFin {
				frames[3] ^= 1 // the proof is wrong
			}
		}
		if _, err := c.Write(frames); err != nil {
			return nil // it has already ended
		}
		_ = c.closeWrite()
		return c.ends()
	})
	figures, infoErr := info(a.control)
	if infoErr == nil && figures.Tables != a.before.Tables+2 { // the witness's
		infoErr = fmt.Errorf("there are %d tables", figures.Tables)
	}
	return errors.Join(err, infoErr)
}
