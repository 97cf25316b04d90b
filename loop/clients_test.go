package loop

import (
	"strings"
	"testing"
	"time"

	"cyberdb-fast/codec"
)

// clientOf returns what INFO says of a client's connection.
func clientOf(w *wire, all Clients, peer string) Client {
	w.Helper()
	for _, c := range all.Clients {
		if c.Peer == peer {
			return c
		}
	}
	w.Fatalf("no client %s in %+v", peer, all)
	return Client{}
}

// TestClients: INFO "clients" says of each client what its connection does.
func TestClients(t *testing.T) {
	t.Parallel()
	began := time.Now()
	srv := startServer(t, legacyOn(nil))
	old := dialLegacy(t, srv)
	w, err := tryDial(t, srv, keyOf(t, legacyPassword))
	if err != nil {
		t.Fatal(err)
	}
	w.write(w.request(codec.OpDictSet, "d", "k", strings.Repeat("v", 1000))[:500])
	other, err := tryDial(t, srv, keyOf(t, legacyPassword))
	if err != nil {
		t.Fatal(err)
	}
	old.say(pickled(t, map[string]any{"header": ""})[:3], 0)
	var all Clients
	half := Client{}
	for half.BufferedBytes == 0 { // until the half of the request has arrived
		all = sectionOf[Clients](other, "clients")
		half = clientOf(w, all, w.conn.LocalAddr().String())
	}
	if len(all.Clients) != 3 || all.More {
		t.Errorf("%+v", all)
	}
	if half.State != "running" || half.BufferedBytes != 500 || half.UnsentBytes != 0 || half.Encrypted || half.Legacy {
		t.Errorf("%+v", half)
	}
	if self := clientOf(w, all, other.conn.LocalAddr().String()); self.State != "background" {
		t.Errorf("of the client itself: %+v", self)
	}
	most := time.Since(began).Seconds() + 0.1
	for i, c := range all.Clients {
		if c.AgeSeconds < 0 || c.AgeSeconds > most || c.IdleSeconds < 0 || c.IdleSeconds > most ||
			i > 0 && c.AgeSeconds > all.Clients[i-1].AgeSeconds {
			t.Errorf("%+v in %.1f s", c, most)
		}
	}
}

// TestClientsOfBusyLoop: clients are shown while an event loop does not answer; those of it without
// a state.
func TestClientsOfBusyLoop(t *testing.T) {
	t.Parallel()
	srv := startServer(t, func(cfg *Config) {
		cfg.EventLoops, cfg.Commands = 2, slowCommands(4*clientsTime)
	})
	w, busy := dial(t, srv), dial(t, srv)
	loops := make(map[*eventLoop]bool)
	srv.sessions.each(func(s *session) { loops[s.loop] = true })
	if len(loops) != 2 {
		t.Skip("both connections are of one event loop")
	}
	busy.write(busy.request(codec.OpExists, "slow"))
	unknown := Client{}
	for unknown.State != unknownState {
		unknown = clientOf(w, sectionOf[Clients](w, "clients"), busy.conn.LocalAddr().String())
	}
	if _, err := busy.reply(); err != nil {
		t.Fatal(err)
	}
	after := clientOf(w, sectionOf[Clients](w, "clients"), busy.conn.LocalAddr().String())
	if after.State != "running" || after.AgeSeconds < 0.2 {
		t.Errorf("%+v", after)
	}
}
