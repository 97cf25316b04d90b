package client_test

import (
	"errors"
	"flag"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"cyberdb-fast/client"
	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/loop/looptest"
)

// startServer starts a server; it encrypts if the flag -encrypted is set.
func startServer(tb testing.TB) *looptest.Server {
	tb.Helper()
	if flag.Lookup("encrypted").Value.String() == "true" {
		return looptest.StartEncrypted(tb)
	}
	return looptest.Start(tb)
}

// session checks results step by step and names the step that failed.
type session struct{ *testing.T }

// expect compares got, the results of a request with its error last, with want. If want is an
// error, it uses errors.Is.
func (s session) expect(step string, want any, got ...any) {
	s.Helper()
	err, _ := got[len(got)-1].(error)
	results := got[:len(got)-1]
	if sentinel, isErr := want.(error); isErr {
		if !errors.Is(err, sentinel) {
			s.Errorf("%s: got %v, %v, want %v", step, results, err, sentinel)
		}
		return
	}
	if err != nil {
		s.Errorf("%s: %v", step, err)
		return
	}
	var result any
	switch len(results) {
	case 0:
	case 1:
		result = results[0]
	default:
		result = strings.TrimSuffix(fmt.Sprintln(results...), "\n")
	}
	if !reflect.DeepEqual(result, want) {
		s.Errorf("%s: got %#v, want %#v", step, result, want)
	}
}

func TestTables(t *testing.T) {
	c, ctx, s := startServer(t).Client(t, nil), t.Context(), session{t}
	s.expect("ping", nil, c.Ping(ctx))
	info, err := c.Info(ctx)
	s.expect("info", true, len(info) > 0, err)
	empty, err := c.Digest(ctx)
	s.expect("digest of nothing", client.Digest{Digest: strings.Repeat("0", 32), LSN: empty.LSN}, empty, err)
	text, err := c.InfoSection(ctx, "digest", nil)
	s.expect(
		"section",
		fmt.Sprintf(`{"digest":%q,"lsn":%d,"tables":0,"items":0}`, empty.Digest, empty.LSN),
		string(text),
		err,
	)
	_, err = c.InfoSection(ctx, "digest", map[string]any{"limit": 1})
	s.expect("unknown parameter", client.ErrValue, err)
	text, err = c.InfoSection(ctx, "", nil)
	s.expect("no section", true, strings.HasPrefix(string(text), `{"version":`), err)
	exists, err := c.Exists(ctx, "d")
	s.expect("exists", false, exists, err)
	_, err = c.Kind(ctx, "d")
	s.expect("kind of none", client.ErrNoSuchTable, err)
	s.expect("create dict", nil, c.CreateDict(ctx, "d", client.Item[any, any]{Key: 1, Value: nil}))
	s.expect("create list", nil, c.CreateList(ctx, "l", 1, 2, 3))
	s.expect("create again", client.ErrTableExists, c.CreateDict(ctx, "d"))
	made, err := c.Dict("d").Ensure(ctx)
	s.expect("ensure", false, made, err)
	made, err = c.List("l2").Ensure(ctx, "x")
	s.expect("ensure new", true, made, err)
	_, err = c.List("d").Ensure(ctx)
	s.expect("ensure other kind", client.ErrWrongTableKind, err)
	full, err := c.Digest(ctx)
	s.expect("digest", client.Digest{Digest: full.Digest, LSN: full.LSN, Tables: 3, Items: 5}, full, err)
	s.expect("digest of another", true, full.Digest != empty.Digest && full.LSN > empty.LSN, nil)
	kind, err := c.Kind(ctx, "l")
	s.expect("kind", client.KindList, kind, err)
	s.expect("rename", nil, c.Rename(ctx, "l", "renamed"))
	s.expect("rename to one that is there", client.ErrTableExists, c.Rename(ctx, "d", "l2"))
	tables, err := c.Tables(ctx)
	s.expect(
		"tables",
		[]client.TableInfo{{"d", client.KindDict, 1}, {"renamed", client.KindList, 3}, {"l2", client.KindList, 1}},
		tables,
		err,
	)
	s.expect("drop", nil, c.Drop(ctx, "d"))
	s.expect("drop again", client.ErrNoSuchTable, c.Drop(ctx, "d"))

	var e *client.Error
	if _, err := c.Dict("renamed").Get(ctx, "k"); !errors.As(err, &e) || !errors.Is(err, client.ErrWrongTableKind) ||
		e.Want != client.KindDict || e.Have != client.KindList || e.Table != "renamed" {
		t.Errorf("wrong kind: %v, %+v", err, e)
	}
}

func TestValuesOfAllKinds(t *testing.T) {
	c, ctx := startServer(t).Client(t, nil), t.Context()
	d := c.Dict("d")
	if err := d.Create(ctx); err != nil {
		t.Fatal(err)
	}
	huge, _ := new(big.Int).SetString("123456789012345678901234567890", 10)
	for _, v := range []any{
		nil, false, true, int64(0), int64(-1), int64(math.MinInt64), uint64(math.MaxUint64), huge, 0.0, math.Inf(-1), "", "text", "\x00",
		[]byte{},
		[]byte("bytes"),
		[]any{},
		[]any{int64(1), []any{nil}},
		govalue.Dict{},
		govalue.Dict{{Key: govalue.Tuple{int64(1), "a"}, Value: nil}},
		govalue.Tuple{},
		govalue.Set{int64(1)},
		govalue.FrozenSet{"x"},
		govalue.ByteArray("b"),
		govalue.Date{Year: 2024, Month: 2, Day: 29},
		govalue.Decimal("1.10"), big.NewRat(1, 3),
		govalue.UUID{1},
		complex(1, 2),
		govalue.Range{Start: int64(0), Stop: int64(9), Step: int64(2)},
		strings.Repeat("long ", 100_000),
	} {
		if err := d.Set(ctx, "k", v); err != nil {
			t.Errorf("%T: %v", v, err)
			continue
		}
		if got, err := d.Get(ctx, "k"); err != nil || !reflect.DeepEqual(got, v) {
			t.Errorf("%T: got %v, %v, want %v", v, got, err, v)
		}
	}
	for _, key := range []any{[]any{1}, govalue.Dict{}, govalue.Tuple{[]any{}}} {
		if err := d.Set(ctx, key, 1); !errors.Is(err, client.ErrType) {
			t.Errorf("key %v: got %v", key, err)
		}
	}
	if err := d.Set(ctx, "k", make(chan int)); !errors.Is(err, govalue.ErrUnsupported) {
		t.Errorf("a channel: got %v", err)
	}
	if _, err := client.DictOf[string, int8](c, "d").Get(ctx, "k"); !errors.Is(err, govalue.ErrWrongType) {
		t.Errorf("a text as int8: got %v", err)
	}
}

func TestTypedStructs(t *testing.T) {
	type Address struct{ City string }
	type User struct {
		Name string
		Born time.Time
		Home *Address
		Tags map[string]int `cyberdb:",omitempty"`
	}
	type Key struct {
		Zone string
		N    int
	}
	c, ctx := startServer(t).Client(t, nil), t.Context()
	users := client.DictOf[[2]any, User](c, "users")
	want := User{
		Name: "Bob",
		Born: time.Date(1999, 1, 2, 3, 4, 5, 0, time.UTC),
		Home: &Address{"Rome"},
		Tags: map[string]int{"a": 1},
	}
	if err := users.Create(ctx); err != nil {
		t.Fatal(err)
	}
	if err := users.Set(ctx, [2]any{"eu", 1}, want); !errors.Is(err, client.ErrType) {
		t.Errorf("a list as key: got %v", err)
	}
	byTuple := client.DictOf[govalue.Tuple, User](c, "users")
	if err := byTuple.Set(ctx, govalue.Tuple{"eu", 1}, want); err != nil {
		t.Fatal(err)
	}
	if got, err := byTuple.Get(ctx, govalue.Tuple{"eu", 1.0}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if err := client.DictOf[Key, int](c, "users").Set(ctx, Key{"eu", 1}, 1); !errors.Is(err, client.ErrType) {
		t.Errorf("a dict as key: got %v", err)
	}
}

func TestManyGoroutinesOnARealServer(t *testing.T) {
	c, ctx := startServer(t).Client(t, nil), t.Context()
	d := client.DictOf[string, string](c, "d")
	counter := client.DictOf[string, int](c, "counter")
	if err := errors.Join(d.Create(ctx), counter.Create(ctx)); err != nil {
		t.Fatal(err)
	}
	const goroutines = 2000
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			key := fmt.Sprint("key ", g)
			if err := d.Set(ctx, key, "value of "+key); err != nil {
				t.Error(err)
			}
			if _, err := counter.Increment(ctx, "n", 1); err != nil {
				t.Error(err)
			}
			if v, err := d.Get(ctx, key); err != nil || v != "value of "+key {
				t.Errorf("%s: got %q, %v", key, v, err)
			}
		})
	}
	wg.Wait()
	if n, err := counter.Get(ctx, "n"); n != goroutines || err != nil {
		t.Errorf("counted %d, %v", n, err)
	}
}

func TestServerRestarts(t *testing.T) {
	server := startServer(t)
	c, ctx := server.Client(t, &client.Options{MaxBackoff: 50 * time.Millisecond}), t.Context()
	d := client.DictOf[string, int](c, "d")
	if err := d.Create(ctx); err != nil {
		t.Fatal(err)
	}
	server.Stop()
	waiting := make(chan error)
	go func() { waiting <- d.Create(ctx) }() // waits for a connection
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	if err := <-waiting; err != nil && !errors.Is(err, client.ErrConnectionLost) {
		t.Error(err)
	}
	if _, err := d.Ensure(ctx); err != nil {
		t.Error(err)
	}
}
