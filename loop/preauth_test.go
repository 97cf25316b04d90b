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

// TestWhoGivesWay: of the connections that have not proved the password one gives way that has had
// its time, or has more beside it from its address than the newcomer; never one that waits for the
// server.
func TestWhoGivesWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var u unprovenSet
		u.init()
		names := map[*session]string{nil: "nobody"}
		enter := func(from, name string) *session {
			s := &session{auth: auth{login: &login{from: netip.MustParseAddr(from)}}}
			names[s] = name
			u.enter(s)
			time.Sleep(time.Millisecond)
			return s
		}
		cedes := func(newcomer, want string) {
			t.Helper()
			if got := names[u.cede(netip.MustParseAddr(newcomer), time.Now())]; got != want {
				t.Errorf("%s gives way to %s, want %s", got, newcomer, want)
			}
		}
		const flood, honest, other = "10.0.0.1", "10.0.0.2", "10.0.0.3"
		cedes(honest, "nobody")
		first, second := enter(flood, "first"), enter(flood, "second")
		enter(flood, "third")
		enter(honest, "honest")
		cedes(flood, "nobody") // all are new, and the flood has the most
		cedes(honest, "first")
		cedes(honest, "nobody") // one of each would only change places
		time.Sleep(ownTime)
		cedes(flood, "second")
		cedes(honest, "nobody") // third is of another address
		if !u.leave(enter(other, "gone")) {
			t.Error("who was not asked for its place has none")
		}
		if u.prove(first) || u.leave(first) || u.work(second) || u.leave(second) {
			t.Error("who gave its place away has one")
		}

		third := u.waiting.Front().Value.(*session)
		if !u.work(third) {
			t.Error("third has lost its place")
		}
		cedes(other, "nobody") // third waits for the server, and honest has some time still
		cedes(honest, "honest")
		cedes(other, "nobody")
		u.worked(third)
		cedes(other, "nobody") // its client's time begins
		time.Sleep(otherTime)
		cedes(other, "third")
		if !u.prove(enter(flood, "proven")) {
			t.Error("who proved the password in time has no place")
		}
		time.Sleep(time.Hour)
		cedes(other, "nobody") // it has proved the password

		for range 2 * maxCeding {
			enter(flood, "crowd")
		}
		time.Sleep(ownTime)
		gone := 0
		for u.cede(netip.MustParseAddr(flood), time.Now()) != nil {
			gone++
		}
		if gone != maxCeding-2 { // honest and third are still open
			t.Errorf("%d gave way before any was closed", gone)
		}
	})
}

// TestStrangersGiveWay has strangers hold all places: who has the password is let in at once, and
// who has proved it stays.
func TestStrangersGiveWay(t *testing.T) {
	t.Parallel()
	const most = 8
	srv := startServer(t, func(cfg *Config) { cfg.MaxConns = most })
	var strangers, clients []*wire
	for range most {
		strangers = append(strangers, dialSilent(t, srv))
	}
	within(t, patience, func() error {
		if n := srv.Info().Connections; n < most {
			return errors.New("not all strangers are in")
		}
		return nil
	})
	start := time.Now()
	for range most {
		within(t, 2*time.Second, func() error { // less than the strangers' time
			w, err := tryDial(t, srv, testKey)
			if err == nil {
				clients = append(clients, w)
			}
			return err
		})
	}
	if took := time.Since(start); took > handshakeTime-time.Second {
		t.Errorf("%d clients were let in after %v: the strangers had left by themselves", most, took)
	}
	for i, w := range strangers {
		if !w.closed() {
			t.Fatalf("stranger %d is still there", i)
		}
		_, _, err := newClient(nil, *encrypted).Next(w.in, nil)
		var refusal *secure.Refusal
		if !errors.As(err, &refusal) || refusal.Code != secure.RefusedTooManyConnections {
			t.Errorf("stranger %d: got %x, %v, want to be told that its place was given away", i, w.in, err)
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
	within(t, patience, func() error {
		_, err := tryDial(t, srv, testKey)
		return err
	})
}

// TestLegacyGivesWay: a connection of CyberDB's wire keeps its place by its first request, with the
// password; until then it may say nothing for long, but not where there is no other place.
func TestLegacyGivesWay(t *testing.T) {
	t.Parallel()
	srv := startServer(t, legacyOn(func(cfg *Config) { cfg.MaxConns = 3 }))
	proven, silent, large := dialLegacy(t, srv), dialLegacy(t, srv), dialLegacy(t, srv)
	proven.done("/create_cyberlist", "table_name", "l", "content", []any{})
	// read beside the loop
	large.done("/cyberlist/append", "table_name", "l", "value", strings.Repeat("x", 4*legacyInlineBytes))
	var w *wire
	within(t, 3*time.Second, func() (err error) {
		w, err = tryDial(t, srv, keyOf(t, legacyPassword))
		return err
	})
	if !silent.isClosed(time.Second) {
		t.Error("who had said nothing is still there")
	}
	refusedWith(t, secure.RefusedTooManyConnections, func() (*wire, error) { return tryDial(t, srv, testKey) })
	proven.done("/connect")
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
