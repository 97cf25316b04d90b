package loop

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"cyberdb-fast/codec"
	"cyberdb-fast/loop/engine"
	"cyberdb-fast/loop/hotkeys"
	"cyberdb-fast/loop/requestlog"
)

// sectionOf asks for a section of INFO.
func sectionOf[T any](w *wire, name string, parameters ...any) (answer T) {
	w.Helper()
	text := w.ok(codec.OpInfo, append([]any{name}, parameters...)...)[0].(string)
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&answer); err != nil {
		w.Fatalf("%s: %v", text, err)
	}
	return answer
}

// slowCommands is a command table in which EXISTS of the table "slow" takes that long on the event
// loop.
func slowCommands(took time.Duration) *engine.Commands {
	exists := engine.Protocol()[codec.OpExists].Run
	return commandsWith(map[codec.Opcode]engine.Command{codec.OpExists: {Run: func(x *engine.Executor) error {
		if string(x.TableName) == "slow" {
			time.Sleep(took)
			x.Call().Cost += int(took)
		}
		return exists(x)
	}}})
}

// TestSlowRequestInBackground: a long sort is found with its table, its client and its time.
func TestSlowRequestInBackground(t *testing.T) {
	t.Parallel()
	srv := startServer(t, func(cfg *Config) { cfg.Thresholds.SlowRequest = time.Millisecond })
	w := dial(t, srv)
	all := make([]any, 200_000)
	for i := range all {
		all[i] = rand.Int64()
	}
	w.ok(codec.OpCreateList, append([]any{"numbers", false}, all...)...)
	w.ok(codec.OpListSort, "numbers", nil, false)
	log := sectionOf[slowLog](w, "slow")
	if log.ThresholdMS != 1 || log.Total < 1 || len(log.Entries) != int(log.Total) {
		t.Fatalf("%+v", log)
	}
	e := log.Entries[0]
	if e.Command != "LIST SORT" || e.Table != "numbers" || e.Key != "" || e.Client != w.conn.LocalAddr().String() ||
		e.Status != "OK" || e.Execution < 1000 || e.Queue < 0 || e.ReplyBytes != codec.HeaderBytes {
		t.Errorf("%+v", e)
	}
}

// TestSlowRequestOnLoop: of requests that are executed together the costly one is logged, not those
// before and behind it, nor the request of a client that has waited for it.
func TestSlowRequestOnLoop(t *testing.T) {
	t.Parallel()
	const took = 300 * time.Millisecond
	srv := startServer(t, func(cfg *Config) {
		cfg.EventLoops, cfg.Commands, cfg.Thresholds.SlowRequest = 1, slowCommands(took), took/2
	})
	w, victim := dial(t, srv), dial(t, srv)
	w.write(bytes.Join([][]byte{
		w.request(codec.OpExists, "a"), w.request(codec.OpExists, "slow"), w.request(codec.OpDictGet, "b", 1),
	}, nil))
	victim.ok(codec.OpExists, "c")
	for range 3 {
		if _, err := w.reply(); err != nil {
			t.Fatal(err)
		}
	}
	log := sectionOf[slowLog](victim, "slow")
	if len(log.Entries) != 1 || log.Total != 1 {
		t.Fatalf("%+v", log)
	}
	if e := log.Entries[0]; e.Command != "EXISTS" || e.Table != "slow" || e.Execution < took.Microseconds() ||
		e.RequestBytes != codec.HeaderBytes+len("_slow") || e.Client != w.conn.LocalAddr().String() {
		t.Errorf("%+v", e)
	}
}

// TestWaitingRequestIsNotSlow: a request that waits for an event is judged by what it has executed.
func TestWaitingRequestIsNotSlow(t *testing.T) {
	t.Parallel()
	const waits = 200 * time.Millisecond
	srv := startServer(t, func(cfg *Config) {
		cfg.Thresholds.SlowRequest = waits / 2
		cfg.Commands = commandsWith(map[codec.Opcode]engine.Command{codec.OpPing: {Run: func(x *engine.Executor) error {
			if left := waits.Milliseconds() - x.Waited; left > 0 {
				return x.WaitFor(engine.Wait{Within: left})
			}
			return nil
		}}})
	})
	w := dial(t, srv)
	sectionOf[requestlog.Page](w, "tail")
	w.ok(codec.OpPing)
	if log := sectionOf[slowLog](w, "slow"); log.Total != 0 {
		t.Errorf("%+v", log)
	}
	page := sectionOf[requestlog.Page](w, "tail", map[any]any{"after": 0, "limit": 2})
	for _, e := range page.Entries {
		if e.Command == "PING" && (e.Queue < waits.Microseconds() || e.Execution >= waits.Microseconds()/2) {
			t.Errorf("%+v", e)
		}
	}
	if len(page.Entries) != 2 {
		t.Errorf("%+v", page)
	}
}

// TestManySlowRequests: of any number of slow requests the newest are kept, with short keys.
func TestManySlowRequests(t *testing.T) {
	t.Parallel()
	srv := startServer(t, func(cfg *Config) { cfg.Thresholds.SlowRequest = 1 })
	w := dial(t, srv)
	w.ok(codec.OpCreateDict, "d", false)
	key := strings.Repeat("k", 1<<20)
	const n = 10_000
	for range n {
		w.ok(codec.OpDictContains, "d", 1)
	}
	w.ok(codec.OpDictContains, "d", key)
	log := sectionOf[slowLog](w, "slow")
	if log.Total < n || len(log.Entries) != loggedRequests || log.Entries[0].ID != log.Total {
		t.Errorf("%d entries of %d", len(log.Entries), log.Total)
	}
	if !slices.ContainsFunc(log.Entries[:2], func(e requestlog.Shown) bool { // perhaps after INFO itself
		return e.Command == "DICT CONTAINS" && e.Key == "'"+key[:60]+"..."
	}) {
		t.Errorf("%+v", log.Entries[:2])
	}
	srv.SetThresholds(Thresholds{})
	total := sectionOf[slowLog](w, "slow").Total
	w.ok(codec.OpDictContains, "d", 1)
	if log = sectionOf[slowLog](w, "slow"); log.Total != total || log.ThresholdMS != 0 {
		t.Errorf("it is off, and has %d entries more", log.Total-total)
	}
}

// TestLargeRequestsAndReplies: what is larger than the thresholds is logged, also if it is
// streamed.
func TestLargeRequestsAndReplies(t *testing.T) {
	t.Parallel()
	srv := startServer(t, nil)
	srv.SetThresholds(Thresholds{LargeRequest: 50_000, LargeReply: 60_000})
	w := dial(t, srv)
	w.ok(codec.OpCreateDict, "d", false)
	w.ok(codec.OpDictSet, "d", "k", strings.Repeat("v", 49_000))
	w.ok(codec.OpDictSet, "d", "big", strings.Repeat("v", 70_000))
	w.ok(codec.OpDictGet, "d", "k")
	w.ok(codec.OpDictGet, "d", "big")
	requests, replies := sectionOf[sizeLog](w, "large_requests"), sectionOf[sizeLog](w, "large_replies")
	if requests.Total != 1 || requests.ThresholdBytes != 50_000 || replies.Total != 1 ||
		replies.ThresholdBytes != 60_000 {
		t.Fatalf("%+v, %+v", requests, replies)
	}
	if e := requests.Entries[0]; e.Command != "DICT SET" || e.Table != "d" || e.Key != "'big'" ||
		e.RequestBytes < 70_000 {
		t.Errorf("%+v", e)
	}
	if e := replies.Entries[0]; e.Command != "DICT GET" || e.Key != "'big'" || e.ReplyBytes < 70_000 {
		t.Errorf("%+v", e)
	}
	for i := range 100 {
		w.ok(codec.OpDictSet, "d", i, strings.Repeat("v", 40_000))
	}
	w.ok(codec.OpDictItems, "d")
	e := sectionOf[sizeLog](w, "large_replies").Entries[0]
	if e.Command != "DICT ITEMS" || e.Table != "d" || e.ReplyBytes < 4_000_000 ||
		e.RequestBytes != codec.HeaderBytes+2 {
		t.Errorf("%+v", e)
	}
}

// TestHotKeys: the keys that many requests ask for are found, and their shares.
func TestHotKeys(t *testing.T) {
	t.Parallel()
	srv := startServer(t, nil)
	w := dial(t, srv)
	w.ok(codec.OpCreateDict, "users", false)
	seed := rand.Uint64()
	t.Log("seed", seed)
	zipf := rand.NewZipf(rand.New(rand.NewPCG(seed, 0)), 1.5, 1, 100_000)
	for range 100 {
		var frames []byte
		for range 640 {
			frames = append(frames, w.request(codec.OpDictGet, "users", fmt.Sprint("user:", zipf.Uint64()))...)
		}
		w.write(frames)
		for range 640 {
			if _, err := w.reply(); err != nil {
				t.Fatal(err)
			}
		}
	}
	hot := sectionOf[hotkeys.Hot](w, "hot")
	if hot.Every != 64 || hot.Sampled < 500 || hot.Sampled > 2000 || len(hot.Keys) < 3 {
		t.Fatalf("%+v", hot)
	}
	if k := hot.Keys[0]; k.Table != "users" || k.Key != "'user:0'" || k.Share < 0.2 || k.Share > 0.6 {
		t.Errorf("%+v", k)
	}
}

// TestTailOfServer: a tail has what is requested while it is followed, of a table and beyond a
// time.
func TestTailOfServer(t *testing.T) {
	t.Parallel()
	const took = time.Second
	srv := startServer(t, func(cfg *Config) { cfg.Commands = slowCommands(took) })
	w, other := dial(t, srv), dial(t, srv)
	w.ok(codec.OpCreateDict, "slow", false)
	w.ok(codec.OpCreateDict, "fast", false)
	follow := func(after uint64, more map[any]any) requestlog.Page {
		parameters := map[any]any{"after": after}
		for name, v := range more {
			parameters[name] = v
		}
		return sectionOf[requestlog.Page](w, "tail", parameters)
	}
	ofFast, slow := map[any]any{"table": "fast"}, map[any]any{"min_ms": 500}
	follow(0, ofFast)
	follow(0, slow)
	other.write(bytes.Join([][]byte{
		other.request(codec.OpDictSet, "fast", "k", "v"), other.request(codec.OpExists, "slow"),
		other.request(codec.OpDictGet, "fast", "x"),
	}, nil))
	for range 3 {
		if _, err := other.reply(); err != nil {
			t.Fatal(err)
		}
	}
	page := follow(0, ofFast)
	if len(page.Entries) != 2 || page.Missed != 0 {
		t.Fatalf("%+v", page)
	}
	for i, want := range []string{"DICT SET 'k' OK", "DICT GET 'x' KeyError"} {
		e := page.Entries[i]
		if got := fmt.Sprint(e.Command, " ", e.Key, " ", e.Status); got != want || e.Table != "fast" ||
			e.Client != other.conn.LocalAddr().String() || e.Execution >= took.Microseconds() {
			t.Errorf("%+v, want %s", e, want)
		}
	}
	if page = follow(0, slow); len(page.Entries) == 0 || page.Entries[0].Table != "slow" ||
		page.Entries[0].Execution < took.Microseconds() {
		t.Errorf("%+v", page)
	}
	w.fails(codec.StatusValueError, codec.OpInfo, "tail", map[any]any{"limit": 1001})
	for i := range requestlog.MaxFilters - 2 {
		follow(0, map[any]any{"table": fmt.Sprint(i)})
	}
	if e := w.fails(codec.StatusOverloaded, codec.OpInfo, "tail"); !strings.Contains(e.Message, "16 different tails") {
		t.Error(e.Message)
	}
}

// TestLogsOfDurableRequests: a request whose reply waits for the disk is logged as others are.
func TestLogsOfDurableRequests(t *testing.T) {
	t.Parallel()
	srv := startServer(t, func(cfg *Config) {
		cfg.Data.File = t.TempDir() + "/data.cdb"
		cfg.Thresholds.LargeRequest = 10_000
	})
	w := dial(t, srv)
	w.ok(codec.OpCreateDict, "d", false)
	w.ok(codec.OpDictSet, "d", "k", strings.Repeat("v", 20_000))
	log := sectionOf[sizeLog](w, "large_requests")
	if log.Total != 1 || log.Entries[0].Key != "'k'" {
		t.Errorf("%+v", log)
	}
}
