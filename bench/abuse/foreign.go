package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"cyberdb-fast/codec/secure"
)

// openings are the first bytes of clients of other protocols, and the beginning of the reply; "":
// none.
var openings = []struct{ first, answer string }{
	{"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 400 "},
	{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/1.1 400 "},
	{"*2\r\n$7\r\nCOMMAND\r\n$4\r\nDOCS\r\n", "-ERR this is cyberdb-fast"},
	{"PING\r\n", "-ERR this is cyberdb-fast"},
	{"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "\x15\x03"},
	{"\x00\x01\x02\x03", ""},
	{"\x80\x04K\x01.", ""},
	{secure.Magic[:7] + "x", ""},
}

// otherProtocolsDripped sends the first bytes of other protocols one at a time.
func otherProtocolsDripped(a *attack) error {
	return each(40*len(openings), 80, func(i int) error {
		opening := openings[i%len(openings)]
		c, err := a.connect()
		if err != nil {
			return err
		}
		go func() {
			for at := range len(opening.first) {
				if _, err := c.Write([]byte{opening.first[at]}); err != nil {
					return // it has its reply
				}
				time.Sleep(time.Millisecond)
			}
		}()
		if err := c.SetReadDeadline(time.Now().Add(defaultTimeout)); err != nil {
			return err
		}
		answer, err := io.ReadAll(c.Conn)
		if opening.answer == "" {
			err = nil // it may be reset
		}
		if !strings.HasPrefix(string(answer), opening.answer) || (opening.answer == "") != (len(answer) == 0) ||
			len(answer) > 320 {
			err = errors.Join(err, fmt.Errorf("the reply to %q is %q", opening.first, answer))
		}
		return err
	})
}

// otherProtocolsStay occupies all slots with HTTP clients that read no reply and keep sending.
func otherProtocolsStay(a *attack) error {
	more := make([]byte, 1000)
	return forTime(5*time.Second, 150, func(int) error {
		c, err := a.connect()
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.Write([]byte("POST / HTTP/1.1\r\nContent-Length: 1000000000\r\n\r\n"))
		for err == nil {
			time.Sleep(20 * time.Millisecond)
			_, err = c.Write(more)
		}
		return nil
	})
}

// forgedRefusals sends refusals and all other unexpected messages at every stage of the handshake.
func forgedRefusals(a *attack) error {
	const text = "all passwords were changed\nlevel=ERROR msg=forged \x1b[2J"
	kinds := []byte{0, 1, 2, 3, 4, 5, 6, 7, 0x7f, 0x7f, 0x7f, 0xff}
	sent := uint64(0)
	for i := range 50 * len(kinds) {
		if kinds[i%len(kinds)] != due[i/len(kinds)%len(due)] {
			sent++
		}
	}
	err := each(50*len(kinds), 50, func(i int) error {
		kind, stage := kinds[i%len(kinds)], i/len(kinds)%len(due)
		if kind == due[stage] {
			return nil
		}
		c, err := a.connect()
		if err != nil {
			return err
		}
		if _, err := c.upTo(stage); err != nil {
			return err
		}
		b := append([]byte{kind, byte(1 + len(text)), 0, byte(secure.RefusedPassword)}, text...)
		if stage == sendsHello {
			b = append([]byte(secure.Magic), b...)
		}
		if _, err := c.Write(b); err != nil {
			return err
		}
		if err := c.receive(defaultTimeout); err != nil || bytes.Contains(c.wire, []byte("forged")) {
			return fmt.Errorf("the reply is %q, %w", c.wire, err)
		}
		return wantRefusal(c, secure.RefusedMessage)
	})
	figures, infoErr := info(a.control)
	if infoErr == nil &&
		(figures.BadFrames-a.before.BadFrames != sent || figures.FailedLogins != a.before.FailedLogins) {
		infoErr = fmt.Errorf(
			"%d messages are %d bad frames and %d failed logins",
			sent,
			figures.BadFrames,
			figures.FailedLogins,
		)
	}
	if log := a.srv.Log(); strings.Contains(log, "forged") || strings.Contains(log, "\x1b") {
		err = errors.Join(err, errors.New("a client's text is in the log"))
	}
	return errors.Join(err, infoErr)
}

// due is the type of the client's message at each stage of the handshake.
var due = []byte{sendsHello: 1, sendsShare: 3, sendsFin: 5}
