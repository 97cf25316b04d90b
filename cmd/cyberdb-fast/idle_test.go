package main

import (
	"testing"
	"time"

	"cyberdb-fast/bench"
	"cyberdb-fast/client"
)

// What an idle server may take.
const (
	idleWakeups = 20  // a second
	idlePercent = 0.3 // of a processor; polling takes more than 1.5
	restTime    = 10 * time.Second
)

// TestIdle: a server that has nothing to do sleeps, with clients that are silent too, and after a
// load.
func TestIdle(t *testing.T) {
	for _, c := range []struct {
		name    string
		flags   []string
		clients int
		load    bool
	}{
		{name: "as it is"},
		{name: "always", flags: []string{"--fsync", "always"}, clients: 1},
		{name: "no", flags: []string{"--fsync", "no"}},
		{name: "no journal", flags: []string{"--no-journal"}},
		{name: "ten clients", clients: 10},
		{name: "a thousand clients", clients: 1000},
		{name: "a thousand clients and a time-out", flags: []string{"--timeout", "900"}, clients: 1000},
		{name: "CyberDB's wire", flags: []string{"--legacy"}, clients: 10},
		{name: "encrypted", flags: []string{"--encrypt"}, clients: 10},
		{name: "a limit of memory", flags: []string{"--max-memory", "512MiB"}, clients: 10},
		{name: "after a load", clients: 10, load: true},
		{name: "after a load and saves", flags: []string{"--fsync", "always", "--cycle", "1"}, load: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := startProcess(t, nil, nil, c.flags...)
			if c.load {
				p.load(t)
			}
			o := bench.DefaultOptions()
			o.Target = bench.Target{
				Scheme:  bench.SchemeNative,
				Network: "tcp",
				Address: p.addr,
				Encrypt: c.name == "encrypted",
			}
			o.Password, o.Connections, o.ServerPID, o.Duration = testPassword, c.clients, p.PID(), restTime
			p.awaitListening(t)
			var rest *bench.Rest
			for range 3 { // what came before may take a while to end: memory that is given back
				var err error
				if c.clients == 0 {
					rest, err = bench.WatchRest(t.Context(), p.PID(), restTime)
				} else {
					var r *bench.IdleReport
					if r, err = bench.Idle(t.Context(), o); err == nil {
						rest = r.Rest
					}
				}
				if err != nil {
					t.Fatal(err)
				}
				t.Logf("%+v", *rest)
				if rest.WakeupsPerSecond <= idleWakeups && rest.CorePercent < idlePercent {
					return
				}
			}
			t.Errorf(
				"an idle server wakes %.1f times a second, and takes %.3f %% of a core",
				rest.WakeupsPerSecond,
				rest.CorePercent,
			)
		})
	}
}

// load changes a table for a while.
func (p *process) load(t *testing.T) {
	t.Helper()
	db := p.client(t, testPassword)
	d := client.DictOf[int, string](db, "d")
	if err := d.Create(t.Context()); err != nil {
		t.Fatal(err)
	}
	for end, i := time.Now().Add(2*time.Second), 0; time.Now().Before(end); i++ {
		if err := d.Set(t.Context(), i, "a value"); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}
