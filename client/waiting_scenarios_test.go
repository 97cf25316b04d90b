package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"cyberdb-fast/client"
	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/loop/looptest"
)

// scenario is one of testdata/waiting.json, which says what the fields mean.
type scenario struct {
	Name   string
	Tables map[string]struct {
		Kind          string
		Content       []any
		MaxDeliveries int    `json:"max_deliveries"`
		DeadLetter    string `json:"dead_letter"`
	}
	Steps []step
}

type step struct {
	Actor, Do, Start  string
	Join, Cancel, Die bool
	Until             map[string]int
	Sleep             float64

	Expect      json.RawMessage
	Error       string
	Within      []float64
	Save, Above string

	// arguments
	Name, Table, Key, Queue, Lock, Channel, As, Item string
	Value                                            any
	TTL, Delay, Lease, Wait, Stale, Takes            *float64
	MaxHold                                          *float64 `json:"max_hold"`
	N                                                *int
	Renew                                            *bool
	Fails                                            bool
	Channels, Prefixes                               []string
}

// TestWaitingScenarios runs the scenarios that all clients share.
func TestWaitingScenarios(t *testing.T) {
	text, err := os.ReadFile("testdata/waiting.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Scenarios []scenario }
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	server := startServer(t)
	for i, s := range file.Scenarios {
		t.Run(s.Name, func(t *testing.T) {
			w := &world{T: t, server: server, prefix: fmt.Sprintf("s%d.", i), actors: map[string]*actor{}}
			w.control = server.Client(t, nil)
			w.run(&s)
		})
	}
}

// world runs one scenario.
type world struct {
	*testing.T
	server  *looptest.Server
	control *client.Client
	prefix  string // of all names
	actors  map[string]*actor
	saved   map[string]float64
}

func (w *world) run(s *scenario) {
	w.saved = map[string]float64{}
	for name, table := range s.Tables {
		if name = w.prefix + name; table.Kind == "dict" {
			w.check(w.control.CreateDict(w.Context(), name))
			continue
		}
		o := client.ListOptions{MaxDeliveries: table.MaxDeliveries}
		if table.DeadLetter != "" {
			o.DeadLetter = w.prefix + table.DeadLetter
		}
		w.check(w.control.List(name).CreateWith(w.Context(), o, table.Content...))
	}
	for i, step := range s.Steps {
		w.step(fmt.Sprintf("step %d, %+.60q", i, step.Actor+" "+step.Do+step.Start), &step)
		if w.Failed() {
			w.FailNow()
		}
	}
	for _, a := range w.actors {
		a.end()
	}
}

func (w *world) check(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) step(what string, s *step) {
	switch {
	case s.Until != nil:
		w.until(what, s.Until["waiting"])
		return
	case s.Sleep > 0:
		time.Sleep(seconds(s.Sleep))
		return
	}
	a := w.actors[s.Actor]
	if a == nil {
		a = w.newActor()
		w.actors[s.Actor] = a
	}
	switch {
	case s.Start != "":
		a.start(s.Start, s)
	case s.Do != "":
		a.start(s.Do, s)
		w.outcome(what, s, <-a.done)
	case s.Join:
		w.outcome(what, s, <-a.done)
	case s.Cancel:
		a.cancel()
		<-a.done
	case s.Die:
		a.die()
	}
}

// until waits until so many requests wait on the server.
func (w *world) until(what string, want int) {
	w.Helper()
	var n any
	for range 1000 {
		info, err := w.control.Info(w.Context())
		w.check(err)
		if n = info["waiting_requests"]; n == int64(want) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	w.Fatalf("%s: %v requests wait, want %d", what, n, want)
}

// outcome compares what came of a step with what it expects.
func (w *world) outcome(what string, s *step, got result) {
	w.Helper()
	if name := errorName(got.err); name != s.Error {
		w.Errorf("%s: got the error %q (%v), want %q", what, name, got.err, s.Error)
		return
	}
	if s.Expect != nil {
		var want any
		w.check(json.Unmarshal(s.Expect, &want))
		if value := asJSON(got.value); !reflect.DeepEqual(value, want) {
			w.Errorf("%s: got %v, want %v", what, value, want)
		}
	}
	if len(s.Within) == 2 && (got.took < seconds(s.Within[0]) || got.took > 2*seconds(s.Within[1])) {
		w.Errorf("%s: it took %v, want %v s", what, got.took, s.Within)
	}
	number, _ := got.value.(uint64)
	if s.Above != "" && float64(number) <= w.saved[s.Above] {
		w.Errorf("%s: %d is not above %v", what, number, w.saved[s.Above])
	}
	if s.Save != "" {
		w.saved[s.Save] = float64(number)
	}
}

// errFailed is the error of a computation that is to fail.
var errFailed = errors.New("failed")

// errorName returns the name that the file has for err.
func errorName(err error) string {
	for name, sentinel := range map[string]error{
		"LockLost": client.ErrLockLost, "LeaseExpired": client.ErrLeaseExpired, "IndexError": client.ErrIndex,
		"KeyError": client.ErrKey, "ValueError": client.ErrValue, "Failed": errFailed,
	} {
		if errors.Is(err, sentinel) {
			return name
		}
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// asJSON returns v as the JSON decoder would.
func asJSON(v any) (out any) {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	_ = json.Unmarshal(text, &out)
	return out
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// natural returns a dict of strings as a map.
func natural(v any) any {
	dict, ok := v.(govalue.Dict)
	if !ok {
		return v
	}
	m := map[string]any{}
	for _, item := range dict {
		m[fmt.Sprint(item.Key)] = natural(item.Value)
	}
	return m
}

// given returns an argument in seconds, or what is meant if it is not given.
func given(s *float64, fallback time.Duration) time.Duration {
	if s == nil {
		return fallback
	}
	return seconds(*s)
}

// actor does the steps of one name, with its own client.
type actor struct {
	*world
	client *client.Client
	done   chan result // of what it has started
	cancel context.CancelFunc

	mu    sync.Mutex
	dead  bool
	conns []net.Conn

	locks map[string]*client.Lock
	items map[string]client.Receipt
	sub   *client.Subscription[any]
}

// result is what came of a step.
type result struct {
	value any
	err   error
	took  time.Duration
}

func (w *world) newActor() *actor {
	a := &actor{
		world: w, done: make(chan result, 1), cancel: func() {},
		locks: map[string]*client.Lock{}, items: map[string]client.Receipt{},
	}
	a.client = w.server.Client(w.T, &client.Options{Dial: a.dial, WaitTimeout: time.Second})
	return a
}

// dial keeps the connections, for die.
func (a *actor) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err == nil {
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.dead {
			_ = conn.Close()
			return nil, errors.New("the actor is dead")
		}
		a.conns = append(a.conns, conn)
	}
	return conn, err
}

// die cuts the actor's connections, as the end of its process does.
func (a *actor) die() {
	a.mu.Lock()
	a.dead = true
	for _, conn := range a.conns {
		_ = conn.Close()
	}
	a.mu.Unlock()
	_ = a.client.Close()
}

func (a *actor) end() {
	a.cancel()
	_ = a.client.Close()
}

// start does a step in another goroutine.
func (a *actor) start(do string, s *step) {
	ctx, cancel := context.WithCancel(context.Background())
	a.cancel = cancel
	go func() {
		began := time.Now()
		value, err := a.do(ctx, do, s)
		a.done <- result{value, err, time.Since(began)}
	}()
}

func (a *actor) do(ctx context.Context, do string, s *step) (any, error) {
	switch do {
	case "lock":
		return a.lock(ctx, s)
	case "unlock":
		return nil, a.locks[s.Name].Unlock(ctx)
	case "lost":
		select {
		case <-a.locks[s.Name].Lost():
			return true, nil
		default:
			return false, nil
		}
	case "locked":
		holders, _, err := a.client.LockHolders(ctx, a.prefix+s.Name)
		return len(holders) > 0, err
	case "set":
		if s.Lock != "" {
			ctx = a.locks[s.Lock].IfFence(ctx)
		}
		return nil, a.client.Dict(a.prefix+s.Table).Set(ctx, s.Key, s.Value)
	case "get":
		return a.client.Dict(a.prefix+s.Table).Get(ctx, s.Key)
	case "compute":
		return a.compute(ctx, s)
	case "publish":
		return a.client.Publish(ctx, a.prefix+s.Channel, s.Value)
	case "subscribe", "receive", "close":
		return a.channel(ctx, do, s)
	}
	return a.queue(ctx, do, s)
}

func (a *actor) lock(ctx context.Context, s *step) (any, error) {
	o := client.LockOptions{
		TTL: given(s.TTL, 0), Wait: given(s.Wait, 0), MaxHold: given(s.MaxHold, 0),
		NoRenew: s.Renew != nil && !*s.Renew,
	}
	if s.N != nil {
		o.N = *s.N
	}
	if s.TTL != nil && *s.TTL == 0 || s.N != nil && *s.N == 0 {
		return nil, client.ErrValue // in Go, zero means the default
	}
	lock := a.client.Lock
	if s.Wait != nil && *s.Wait == 0 {
		lock = a.client.TryLock
	}
	l, err := lock(ctx, a.prefix+s.Name, o)
	switch {
	case errors.Is(err, client.ErrLockHeld):
		return nil, nil
	case err != nil:
		return nil, err
	}
	a.locks[s.Name] = l
	return l.Fence(), nil
}

func (a *actor) compute(ctx context.Context, s *step) (any, error) {
	ran := false
	o := client.ComputeOptions{TTL: given(s.TTL, time.Minute), Stale: given(s.Stale, 0), Lease: given(s.Lease, 0)}
	v, err := a.client.Dict(a.prefix+s.Table).GetOrCompute(ctx, s.Key, o, func(ctx context.Context) (any, error) {
		ran = true
		select {
		case <-time.After(given(s.Takes, 0)):
		case <-ctx.Done():
		}
		if s.Fails {
			return nil, errFailed
		}
		return s.Value, ctx.Err()
	})
	return []any{v, ran}, err
}

func (a *actor) channel(ctx context.Context, do string, s *step) (any, error) {
	switch do {
	case "subscribe":
		channels := client.Channels{}
		for _, name := range s.Channels {
			channels.Names = append(channels.Names, a.prefix+name)
		}
		for _, prefix := range s.Prefixes {
			channels.Prefixes = append(channels.Prefixes, a.prefix+prefix)
		}
		var err error
		a.sub, err = a.client.Subscribe(ctx, channels)
		return nil, err
	case "close":
		return nil, a.sub.Close()
	}
	waiting, cancel := context.WithTimeout(ctx, given(s.Wait, 5*time.Second))
	defer cancel()
	m, err := a.sub.Receive(waiting)
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, nil
	}
	return []any{strings.TrimPrefix(m.Channel, a.prefix), natural(m.Value), m.Missed}, err
}

// queue does what is about a list.
func (a *actor) queue(ctx context.Context, do string, s *step) (any, error) {
	q := a.client.List(a.prefix + s.Queue)
	item := s.Item
	if item == "" {
		item = "item"
	}
	switch do {
	case "put":
		return nil, q.Put(ctx, s.Value, given(s.Delay, 0))
	case "take":
		d, ok, err := q.Take(ctx, given(s.Lease, time.Minute), given(s.Wait, 0))
		if err != nil || !ok {
			return nil, err
		}
		if s.As != "" {
			item = s.As
		}
		a.items[item] = d.Receipt
		return []any{natural(d.Value), d.Deliveries}, nil
	case "ack":
		return nil, q.Ack(ctx, a.items[item])
	case "nack":
		return nil, q.Nack(ctx, a.items[item], given(s.Delay, 0))
	case "extend":
		return nil, q.ExtendLease(ctx, a.items[item], given(s.Lease, 0))
	case "held":
		held, err := q.Held(ctx)
		return []any{held.Leased, held.Delayed}, err
	case "pop", "popleft":
		pop := q.PopWait
		if do == "popleft" {
			pop = q.PopLeftWait
		}
		v, err := pop(ctx, given(s.Wait, 0))
		return natural(v), err
	case "content":
		all, err := q.Values(ctx)
		return append([]any{}, all...), err
	case "clear":
		return nil, q.Clear(ctx)
	}
	return nil, fmt.Errorf("an actor cannot %q", do)
}
