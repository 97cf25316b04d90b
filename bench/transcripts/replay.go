package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"time"

	"cyberdb-fast/codec/legacy"
	"cyberdb-fast/codec/pickle"
	"cyberdb-fast/codec/secure"
	"cyberdb-fast/loop"
)

// answerTime is how long a reply may take.
const answerTime = 2 * time.Second

// result counts what was replayed.
type result struct {
	replayed, different int // transcripts
	compared, skipped   int // replies; skipped: of tables in another state
	intended            map[string]int
}

func (r *result) write(out io.Writer) {
	fmt.Fprintf(
		out,
		"answers: %d compared, %d of tables that an intended difference has left in another state\n",
		r.compared,
		r.skipped,
	)
	for _, rule := range rules {
		if n := r.intended[rule.name]; n > 0 {
			fmt.Fprintf(out, "intended: %4d  %s: %s\n", n, rule.name, rule.why)
		}
	}
	fmt.Fprintf(out, "transcripts: %d replayed, %d different\n", r.replayed, r.different)
}

// replayDir replays all transcripts of a folder.
func replayDir(dir string, all *result, out io.Writer) error {
	names, err := transcriptsIn(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		t, err := readTranscript(name)
		if err != nil {
			return err
		}
		if err := replay(t, all, out); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// player replays one transcript.
type player struct {
	t      *transcript
	all    *result
	out    io.Writer
	srv    *loop.Server
	cipher *legacy.Cipher
	conns  map[int]*peer
	apart  map[string]bool // tables in another state; "" is the directory of tables
	wrong  int
}

// peer is a connection to this server in place of one to the original.
type peer struct {
	conn   net.Conn // nil: closed
	in     []byte   // received, not parsed yet
	sent   []byte   // since the last reply
	cut    bool     // the original may have read only a part of sent
	last   message  // what was sent last
	owed   bool     // a reply is due
	asked  message  // the last request
	isBody bool     // last is a request
}

func replay(t *transcript, all *result, out io.Writer) error {
	if all.intended == nil {
		all.intended = make(map[string]int)
	}
	p := &player{t: t, all: all, out: out, conns: make(map[int]*peer), apart: make(map[string]bool)}
	all.replayed++
	if err := p.start(); err != nil {
		if errors.Is(err, legacy.ErrKey) &&
			!slices.ContainsFunc(t.lines, func(l line) bool { return len(l.bytes) > 0 }) {
			return nil // no client can encrypt with this password: none has sent anything
		}
		return err
	}
	for i := range t.lines {
		if err := p.line(i); err != nil {
			return err
		}
	}
	for _, c := range p.conns {
		p.unanswered(c)
		c.close()
	}
	if p.wrong > 0 {
		all.different++
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return p.srv.Stop(ctx)
}

func (p *player) start() (err error) {
	cfg := loop.Config{
		Addr:           "127.0.0.1:0",
		Password:       p.t.Password,
		Encrypt:        p.t.Encrypt,
		Legacy:         true,
		LegacyInsecure: true,
		EventLoops:     1,
		KDF:            secure.KDF{LogN: secure.MinLogN},
		Logger:         slog.New(slog.DiscardHandler),
	}
	if p.t.Encrypt { // the original checks its list only then
		cfg.Allow = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
		for _, addr := range p.t.Whitelist {
			cfg.Allow = append(cfg.Allow, netip.PrefixFrom(netip.MustParseAddr(addr), 32))
		}
		if p.cipher, err = legacy.NewCipher(p.t.Password); err != nil {
			return err
		}
	}
	p.srv, err = loop.Start(cfg)
	return err
}

// line replays one line.
func (p *player) line(i int) error {
	l := &p.t.lines[i]
	c := p.conns[l.Conn]
	switch {
	case l.Event == "open":
		return p.open(l.Conn)
	case c == nil:
		return fmt.Errorf("line %d: connection %d was not opened", i+2, l.Conn)
	case l.fromClient() && l.Event != "":
		p.unanswered(c)
		c.close()
	case l.fromClient():
		p.send(c, l.bytes)
	case l.Event != "":
		p.ended(c)
	case !p.goesOn(i): // a reply is compared once it is complete
		p.answer(c, i, p.recorded(i))
	}
	return nil
}

func (p *player) open(n int) error {
	dialer := net.Dialer{Timeout: answerTime}
	if p.t.SourceIP != "" {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(p.t.SourceIP)}
	}
	conn, err := dialer.Dial("tcp", p.srv.Addr().String())
	if err != nil {
		return err
	}
	p.conns[n] = &peer{conn: conn}
	return nil
}

// goesOn reports whether the next line of the same connection continues the server's bytes of line
// i.
func (p *player) goesOn(i int) bool {
	for j := i + 1; j < len(p.t.lines); j++ {
		if next := &p.t.lines[j]; next.Conn == p.t.lines[i].Conn {
			return !next.fromClient() && next.Event == ""
		}
	}
	return false
}

// recorded returns the server's bytes that end with line i.
func (p *player) recorded(i int) []byte {
	all := p.t.lines[i].bytes
	for j := i - 1; j >= 0; j-- {
		before := &p.t.lines[j]
		if before.Conn != p.t.lines[i].Conn {
			continue
		}
		if before.fromClient() || before.Event != "" {
			break
		}
		all = slices.Concat(before.bytes, all)
	}
	return all
}

// send sends the client's bytes again.
func (p *player) send(c *peer, b []byte) {
	if c.conn == nil {
		return
	}
	c.cut = c.cut || len(c.sent) > 0 || len(b) > legacy.BlockBytes
	c.sent, c.owed = append(c.sent, b...), true
	m, _, err := parseMessage(c.sent, p.cipher)
	c.last = m
	if err == nil && !m.root.IsZero() {
		if c.isBody = m.root.Kind() == pickle.Dict; c.isBody {
			c.asked = m
		}
	} else {
		c.isBody = false
	}
	if _, err := c.conn.Write(b); err != nil {
		c.close()
	}
}

// answer compares the next reply of this server with a recorded one.
func (p *player) answer(c *peer, i int, recorded []byte) {
	original, _, err := parseMessage(recorded, p.cipher)
	if err != nil && c.conn == nil {
		return
	}
	cutShort := errors.Is(err, errShort) // the client closed in the middle of it
	asked, isBody := c.asked, c.isBody
	c.sent, c.owed, c.cut = nil, false, false
	ours := c.read(p.cipher)
	if cutShort && ours != nil && ours.root.Kind() == pickle.Dict {
		return
	}
	// an announcement, or the reply to one
	if !original.root.IsZero() && original.root.Kind() != pickle.Dict {
		p.all.compared++
		if ours == nil || ours.root.IsZero() || ours.root.Kind() != original.root.Kind() ||
			ours.root.Kind() == pickle.Str && ours.show() != original.show() {
			if last := c.last; ours == nil && last.namesClass() {
				p.all.intended["class refused"]++
				return
			}
			if isBody && ours == nil {
				p.compare(c, i, &exchange{python: p.t.Python, request: asked, original: &original})
				return
			}
			p.report(i, original.show(), ours)
		}
		return
	}
	p.compare(c, i, &exchange{python: p.t.Python, request: asked, original: &original, ours: ours})
}

// compare compares the replies to a request.
func (p *player) compare(c *peer, i int, x *exchange) {
	table, named := x.request.text("table_name")
	route, _ := x.request.text("route")
	p.all.compared++
	same := x.original != nil && x.ours != nil && x.original.show() == x.ours.show()
	if same && !x.original.root.IsZero() {
		if restores(&x.request) {
			delete(p.apart, table)
		}
		return
	}
	for _, rule := range rules {
		if rule.applies(x) {
			p.all.intended[rule.name]++
			if slices.Contains(changes, rule.name) {
				p.apart[table] = true
				p.apart[""] = p.apart[""] || table != ""
			}
			return
		}
	}
	switch {
	case named && p.apart[table] && x.ours != nil, route == "/print_tables" && p.apart[""] && x.ours != nil:
		p.all.skipped++
		if restores(&x.request) {
			delete(p.apart, table)
		}
		return
	}
	want := "no answer"
	if x.original != nil {
		want = x.original.show()
	}
	p.report(i, route+" "+want, x.ours)
}

func (p *player) report(i int, want string, ours *message) {
	p.wrong++
	got := "the connection closed, or no reply"
	if ours != nil {
		got = ours.show()
	}
	fmt.Fprintf(p.out, "%s: line %d, call %d: %.300s; here %.300s\n", p.t.name, i+2, p.t.lines[i].Call, want, got)
}

// ended handles the original's end of a connection. If a request has no recorded reply, this
// server's reply is checked; an incomplete request is not, since this server waits for its rest.
func (p *player) ended(c *peer) {
	if c.owed && c.conn != nil {
		if _, _, err := parseMessage(c.sent, p.cipher); errors.Is(err, errShort) {
			c.cut = true
			return
		}
	}
	p.unanswered(c)
	c.close()
}

// unanswered checks this server's reply to a request to which the original did not reply.
func (p *player) unanswered(c *peer) {
	if !c.owed || c.conn == nil {
		return
	}
	c.owed = false
	ours := c.read(p.cipher)
	if ours != nil && ours.root.Kind() == pickle.Str { // the reply to an announcement; a close must follow
		ours = c.read(p.cipher)
	}
	if ours != nil && ours.root.Kind() == pickle.Int { // a reply is announced
		c.write(p.cipher, "ready")
		ours = c.read(p.cipher)
	}
	if c.conn != nil && ours == nil {
		p.report(len(p.t.lines)-1, "no reply from the original; a reply or a close was due", nil)
		return
	}
	x := &exchange{python: p.t.Python, request: c.asked, cut: c.cut, ours: ours}
	if ours != nil && ours.root.IsZero() || x.request.root.IsZero() {
		x.request.u = &pickle.Unpickler{}
	}
	if ours == nil {
		p.all.compared++
		p.all.intended[rules[0].name]++
		return
	}
	p.compare(c, len(p.t.lines)-1, x)
}

// read reads one message; nil if the connection ends, or if nothing arrives in time.
func (c *peer) read(cipher *legacy.Cipher) *message {
	for c.conn != nil {
		if m, n, err := parseMessage(c.in, cipher); !errors.Is(err, errShort) && len(c.in) > 0 {
			c.in = c.in[n:]
			return &m
		}
		_ = c.conn.SetReadDeadline(time.Now().Add(answerTime))
		room := make([]byte, 64<<10)
		n, err := c.conn.Read(room)
		c.in = append(c.in, room[:n]...)
		if n == 0 && err != nil {
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() {
				return nil
			}
			c.close()
		}
	}
	return nil
}

// write sends a text as a message.
func (c *peer) write(cipher *legacy.Cipher, text string) {
	w := legacy.NewWire(cipher)
	if _, err := c.conn.Write(w.Seal(nil, pickle.End(pickle.AppendText(pickle.Begin(nil), text)))); err != nil {
		c.close()
	}
}

func (c *peer) close() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}
