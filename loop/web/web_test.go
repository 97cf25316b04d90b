package web

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cyberdb-fast/client"
	"cyberdb-fast/codec"
	"cyberdb-fast/codec/secure"
	"cyberdb-fast/loop"
	"cyberdb-fast/loop/engine"
)

const password = "pass: word"

// database starts a database that ends with the test.
func database(t *testing.T, change func(cfg *loop.Config)) *loop.Server {
	t.Helper()
	cfg := loop.Config{
		Addr: "127.0.0.1:0", Password: password, KDF: secure.KDF{LogN: secure.MinLogN}, EventLoops: 2,
		Logger: slog.New(slog.DiscardHandler), Version: "test",
	}
	if change != nil {
		change(&cfg)
	}
	db, err := loop.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, db) })
	return db
}

func stop(t *testing.T, db *loop.Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := db.Stop(ctx); err != nil {
		t.Error(err)
	}
}

// clientOf returns a client of a database.
func clientOf(t *testing.T, db *loop.Server) *client.Client {
	t.Helper()
	options := client.Options{Password: password, DialTimeout: time.Minute}
	c, err := client.Open(t.Context(), "cyberdb://"+db.Addr().String(), &options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// elsewhere are loopback addresses that stand for other machines.
var elsewhere = map[string]net.IP{"127.0.0.7": net.IPv4(192, 0, 2, 7), "127.0.0.8": net.IPv4(192, 0, 2, 8)}

// peers is a listener that sees connections from elsewhere come from other machines.
type peers struct{ net.Listener }

type peer struct {
	net.Conn
	from net.Addr
}

func (p peer) RemoteAddr() net.Addr { return p.from }

func (l peers) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	from := *c.RemoteAddr().(*net.TCPAddr)
	if ip := elsewhere[from.IP.String()]; ip != nil {
		from.IP = ip
	}
	return peer{c, &from}, nil
}

// listening starts a server that has no database yet.
func listening(t *testing.T) *Server {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := start(peers{ln}, slog.New(slog.DiscardHandler))
	t.Cleanup(s.Close)
	return s
}

// serving starts a server of a database.
func serving(t *testing.T, db *loop.Server) *Server {
	t.Helper()
	s := listening(t)
	s.Serve(db)
	return s
}

// visitor is a client at an address.
type visitor struct{ http.Transport }

func visitorFrom(t *testing.T, address string) *visitor {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	v := &visitor{http.Transport{DialContext: dialer.DialContext}}
	t.Cleanup(v.CloseIdleConnections)
	return v
}

// ask sends a request, with a password unless it is empty.
func (v *visitor) ask(t *testing.T, s *Server, method, path, password string) (*http.Response, string) {
	t.Helper()
	resp, body, err := v.tryAsk(t.Context(), s, method, path, password)
	if err != nil {
		t.Fatal(err)
	}
	return resp, body
}

func (v *visitor) tryAsk(
	ctx context.Context,
	s *Server,
	method, path, password string,
) (*http.Response, string, error) {
	r, err := http.NewRequestWithContext(ctx, method, "http://"+s.Addr().String()+path, nil)
	if err != nil {
		return nil, "", err
	}
	if password != "" {
		r.SetBasicAuth("anyone", password)
	}
	resp, err := v.RoundTrip(r)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, string(body), err
}

// TestPages: what each request is answered, from this machine and from another.
func TestPages(t *testing.T) {
	db := database(t, nil)
	s := serving(t, db)
	local, remote := visitorFrom(t, "127.0.0.1"), visitorFrom(t, "127.0.0.7")
	tests := []struct {
		from                   *visitor
		method, path, password string
		status                 int
		body                   string
	}{
		{local, "GET", "/healthz", "", 200, "ok\n"},
		{local, "HEAD", "/healthz", "", 200, ""},
		{local, "GET", "/readyz", password, 200, "ready\n"},
		{local, "GET", "/metrics", password, 200, "# HELP cyberdb_info"},
		{local, "HEAD", "/metrics", password, 200, ""},
		{local, "GET", "/metrics", "", 401, "log in with HTTP Basic: any user name, and the server's password\n"},
		{local, "GET", "/readyz", "", 401, "log in"},
		{local, "GET", "/metrics", "other", 401, "wrong password\n"},
		{local, "GET", "/", "", 401, "log in"},
		{local, "GET", "/", password, 404, "404"},
		{local, "GET", "/healthz/", password, 404, "404"},
		{local, "POST", "/metrics", password, 405, "Method Not Allowed"},
		{local, "DELETE", "/", password, 404, "404"},
		{local, "TRACE", "/healthz", "", 405, "Method Not Allowed"},
		{remote, "GET", "/healthz", "", 401, "log in"},
		{remote, "GET", "/healthz", password, 200, "ok\n"},
		{remote, "GET", "/metrics", password, 200, "# HELP"},
	}
	for _, tt := range tests {
		resp, body := tt.from.ask(t, s, tt.method, tt.path, tt.password)
		if resp.StatusCode != tt.status || !strings.HasPrefix(body, tt.body) || tt.body == "" && body != "" {
			t.Errorf("%s %s: %s, %.80q, want %d and %q", tt.method, tt.path, resp.Status, body, tt.status, tt.body)
		}
		if asks := resp.Header.Get("WWW-Authenticate"); (asks != "") != (tt.status == 401) {
			t.Errorf("%s %s: WWW-Authenticate is %q", tt.method, tt.path, asks)
		}
	}
	if n := db.Info().FailedLogins; n != 1 {
		t.Errorf("%d failed logins are counted: a request without a password is none", n)
	}
}

// TestLoading: while the tables are loaded the process is healthy, and not ready.
func TestLoading(t *testing.T) {
	s := listening(t)
	for _, address := range []string{"127.0.0.1", "127.0.0.7"} {
		v := visitorFrom(t, address)
		if resp, body := v.ask(t, s, "GET", "/healthz", ""); resp.StatusCode != 200 {
			t.Errorf("/healthz: %s, %s", resp.Status, body)
		}
		for _, path := range []string{"/readyz", "/metrics", "/"} {
			resp, body := v.ask(t, s, "GET", path, password)
			if resp.StatusCode != 503 || body != "the tables are being loaded\n" {
				t.Errorf("%s: %s, %s", path, resp.Status, body)
			}
		}
	}
}

// TestNotReady: a server that does not take changes says so, and why. Its figures are there to its
// end.
func TestNotReady(t *testing.T) {
	db := database(t, nil)
	stop(t, db)
	s := listening(t)
	s.db.Store(db)
	resp, body := visitorFrom(t, "127.0.0.1").ask(t, s, "GET", "/readyz", password)
	if resp.StatusCode != 503 || body != "the server is stopping\n" {
		t.Errorf("/readyz: %s, %s", resp.Status, body)
	}
	resp, body = visitorFrom(t, "127.0.0.1").ask(t, s, "GET", "/metrics", password)
	if resp.StatusCode != 200 || !strings.Contains(body, "cyberdb_connections 0\n") {
		t.Errorf("/metrics: %s, %.500s", resp.Status, body)
	}
}

// TestHungLoop: a server whose event loop hangs is neither healthy nor ready, and says so in time.
func TestHungLoop(t *testing.T) {
	hang, commands := make(chan bool), engine.Protocol()
	commands[codec.OpPing].Run = func(*engine.Executor) error { <-hang; return nil }
	db := database(t, func(cfg *loop.Config) { cfg.Commands, cfg.EventLoops = commands, 1 })
	c := clientOf(t, db)
	s, v := serving(t, db), visitorFrom(t, "127.0.0.1")
	var pinged, asked sync.WaitGroup
	pinged.Go(func() { _ = c.Ping(t.Context()) })
	for _, path := range []string{"/healthz", "/readyz"} {
		asked.Go(func() {
			began, status, body := time.Now(), 200, ""
			for status == 200 && time.Since(began) < 2*time.Second { // the PING may not have arrived yet
				resp, text, err := v.tryAsk(t.Context(), s, "GET", path, password)
				if err != nil {
					t.Error(err)
					return
				}
				status, body = resp.StatusCode, text
			}
			if status != 503 || !strings.Contains(body, "1 of 1 event loops do not answer") {
				t.Errorf("%s: %d, %s", path, status, body)
			}
		})
	}
	asked.Wait()
	close(hang)
	pinged.Wait()
	if resp, body := v.ask(t, s, "GET", "/readyz", password); resp.StatusCode != 200 {
		t.Errorf("afterwards: %s, %s", resp.Status, body)
	}
}

// TestNewPassword: the password that the database has now is the one that is asked for.
func TestNewPassword(t *testing.T) {
	db := database(t, nil)
	s, v := serving(t, db), visitorFrom(t, "127.0.0.1")
	if err := db.SetPassword("another"); err != nil {
		t.Fatal(err)
	}
	for given, want := range map[string]int{password: 401, "another": 200} {
		if resp, body := v.ask(t, s, "GET", "/readyz", given); resp.StatusCode != want {
			t.Errorf("with %q: %s, %s", given, resp.Status, body)
		}
	}
}

// TestAllowedAddresses: only addresses that may connect to the database may ask, even with its
// password. This machine may always ask for its health.
func TestAllowedAddresses(t *testing.T) {
	s := serving(
		t,
		database(t, func(cfg *loop.Config) { cfg.Allow = []netip.Prefix{netip.MustParsePrefix("192.0.2.7/32")} }),
	)
	for _, tt := range []struct {
		from, path string
		status     int
	}{
		{"127.0.0.1", "/healthz", 200},
		{"127.0.0.1", "/metrics", 403},
		{"127.0.0.7", "/healthz", 200},
		{"127.0.0.7", "/metrics", 200},
		{"127.0.0.8", "/healthz", 403},
		{"127.0.0.8", "/metrics", 403},
	} {
		resp, body := visitorFrom(t, tt.from).ask(t, s, "GET", tt.path, password)
		if resp.StatusCode != tt.status || tt.status == 403 && !strings.Contains(body, "--allow") {
			t.Errorf("%s from %s: %s, %s", tt.path, tt.from, resp.Status, body)
		}
	}
}

// TestWrongPasswords: they delay the next logins of their address, and of no other. A flood of them
// does not keep other clients out.
func TestWrongPasswords(t *testing.T) {
	db := database(t, nil)
	s := serving(t, db)
	guesser, other, local := visitorFrom(t, "127.0.0.7"), visitorFrom(t, "127.0.0.8"), visitorFrom(t, "127.0.0.1")
	scrape := func(v *visitor, least, most time.Duration) {
		t.Helper()
		began := time.Now()
		if resp, body := v.ask(t, s, "GET", "/metrics", password); resp.StatusCode != 200 {
			t.Errorf("the right password: %s, %s", resp.Status, body)
		}
		if took := time.Since(began); took < least || took > most {
			t.Errorf("a scrape took %v, not from %v to %v", took, least, most)
		}
	}
	for range 5 {
		guesser.ask(t, s, "GET", "/metrics", "guess")
	}
	const expected = 160 * time.Millisecond // 10 ms, doubled four times
	scrape(other, 0, expected)
	scrape(guesser, expected/2, 10*time.Second)
	if n := db.Info().FailedLogins; n != 5 {
		t.Errorf("%d failed logins are counted", n)
	}

	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	var all sync.WaitGroup
	var tried, refused atomic.Int32
	for range 2 * MaxConns {
		all.Go(func() {
			switch resp, _, err := guesser.tryAsk(ctx, s, "GET", "/metrics", "guess"); {
			case err != nil: // it has waited for two seconds, or was closed for another
			case resp.StatusCode == http.StatusTooManyRequests:
				refused.Add(1)
			default:
				tried.Add(1)
			}
		})
	}
	for ctx.Err() == nil {
		scrape(local, 0, time.Second)
		scrape(other, 0, time.Second)
		local.CloseIdleConnections()
		other.CloseIdleConnections()
	}
	all.Wait()
	if tried.Load() > 6 || refused.Load() == 0 {
		t.Errorf("%d passwords were tried within two seconds, and %d refused", tried.Load(), refused.Load())
	}
}

// TestMalformed: what is no request, or more than one, is refused and costs only its connection.
func TestMalformed(t *testing.T) {
	s := serving(t, database(t, nil))
	long := strings.Repeat("x", 64<<10)
	for _, tt := range []struct{ name, request, want string }{
		{"a body", "GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", "413"},
		{"chunks", "GET /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "413"},
		{"no HTTP", "\x00\x01\x02\x03\r\n\r\n", "400"},
		{"a long header", "GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + long + "\r\n\r\n", "431"},
		{"a long path", "GET /" + long + " HTTP/1.1\r\nHost: x\r\n\r\n", "431"},
		{"no host", "GET /healthz HTTP/1.1\r\n\r\n", "400"},
		{"no base64", "GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Basic ???\r\n\r\n", "401"},
		{"a bearer", "GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + password + "\r\n\r\n", "401"},
		{"an old client", "GET /healthz HTTP/1.0\r\n\r\n", "200"},
	} {
		c := connect(t, s)
		_, _ = io.WriteString(c, tt.request) // it may be cut
		var line [12]byte
		if _, err := io.ReadFull(c, line[:]); err != nil || string(line[9:]) != tt.want {
			t.Errorf("%s: %q, %v, want %s", tt.name, line, err, tt.want)
		}
	}
}

// connect opens a connection whose reads and writes end.
func connect(t *testing.T, s *Server) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestSlowClients: clients that send nothing, or half a request, or do not read, hold few
// connections, and none that another client needs.
func TestSlowClients(t *testing.T) {
	s := serving(t, database(t, nil))
	v := visitorFrom(t, "127.0.0.1")
	for i := range 3 * MaxConns {
		c := connect(t, s)
		switch i % 3 {
		case 0:
			_, _ = io.WriteString(c, "GET /metrics HTTP/1.1\r\nHost: x\r\nX:")
		case 1:
			_, _ = io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
		}
		if i%MaxConns != 0 {
			continue
		}
		began := time.Now()
		if resp, body := v.ask(t, s, "GET", "/metrics", password); resp.StatusCode != 200 {
			t.Errorf("with %d slow clients: %s, %s", i, resp.Status, body)
		}
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("with %d slow clients a scrape takes %v", i, took)
		}
		v.CloseIdleConnections()
	}
	s.ln.mu.Lock()
	defer s.ln.mu.Unlock()
	if n := len(s.ln.conns); n > MaxConns {
		t.Errorf("%d connections are open", n)
	}
}

// TestBusyConnections: a connection whose request is being answered is not closed for another one.
func TestBusyConnections(t *testing.T) {
	s := serving(t, database(t, nil))
	v := visitorFrom(t, "127.0.0.1")
	began, proceed := make(chan bool, MaxConns), make(chan bool)
	s.pages.HandleFunc("GET /wait", func(w http.ResponseWriter, _ *http.Request) {
		began <- true
		<-proceed
		say(w, http.StatusOK, "done")
	})
	var all sync.WaitGroup
	for range MaxConns {
		all.Go(func() {
			if _, body, err := v.tryAsk(t.Context(), s, "GET", "/wait", password); err != nil || body != "done\n" {
				t.Errorf("%q, %v", body, err)
			}
		})
		<-began
	}
	if _, _, err := v.tryAsk(t.Context(), s, "GET", "/healthz", ""); err == nil {
		t.Error("one connection more was served")
	}
	close(proceed)
	all.Wait()
	if resp, _ := v.ask(t, s, "GET", "/healthz", ""); resp.StatusCode != 200 {
		t.Errorf("afterwards: %s", resp.Status)
	}
}

// TestPanic: a panic of a page costs its request, is logged and counted.
func TestPanic(t *testing.T) {
	var log bytes.Buffer
	db := database(t, func(cfg *loop.Config) { cfg.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	s := serving(t, db)
	v := visitorFrom(t, "127.0.0.1")
	s.pages.HandleFunc("GET /panic", func(http.ResponseWriter, *http.Request) { panic("defect") })
	if resp, body := v.ask(
		t,
		s,
		"GET",
		"/panic",
		password,
	); resp.StatusCode != 500 ||
		strings.Contains(body, "defect") {
		t.Errorf("%s, %s", resp.Status, body)
	}
	if db.Info().Panics != 1 || !strings.Contains(log.String(), "defect") {
		t.Errorf("%d panics are counted; the log: %s", db.Info().Panics, log.String())
	}
	if resp, _ := v.ask(t, s, "GET", "/healthz", ""); resp.StatusCode != 200 {
		t.Errorf("afterwards: %s", resp.Status)
	}
}

// TestEnd: the server ends with its database.
func TestEnd(t *testing.T) {
	db := database(t, nil)
	s := serving(t, db)
	visitorFrom(t, "127.0.0.1").ask(t, s, "GET", "/healthz", "")
	silent := connect(t, s)
	stop(t, db)
	if _, err := silent.Read(make([]byte, 1)); err == nil {
		t.Error("a silent connection is answered")
	}
	if c, err := net.Dial("tcp", s.Addr().String()); err == nil {
		_ = c.Close()
		t.Error("it listens")
	}
}

// TestListen: an address that cannot be used is named.
func TestListen(t *testing.T) {
	s, err := Listen("127.0.0.1:0", slog.Default())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	addr := s.Addr().String()
	if _, err := Listen(addr, slog.Default()); err == nil || !strings.Contains(err.Error(), addr) {
		t.Errorf("a taken address: %v", err)
	}
}
