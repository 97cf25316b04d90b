package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"time"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/secure"
	"cyberdb-fast/codec/value"
)

// wantBadFrame reads replies until one says BadFrame, and waits for the end of the connection.
func wantBadFrame(c *conn) error {
	for {
		reply, err := c.reply()
		if err != nil {
			return fmt.Errorf("no BadFrame: %w", err)
		}
		if reply.Status == codec.StatusBadFrame {
			return c.ends()
		}
	}
}

// garbageFrames sends random bytes in place of frames.
func garbageFrames(a *attack) error {
	return each(600, 50, func(i int) error {
		rng := a.rand(i)
		c, err := a.enter()
		if err != nil {
			return err
		}
		b := randomBytes(rng, 4+rng.IntN(2000))
		if i%2 == 0 { // frames of the right length with random content
			binary.LittleEndian.PutUint32(b, uint32(len(b)-4))
		}
		if err := c.send(b); err != nil {
			return nil // it has already ended
		}
		_ = c.closeWrite()
		return c.ends()
	})
}

// impossibleLengths announces frames of impossible lengths.
func impossibleLengths(a *attack) error {
	lengths := []uint32{0, 1, 5, codec.MaxFrameBytes + 1, 1 << 27, 1<<31 - 1, 1 << 31, 1<<32 - 1}
	return each(25*len(lengths), 20, func(i int) error {
		c, err := a.enter()
		if err != nil {
			return err
		}
		frames := binary.LittleEndian.AppendUint32(c.request(codec.OpPing), lengths[i%len(lengths)])
		if err := c.send(append(frames, make([]byte, 100)...)); err != nil {
			return err
		}
		return wantBadFrame(c)
	})
}

// announced has many clients announce large frames and send little of them.
func announced(a *attack) error {
	return a.hold(300, 60<<20, 1000, 16<<20)
}

// hold makes clients send the first bytes of frames. The server's heap must not grow by more than
// the given bytes.
func (a *attack) hold(clients, announced, sent, grows int) error {
	frame := make([]byte, sent)
	binary.LittleEndian.PutUint32(frame, uint32(announced))
	if err := each(clients, 20, func(int) error {
		c, err := a.enter()
		if err != nil {
			return err
		}
		return c.send(frame)
	}); err != nil {
		return err
	}
	return until(a.scaled(5*time.Second), func() error {
		if err := a.forget(); err != nil { // garbage does not count
			return err
		}
		figures, err := info(a.control)
		if err != nil {
			return err
		}
		if figures.Connections < a.before.Connections+int64(clients) {
			return fmt.Errorf("%d connections", figures.Connections)
		}
		if grown := int64(figures.HeapBytes) - int64(a.before.HeapBytes); grown > int64(grows)+memoryLeft {
			return fmt.Errorf("the heap grew by %d MiB", grown>>20)
		}
		return nil
	})
}

// halfFrames has all clients together send more of incomplete frames than the server buffers. The
// server closes the clients above the limit, and the sum stays bounded.
func halfFrames(a *attack) error {
	const clients, each1 = 20, 32 << 20
	frame := make([]byte, each1)
	binary.LittleEndian.PutUint32(frame, each1)
	ended := make([]bool, clients)
	if err := each(clients, clients, func(i int) error {
		c, err := a.enter()
		if err != nil {
			return err
		}
		if err := c.SetDeadline(time.Now().Add(defaultTimeout)); err != nil {
			return err
		}
		ended[i] = c.send(frame) != nil
		return nil
	}); err != nil {
		return err
	}
	figures, err := info(a.control)
	if err != nil {
		return err
	}
	most := int64(256 << 20)
	if figures.MaxMemoryBytes > 0 {
		most = figures.MaxMemoryBytes / 2
	}
	if figures.BufferedInputBytes > most || figures.Overrun == 0 {
		return fmt.Errorf("%d MiB are held, %d clients were closed", figures.BufferedInputBytes>>20, figures.Overrun)
	}
	return nil
}

// oneByteSegments sends requests in segments of one byte.
func oneByteSegments(a *attack) error {
	return each(20, 20, func(int) error {
		c, err := a.enter()
		if err != nil {
			return err
		}
		var frames []byte
		for range 40 {
			frames = append(frames, c.request(codec.OpPing)...)
		}
		if c.seal != nil {
			if frames, err = c.seal.Seal(nil, frames); err != nil {
				return err
			}
		}
		for i := range frames {
			if _, err := c.Write(frames[i : i+1]); err != nil {
				return err
			}
		}
		return c.takes(40)
	})
}

// takes reads a number of replies, none of which may be an error.
func (c *conn) takes(n int) error {
	for range n {
		reply, err := c.reply()
		if err != nil {
			return err
		}
		if reply.Status != codec.StatusOK {
			return fmt.Errorf("request %d: %v", reply.ID, reply.Status)
		}
	}
	return nil
}

// longPipelines sends hundreds of thousands of requests without waiting, and reads the replies.
func longPipelines(a *attack) error {
	n := 200_000
	if a.race {
		n /= 20
	}
	return each(6, 6, func(int) error {
		c, err := a.enter()
		if err != nil {
			return err
		}
		var frames []byte
		for range n {
			frames = append(frames, c.request(codec.OpPing)...)
		}
		sent := make(chan error, 1)
		go func() { sent <- c.send(frames) }()
		return errors.Join(c.takes(n), <-sent)
	})
}

// unknown sends every opcode with every flag and few arguments.
func unknown(a *attack) error {
	return each(256, 16, func(op int) error {
		c, err := a.enter()
		if err != nil {
			return err
		}
		args := [][]byte{
			nil,
			encoded("d"),
			encoded("d", 1),
			encoded(1, 2, 3, 4, 5, 6),
			{codec.Absent},
			encoded("d", raw{codec.Absent}),
		}
		for flags := range 256 {
			body := args[flags%len(args)]
			if codec.RequestFlags(flags)&codec.FlagIfVersion != 0 {
				body = append(make([]byte, 8), body...)
			}
			frame := codec.AppendRequest(nil, &codec.Request{ID: 1, Op: codec.Opcode(op), Args: body})
			frame[9] = byte(flags)
			if err := c.send(frame); err != nil {
				return err
			}
			reply, err := c.reply()
			if err != nil || reply.Status == codec.StatusInternal {
				return fmt.Errorf("opcode %#x with flags %#x: %v, %w", op, flags, reply.Status, err)
			}
		}
		return nil
	})
}

// tampered changes, repeats, swaps, cuts and drops records.
func tampered(a *attack) error {
	const kinds = 9
	return each(40*kinds, 20, func(i int) error {
		rng := a.rand(i)
		c, err := a.enter()
		if err != nil {
			return err
		}
		var records [3][]byte
		for n := range records {
			if records[n], err = c.seal.Seal(nil, c.request(codec.OpPing)); err != nil {
				return err
			}
		}
		first := records[0]
		var sent []byte
		closes := false
		switch i % kinds {
		case 0: // any bit, of the text or the tag
			first[4+rng.IntN(len(first)-4)] ^= 1 << rng.IntN(8)
			sent = first
		case 1: // repeated
			sent = append(bytes.Clone(first), first...)
		case 2: // swapped
			sent = append(records[1], first...)
		case 3: // dropped
			sent = append(first, records[2]...)
		case 4: // cut, and another one after it
			sent, closes = append(first[:rng.IntN(len(first))], bytes.Repeat(records[1], 3)...), true
		case 5: // too long
			sent = binary.LittleEndian.AppendUint32(nil, secure.MaxRecordBytes+1+uint32(rng.IntN(1<<30)))
		case 6: // not sealed
			sent = append(c.request(codec.OpPing), make([]byte, 100)...)
		case 7: // of the other direction: the server's own record
			if _, err := c.Write(first); err != nil {
				return err
			}
			b := make([]byte, 1000)
			if err := c.SetReadDeadline(time.Now().Add(defaultTimeout)); err != nil {
				return err
			}
			n, err := c.Read(b)
			if err != nil {
				return err
			}
			sent, closes = b[:n], true
		case 8: // more after the end
			end, err := c.seal.End(nil)
			if err != nil {
				return err
			}
			sent, closes = append(end, records[1]...), true
		}
		if _, err := c.Write(sent); err != nil {
			return err
		}
		if closes { // the server may wait for more; its replies are unreadable now
			_ = c.closeWrite()
			return c.ends()
		}
		return wantBadFrame(c)
	})
}

// foreignRecords sends records of another connection with the same password.
func foreignRecords(a *attack) error {
	return each(100, 20, func(int) error {
		c, err := a.enter()
		if err != nil {
			return err
		}
		other, err := a.enter()
		if err != nil {
			return err
		}
		record, err := other.seal.Seal(nil, other.request(codec.OpPing))
		if err != nil {
			return err
		}
		if _, err := c.Write(record); err != nil {
			return err
		}
		return wantBadFrame(c)
	})
}

// tinyRecords sends every byte in its own record.
func tinyRecords(a *attack) error {
	const pings = 3000
	return each(6, 6, func(int) error {
		c, err := a.enter()
		if err != nil {
			return err
		}
		var records []byte
		for range pings {
			for _, b := range c.request(codec.OpPing) {
				if records, err = c.seal.Seal(records, []byte{b}); err != nil {
					return err
				}
			}
		}
		sent := make(chan error, 1)
		go func() {
			_, err := c.Write(records)
			sent <- err
		}()
		return errors.Join(c.takes(pings), <-sent)
	})
}

// halfRecords announces records and sends little of them.
func halfRecords(a *attack) error {
	return each(1000, 50, func(int) error {
		c, err := a.enter()
		if err != nil {
			return err
		}
		_, err = c.Write(append(binary.LittleEndian.AppendUint32(nil, secure.MaxRecordBytes), make([]byte, 500)...))
		return err
	})
}

// requestsAhead sends more than may queue after a request whose client does not read.
func requestsAhead(a *attack) error {
	const table = "ahead"
	if err := a.control.ok(codec.OpCreateDict, table, false, "k", make([]byte, 8<<20)); err != nil {
		return err
	}
	err := each(3, 3, func(int) error {
		c, err := a.enter()
		if err != nil {
			return err
		}
		var reads []byte
		for range 20 {
			reads = append(reads, c.request(codec.OpDictGet, table, "k")...)
		}
		if err := c.send(reads); err != nil {
			return err
		}
		frame := c.request(codec.OpDictContains, table, make([]byte, value.MaxValueBytes/2))
		if err := c.SetWriteDeadline(time.Now().Add(defaultTimeout)); err != nil {
			return err
		}
		for range 10 {
			if err := c.send(frame); err != nil {
				if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
					return errors.New("160 MiB of requests neither wait nor end the connection")
				}
				return nil // closed
			}
		}
		return errors.New("160 MiB of requests were accepted")
	})
	figures, infoErr := info(a.control)
	if infoErr == nil && figures.Overrun == 0 {
		infoErr = errors.New("no client is counted as overrun")
	}
	return errors.Join(err, infoErr)
}
