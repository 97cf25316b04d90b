package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"cyberdb-fast/client"
	"cyberdb-fast/loop/looptest"
)

// TestChecker: without a fault nothing is lost; each fault that a server could have is found.
func TestChecker(t *testing.T) {
	c := looptest.Start(t).Client(t, &client.Options{Conns: 1})
	ctx := t.Context()
	queue := client.ListOf[string](c, queueTable)
	together := client.DictOf[int, string](c, togetherName)
	counter := client.DictOf[string, int64](c, counterTable)
	jobs := client.ListOf[string](c, jobsName)
	tests := []struct {
		name  string
		wrong func(w *writer) error
		want  string // of the error; "": writes are lost
	}{
		{"last write lost", func(w *writer) error {
			w.history = append(
				w.history,
				deed{&write{apply: func(m model) { m[w.prefix+"more"] = newDict() }}, time.Now()},
			)
			return nil
		}, ""},
		{"own key changed", func(w *writer) error {
			return client.DictOf[string, string](c, w.prefix+dictName).Set(ctx, "first", "x")
		}, "never held"},
		{
			"own element twice",
			func(w *writer) error { return client.ListOf[string](c, w.prefix+listName).Append(ctx, "x") },
			"never held",
		},
		{"own table gone", func(w *writer) error { return c.Drop(ctx, w.prefix+dictName) }, "never held"},
		{"increment lost", func(*writer) error { _, err := counter.Increment(ctx, "sum", -1); return err }, ""},
		{"increment twice", func(*writer) error { _, err := counter.Increment(ctx, "sum", 1); return err }, "can be"},
		{"append lost", func(*writer) error { _, err := queue.Pop(ctx); return err }, ""},
		{"append twice", func(*writer) error {
			val, err := queue.Get(ctx, -1)
			if err != nil {
				return err
			}
			return queue.Append(ctx, val)
		}, "twice"},
		{"queue turned round", func(*writer) error { return queue.Reverse(ctx) }, "out of order"},
		{"taken element back", func(w *writer) error {
			for val := range w.shared.popped {
				return queue.AppendLeft(ctx, val)
			}
			return fmt.Errorf("nothing was taken")
		}, ""},
		{"update by half", func(*writer) error { return together.Set(ctx, 3, "0 0") }, "by half"},
		{"update never made", func(*writer) error {
			for k := range togetherKeys {
				if err := together.Set(ctx, k, "0 0"); err != nil {
					return err
				}
			}
			return nil
		}, "never set"},
		{"update lost", func(w *writer) error {
			for k := range togetherKeys {
				if err := together.Set(ctx, k, w.shared.updates[0].value); err != nil {
					return err
				}
			}
			return nil
		}, ""},
		{"entry outlives its deadline", func(w *writer) error {
			key, m := lastMortal(t, c, w)
			w.shared.mortals[key] = []mortal{
				{value: m.value, life: time.Millisecond, acked: time.Now().Add(-time.Second)},
			}
			return nil
		}, "after its deadline"},
		{"entry gone before its deadline", func(w *writer) error {
			key, _ := lastMortal(t, c, w)
			return client.DictOf[string, string](c, mortalName).Delete(ctx, key)
		}, ""},
		{"entry evicted below the limit", func(*writer) error {
			_, err := client.DictOf[string, string](c, fullName).PopItem(ctx)
			return err
		}, ""},
		{"job lost", func(*writer) error { _, err := jobs.Pop(ctx); return err }, ""},
		{"job twice", func(*writer) error {
			val, err := jobs.Get(ctx, 0)
			if err != nil {
				return err
			}
			return jobs.Append(ctx, val)
		}, "twice"},
		{"job back after its Ack", func(w *writer) error {
			for val, j := range w.shared.jobs {
				if !j.done.IsZero() {
					return jobs.Append(ctx, val)
				}
			}
			return fmt.Errorf("no job is done")
		}, ""},
		{"job back within its lease", func(w *writer) error {
			d, ok, err := jobs.Take(ctx, time.Minute, 0)
			if err != nil || !ok {
				return fmt.Errorf("no job: %w", err)
			}
			l := &jobLease{receipt: d.Receipt, got: time.Now(), until: time.Now().Add(time.Minute)}
			return errors.Join(w.shared.leased(d.Value, l), jobs.Append(ctx, d.Value))
		}, "again"},
		{"version given again", func(w *writer) error {
			for version := range w.shared.given {
				w.shared.given[version] = "another write"
			}
			return nil
		}, "was given to"},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newShared()
			for _, table := range []string{
				queueTable, togetherName, counterTable, versionedName, mortalName, fullName, jobsName,
			} {
				_ = c.Drop(ctx, table) // of the previous test
			}
			if err := s.furnish(ctx, c); err != nil {
				t.Fatal(err)
			}
			w := newWriter(i, options{seed: 1}, s)
			check := func() (verdict, error) {
				v := verdict{end: time.Now()}
				if err := s.checkLeases(ctx, c, &v); err != nil {
					return v, err
				}
				if err := w.check(ctx, c, &v); err != nil {
					return v, err
				}
				if err := s.check(ctx, c, &v); err != nil {
					return v, err
				}
				return v, s.checkVersions(ctx, c, len(tests))
			}
			work := func() {
				for range 60 {
					if err := w.step(c); err != nil {
						t.Fatal(err)
					}
				}
				for range 20 {
					if err := errors.Join(s.setMortal(c, w), s.fill(c, w)); err != nil {
						t.Fatal(err)
					}
				}
				for range 60 {
					if err := errors.Join(s.work(c, w), s.own(c, w)); err != nil {
						t.Fatal(err)
					}
				}
				for range 3 {
					if err := s.putJob(jobs, w); err != nil {
						t.Fatal(err)
					}
				}
				for _, step := range []error{s.push(c, w), s.push(c, w), s.push(c, w), s.pop(c), s.add(c), s.add(c), s.set(c, w), s.set(c, w), s.setVersioned(c, w)} {
					if step != nil {
						t.Fatal(step)
					}
				}
			}
			work()
			if v, err := check(); err != nil || v.lost > 0 || v.acked < 60 {
				t.Fatalf("without a fault: %d lost of %d: %v", v.lost, v.acked, err)
			}
			work()
			if err := tt.wrong(w); err != nil {
				t.Fatal(err)
			}
			v, err := check()
			if tt.want == "" && (err != nil || v.lost != 1) ||
				tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("%d lost: %v", v.lost, err)
			}
		})
	}
}

// TestWriteWithoutChange: an acknowledged write that changes nothing does not prove that earlier
// writes are on disk; one that changes something does.
func TestWriteWithoutChange(t *testing.T) {
	c := looptest.Start(t).Client(t, &client.Options{Conns: 1})
	for _, changes := range []bool{false, true} {
		w := newWriter(0, options{seed: 1}, newShared())
		for i := range 2 {
			w.history = append(w.history, deed{write: &write{apply: func(m model) {
				if i == 0 || changes {
					m[fmt.Sprint(i)] = newDict()
				}
			}}})
		}
		w.history[1].acked = time.Now()
		v := verdict{end: time.Now()}
		if err := w.check(t.Context(), c, &v); err != nil || (v.lost == 1) != changes {
			t.Errorf("it changes something: %v; %d lost, %v", changes, v.lost, err)
		}
	}
}

// TestVerdict: only writes that were acknowledged within the window, or after the power was cut,
// may be lost.
func TestVerdict(t *testing.T) {
	end := time.Now()
	for _, tt := range []struct {
		power              bool
		window, before     time.Duration
		lost, within, late int
	}{
		{false, 0, 0, 1, 0, 0},
		{false, 0, -time.Millisecond, 1, 0, 0}, // acknowledged while the server ended
		{false, time.Second, 999 * time.Millisecond, 0, 1, 0},
		{false, time.Second, 1001 * time.Millisecond, 1, 0, 0},
		{true, 0, -time.Millisecond, 0, 0, 1},
		{true, 0, 0, 1, 0, 0},
		{true, time.Second, -time.Millisecond, 0, 1, 0},
	} {
		v := verdict{end: end, since: windowBefore(end, tt.window), power: tt.power}
		v.lose(end.Add(-tt.before))
		if v.lost != tt.lost || v.within != tt.within || v.late != tt.late {
			t.Errorf("%+v: %d lost, %d within the window, %d late", tt, v.lost, v.within, v.late)
		}
	}
}

// lastMortal returns a key whose entry lives for long, and what was written to it last. It writes
// one if there is none.
func lastMortal(t *testing.T, c *client.Client, w *writer) (key string, m mortal) {
	t.Helper()
	for key, writes := range w.shared.mortals {
		if m := writes[len(writes)-1]; m.life == longLife {
			return key, m
		}
	}
	key, m = "lives", mortal{value: "for long", life: longLife, sent: time.Now()}
	err := client.DictOf[string, string](c, mortalName).SetWithTTL(t.Context(), key, m.value, m.life)
	if err != nil {
		t.Fatal(err)
	}
	m.acked = time.Now()
	w.shared.mortals[key] = []mortal{m}
	return key, m
}

// TestOwners: two leases or two grants that hold at once are found, in whatever order their replies
// are recorded, and so is a fence that does not grow.
func TestOwners(t *testing.T) {
	now := time.Now()
	at := func(ms int) time.Time { return now.Add(time.Duration(ms) * time.Millisecond) }
	for _, tt := range []struct {
		name   string
		first  [3]int // number, reply, end
		second [3]int
		over   bool // the first was given back
		want   string
	}{
		{"one after the other", [3]int{1, 0, 100}, [3]int{2, 100, 200}, false, ""},
		{"given back", [3]int{1, 0, 100}, [3]int{2, 10, 200}, true, ""},
		{"at once", [3]int{1, 0, 100}, [3]int{2, 10, 200}, false, "twice"},
		{"recorded late", [3]int{2, 100, 200}, [3]int{1, 0, 100}, false, ""},
		{"recorded late, at once", [3]int{2, 10, 200}, [3]int{1, 0, 100}, false, "twice"},
		{"the same number", [3]int{1, 0, 100}, [3]int{1, 100, 200}, false, "twice"},
	} {
		s := newShared()
		s.jobs["job"] = &job{put: now}
		lease := func(n [3]int) *jobLease {
			return &jobLease{receipt: client.Receipt(n[0]), got: at(n[1]), until: at(n[2])}
		}
		first := lease(tt.first)
		if err := s.leased("job", first); err != nil {
			t.Fatal(err)
		}
		first.over = tt.over
		err := s.leased("job", lease(tt.second))
		if (err != nil) != (tt.want != "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("leases, %s: %v", tt.name, err)
		}
		g := &grant{fence: uint64(tt.first[0]), got: at(tt.first[1]), until: at(tt.first[2])}
		if err := s.granted("lock", g); err != nil {
			t.Fatal(err)
		}
		g.over = tt.over
		err = s.granted("lock", &grant{fence: uint64(tt.second[0]), got: at(tt.second[1]), until: at(tt.second[2])})
		if (err != nil) != (tt.want != "") {
			t.Errorf("grants, %s: %v", tt.name, err)
		}
	}
	s := newShared()
	s.locks["lock"] = &grant{fence: 9, over: true}
	s.forgetGrants(&verdict{})
	if err := s.granted("lock", &grant{fence: 8}); err == nil {
		t.Error("a fence of an earlier cycle is given again")
	}
}
