package loop

import (
	"bufio"
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"cyberdb-fast/codec"
	"cyberdb-fast/loop/engine/conformance"
	"cyberdb-fast/persist"
)

var operationsFlag = flag.Int("operations", 0, "how many operations TestExpiry makes; 0: a few")

// TestExpiry: whatever is done to tables whose entries expire, a server answers as the model in
// testdata/expiry does, a CPython process. It makes random requests and judges the replies, while
// the server's clock jumps and the server is stopped in order, or killed, and started again.
func TestExpiry(t *testing.T) {
	t.Parallel()
	n := *operationsFlag
	switch {
	case n > 0:
	case testing.Short():
		n = 5_000
	default:
		n = 10_000
	}
	seed := *seedFlag
	if seed == 0 {
		seed = conformance.Seed(t)
	}
	t.Logf("-seed %d", seed)
	c := &expiryCampaign{T: t, dir: t.TempDir()}
	c.model(n, seed)
	defer c.kill()
	c.start(expiryStart, seed)
	for {
		kind, body := c.receive()
		switch kind {
		case 'B':
			c.send(c.batch(c.conns[body[0]%expiryConns], body[5:], binary.LittleEndian.Uint32(body[1:])))
		case 'V':
			c.send(c.beginRead(body))
		case 'R':
			c.send(c.endRead())
		case 'J':
			c.jump(int64(binary.LittleEndian.Uint64(body)))
			c.send(nil)
		case 'K', 'S':
			if kind == 'K' {
				c.kill()
			} else {
				c.server.end()
			}
			c.start(int64(binary.LittleEndian.Uint64(body)), binary.LittleEndian.Uint64(body[8:]))
			c.send(c.time(time.Now(), time.Now()))
		case 'D':
			summary, wrong, _ := strings.Cut(string(body), "\n")
			t.Logf("expiry: %s", summary)
			if wrong != "" {
				t.Error(wrong)
			}
			c.server.end()
			return
		}
	}
}

// TestExpiryModel: the judge finds no difference between the model and itself, and each fault of
// loopback.py.
func TestExpiryModel(t *testing.T) {
	t.Parallel()
	run := func(fault string) string {
		out, err := modelCommand(20_000, 1, fault).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return string(out)
	}
	if out := run("none"); !strings.Contains(out, " 0 differences") {
		t.Error(out)
	}
	for fault := range strings.Lines(run("list")) {
		fault = strings.TrimSpace(fault)
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			if out := run(fault); !strings.Contains(out, " 1 differences") {
				t.Errorf("not found: %s", out)
			}
		})
	}
}

const (
	expiryConns = 3
	expiryStart = 1_900_000_020_000 // campaign.START
)

// expiryCampaign is between the model's process and the server's.
type expiryCampaign struct {
	*testing.T
	dir    string
	in     io.WriteCloser
	out    *bufio.Reader
	server *process
	conns  [expiryConns]*wire
	slow   *wire // of a long read
	addr   string

	base            int64     // what the clock was set to,
	earliest, later time.Time // between these moments
}

// modelCommand is the model's process. A fault is one of the model as a server.
func modelCommand(operations int, seed uint64, fault ...string) *exec.Cmd {
	cmd := exec.Command("python3", append([]string{
		"testdata/expiry/campaign.py", "engine/conformance", "../codec/value/testdata",
		strconv.Itoa(operations), strconv.FormatUint(seed, 10),
	}, fault...)...)
	cmd.Env = append(cmd.Environ(), "PYTHONHASHSEED=0", "PYTHONDONTWRITEBYTECODE=1")
	return cmd
}

func (c *expiryCampaign) model(operations int, seed uint64) {
	cmd := modelCommand(operations, seed)
	var err error
	if c.in, err = cmd.StdinPipe(); err != nil {
		c.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		c.Fatal(err)
	}
	c.out = bufio.NewReaderSize(out, 1<<20)
	var log lockedBuffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		c.Fatalf("CPython is the model of this test: %v", err)
	}
	c.Cleanup(func() {
		_ = c.in.Close()
		if err := cmd.Wait(); err != nil {
			c.Errorf("campaign.py: %v\n%s", err, log.String())
		}
	})
}

func (c *expiryCampaign) receive() (kind byte, body []byte) {
	c.Helper()
	var length [4]byte
	_, err := io.ReadFull(c.out, length[:])
	if err == nil {
		body = make([]byte, binary.LittleEndian.Uint32(length[:]))
		_, err = io.ReadFull(c.out, body)
	}
	if err != nil {
		c.Fatalf("campaign.py: %v", err)
	}
	return body[0], body[1:]
}

func (c *expiryCampaign) send(body []byte) {
	c.Helper()
	if _, err := c.in.Write(append(binary.LittleEndian.AppendUint32(nil, uint32(len(body))), body...)); err != nil {
		c.Fatalf("campaign.py: %v", err)
	}
}

// start starts the server on what is in the directory. Its clock begins at now.
func (c *expiryCampaign) start(now int64, seed uint64) {
	c.Helper()
	c.base, c.earliest = now, time.Now()
	c.server = startProcess(
		c,
		"expiry",
		expiryDirEnv+"="+c.dir,
		expirySeedEnv+"="+strconv.FormatUint(seed, 10),
		expiryNowEnv+"="+strconv.FormatInt(now, 10),
	)
	c.addr = c.server.line()
	c.later = time.Now()
	for i := range c.conns {
		c.conns[i] = c.dial()
	}
}

func (c *expiryCampaign) dial() *wire {
	c.Helper()
	w, err := dialAddr(c.addr)
	if err != nil {
		c.Fatalf("%v\n%s", err, c.server.log.String())
	}
	w.TB = c
	return w
}

// kill ends the server by SIGKILL.
func (c *expiryCampaign) kill() {
	if c.server.done {
		return
	}
	c.server.done = true
	_ = c.server.cmd.Process.Kill()
	_ = c.server.cmd.Wait()
}

func (c *expiryCampaign) jump(now int64) {
	c.Helper()
	c.base, c.earliest = now, time.Now()
	if _, err := fmt.Fprintln(c.server.in, now); err != nil {
		c.Fatal(err)
	}
	if c.server.line() != "set" {
		c.Fatal("the clock is not set")
	}
	c.later = time.Now()
}

// time returns bounds of the server's time between two moments, in milliseconds, 16 bytes.
func (c *expiryCampaign) time(from, to time.Time) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(c.base+from.Sub(c.later).Milliseconds()))
	return binary.LittleEndian.AppendUint64(b, uint64(c.base+to.Sub(c.earliest).Milliseconds()+1))
}

// batch sends n requests at once, each a length and a payload, and returns the time and the
// replies.
func (c *expiryCampaign) batch(w *wire, requests []byte, n uint32) []byte {
	c.Helper()
	var out []byte
	for first := w.id + 1; len(requests) > 0; {
		w.id++
		payload := requests[4:][:binary.LittleEndian.Uint32(requests)]
		requests = requests[4+len(payload):]
		out = binary.LittleEndian.AppendUint32(out, uint32(4+len(payload)))
		out = binary.LittleEndian.AppendUint32(out, w.id)
		if out = append(out, payload...); w.id-first >= n {
			c.Fatal("more requests than announced")
		}
	}
	from := time.Now()
	sent := make(chan error, 1)
	go func() {
		_, err := w.conn.Write(out)
		sent <- err
	}()
	replies, err := w.replies(w.id+1-n, int(n))
	if err != nil {
		c.Fatalf("%v\n%s", err, c.server.log.String())
	}
	if err := <-sent; err != nil {
		c.Fatal(err)
	}
	return appendReplies(c.time(from, time.Now()), replies...)
}

func appendReplies(b []byte, replies ...codec.Reply) []byte {
	for _, r := range replies {
		b = append(b, byte(r.Status), byte(r.Flags))
		b = binary.LittleEndian.AppendUint64(b, r.Version)
		b = append(binary.LittleEndian.AppendUint32(b, uint32(len(r.Body))), r.Body...)
	}
	return b
}

// beginRead sends a request and waits until its reply begins.
func (c *expiryCampaign) beginRead(request []byte) []byte {
	c.Helper()
	c.slow = c.dial()
	from := time.Now()
	out := binary.LittleEndian.AppendUint32(nil, uint32(len(request)))
	c.slow.id++
	out = binary.LittleEndian.AppendUint32(out, c.slow.id)
	c.slow.write(append(out, request[4:]...))
	if err := c.slow.read(); err != nil {
		c.Fatal(err)
	}
	return c.time(from, time.Now())
}

func (c *expiryCampaign) endRead() []byte {
	c.Helper()
	reply, err := c.slow.reply()
	if err != nil {
		c.Fatalf("%v\n%s", err, c.server.log.String())
	}
	_ = c.slow.conn.Close()
	return appendReplies(c.time(time.Now(), time.Now()), reply)
}

const (
	expiryDirEnv  = "CYBERDB_TEST_DIR"
	expirySeedEnv = "CYBERDB_TEST_SEED"
	expiryNowEnv  = "CYBERDB_TEST_NOW"
)

// expiryProcess is a server whose wall clock is set by lines of milliseconds. It prints its
// address, and "set" for each line, and ends with its standard input.
func expiryProcess() error {
	now, err := strconv.ParseInt(os.Getenv(expiryNowEnv), 10, 64)
	if err != nil {
		return err
	}
	seed, err := strconv.ParseUint(os.Getenv(expirySeedEnv), 10, 64)
	if err != nil {
		return err
	}
	rng := rand.New(rand.NewPCG(seed, 1))
	cfg, err := Config{
		Addr: "127.0.0.1:0", MaxConns: 100, EventLoops: 1 + rng.IntN(3),
		Password: testPassword, KDF: testKDF, Encrypt: *encrypted,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
		Data: Data{
			File:  filepath.Join(os.Getenv(expiryDirEnv), "data.cdb"),
			Fsync: []persist.Policy{persist.Never, persist.EverySecond, persist.Always}[rng.IntN(3)],
		},
	}.withDefaults()
	if err != nil {
		return err
	}
	limits := cfg.limits()
	clock := &wallClock{}
	clock.set(now)
	clock.limit(&limits)
	srv, err := start(cfg, limits)
	if err != nil {
		return err
	}
	fmt.Println(srv.Addr())
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		if now, err = strconv.ParseInt(lines.Text(), 10, 64); err != nil {
			return err
		}
		clock.set(now)
		fmt.Println("set")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return srv.Stop(ctx)
}

// set makes the clock show that now, in milliseconds.
func (w *wallClock) set(now int64) { w.off.Store(int64(time.Until(time.UnixMilli(now)))) }
