package loop

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/secure"
)

// TestEvictionVictim: the unauthenticated connection that is evicted has waited longer than its
// grace, or its address has more such connections than the newcomer's. One that waits for the
// server is never evicted.
func TestEvictionVictim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var u unauthenticatedSet
		u.init()
		names := map[*session]string{nil: "none"}
		enter := func(from, name string) *session {
			s := &session{auth: auth{login: &login{from: netip.MustParseAddr(from)}}}
			names[s] = name
			u.enter(s)
			time.Sleep(time.Millisecond)
			return s
		}
		evicts := func(newcomer, want string) {
			t.Helper()
			if got := names[u.evict(netip.MustParseAddr(newcomer), time.Now())]; got != want {
				t.Errorf("%s is evicted for %s, want %s", got, newcomer, want)
			}
		}
		const flood, honest, other = "10.0.0.1", "10.0.0.2", "10.0.0.3"
		evicts(honest, "none")
		first, second := enter(flood, "first"), enter(flood, "second")
		enter(flood, "third")
		enter(honest, "honest")
		evicts(flood, "none") // all are new, and the flood has the most
		evicts(honest, "first")
		evicts(honest, "none") // one of each would only take turns
		time.Sleep(sameAddrGrace)
		evicts(flood, "second")
		evicts(honest, "none") // third is of another address
		if !u.leave(enter(other, "gone")) {
			t.Error("a session that was not evicted has lost its slot")
		}
		if u.authenticated(first) || u.leave(first) || u.work(second) || u.leave(second) {
			t.Error("an evicted session has a slot")
		}

		third := u.waiting.Front().Value.(*session)
		if !u.work(third) {
			t.Error("third was evicted")
		}
		evicts(other, "none") // third waits for the server, and honest has some time still
		evicts(honest, "honest")
		evicts(other, "none")
		u.worked(third)
		evicts(other, "none") // its client's time begins
		time.Sleep(otherAddrGrace)
		evicts(other, "third")
		if !u.authenticated(enter(flood, "authenticated")) {
			t.Error("a session that authenticated in time was evicted")
		}
		time.Sleep(time.Hour)
		evicts(other, "none") // it has authenticated

		for range 2 * maxEvicting {
			enter(flood, "crowd")
		}
		time.Sleep(sameAddrGrace)
		gone := 0
		for u.evict(netip.MustParseAddr(flood), time.Now()) != nil {
			gone++
		}
		if gone != maxEvicting-2 { // honest and third are still open
			t.Errorf("%d were evicted before any was closed", gone)
		}
	})
}

// TestUnauthenticatedEvicted: silent connections take all slots. Clients that know the password are
// accepted immediately, and authenticated ones stay.
func TestUnauthenticatedEvicted(t *testing.T) {
	t.Parallel()
	const most = 8
	srv := startServer(t, func(cfg *Config) { cfg.MaxConns = most })
	var silent, clients []*wire
	for range most {
		silent = append(silent, dialSilent(t, srv))
	}
	within(t, testTimeout, func() error {
		if n := srv.Info().Connections; n < most {
			return errors.New("not all silent connections are open")
		}
		return nil
	})
	start := time.Now()
	for range most {
		within(t, 2*time.Second, func() error { // less than their timeout
			w, err := tryDial(t, srv, testKey)
			if err == nil {
				clients = append(clients, w)
			}
			return err
		})
	}
	if took := time.Since(start); took > handshakeTime-time.Second {
		t.Errorf("%d clients were accepted after %v: the silent connections had timed out", most, took)
	}
	for i, w := range silent {
		if !w.closed() {
			t.Fatalf("silent connection %d is still there", i)
		}
		_, _, err := newClient(nil, *encrypted).Next(w.in, nil)
		var refusal *secure.Refusal
		if !errors.As(err, &refusal) || refusal.Code != secure.RefusedTooManyConnections {
			t.Errorf("silent connection %d: got %x, %v, want a refusal because it was evicted", i, w.in, err)
		}
	}
	dialSilent(t, srv)
	refusedWith(t, secure.RefusedTooManyConnections, func() (*wire, error) { return tryDial(t, srv, testKey) })
	for _, w := range clients {
		w.ok(codec.OpPing)
	}
	if n := srv.Info().Connections; n != most {
		t.Errorf("INFO says %d connections", n)
	}
	_ = clients[0].conn.Close()
	within(t, testTimeout, func() error {
		_, err := tryDial(t, srv, testKey)
		return err
	})
}

// TestLegacyEvicted: a connection of CyberDB's wire authenticates with its first request. Until
// then it may send nothing for long, and may be evicted.
func TestLegacyEvicted(t *testing.T) {
	t.Parallel()
	srv := startServer(t, legacyOn(func(cfg *Config) { cfg.MaxConns = 3 }))
	authed, silent, large := dialLegacy(t, srv), dialLegacy(t, srv), dialLegacy(t, srv)
	authed.done("/create_cyberlist", "table_name", "l", "content", []any{})
	// read in the background
	large.done("/cyberlist/append", "table_name", "l", "value", strings.Repeat("x", 4*legacyInlineBytes))
	var w *wire
	within(t, 3*time.Second, func() (err error) {
		w, err = tryDial(t, srv, keyOf(t, legacyPassword))
		return err
	})
	if !silent.isClosed(time.Second) {
		t.Error("the silent connection is still open")
	}
	refusedWith(t, secure.RefusedTooManyConnections, func() (*wire, error) { return tryDial(t, srv, testKey) })
	authed.done("/connect")
	large.done("/connect")
	w.ok(codec.OpPing)
}

func keyOf(t testing.TB, password string) []byte {
	t.Helper()
	key, err := testKDF.Key(password)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
