package bench

// send writes out, encrypted if the connection is, and queues what the socket does not accept.
func (l *eventLoop) send(c *conn, out []byte) {
	if c.seal != nil {
		var err error
		if l.sealed, err = c.seal.Seal(l.sealed[:0], out); err != nil {
			l.lose(c, "%v", err)
			return
		}
		out = l.sealed
	}
	if len(c.pending) > 0 {
		c.queue(out)
		return
	}
	if len(out) == 0 {
		return
	}
	n, errno := write(c.fd, out)
	if errno != 0 && !again(errno) {
		l.lose(c, "a connection broke: %v", errno)
		return
	}
	if n < len(out) {
		c.queue(out[n:])
		l.watch(c, true)
	}
}

// flush writes what is pending.
func (l *eventLoop) flush(c *conn) {
	for c.written < len(c.pending) {
		n, errno := write(c.fd, c.pending[c.written:])
		if errno != 0 {
			if !again(errno) {
				l.lose(c, "a connection broke: %v", errno)
			}
			return
		}
		c.written += n
	}
	c.pending, c.written = c.pending[:0], 0
	l.watch(c, false)
}

// watch says whether the loop waits for room in the socket.
func (l *eventLoop) watch(c *conn, forRoom bool) {
	if err := l.poller.change(c.fd, c.number, forRoom); err != nil {
		l.lose(c, "%v", err)
	}
}

// lose closes a connection. Each of its requests in flight counts as an error.
func (l *eventLoop) lose(c *conn, format string, args ...any) {
	if c.lost {
		return
	}
	l.tally.fail(c.inFlight, format, args...)
	l.outstanding -= c.inFlight
	c.inFlight = 0
	c.close()
}
