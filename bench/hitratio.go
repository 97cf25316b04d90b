package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// HitOptions say what hit ratios to measure.
type HitOptions struct {
	Caches    []HitCache
	Password  string // for targets that ask for one
	Workloads []HitWorkload
	Entries   int // that each cache holds; 0: as many as the first memcached, or DefaultHitEntries
	Keys      int // that the workloads draw from; 0: ten for each entry
	Warmup    int // requests before those that count
	Requests  int // requests that count
	Batch     int // requests in flight
	Rate      int // requests a second; 0: as fast as the server answers
	KeySize   Size
	ValueSize Size
	Table     string
	Seed      uint64
}

// DefaultHitEntries is how many entries a cache holds if no memcached decides it.
const DefaultHitEntries = 100_000

// DefaultHitOptions returns the canonical measurement, without caches.
func DefaultHitOptions() HitOptions {
	return HitOptions{
		Workloads: HitWorkloads(),
		Warmup:    2_000_000,
		Requests:  4_000_000,
		Batch:     64,
		KeySize:   Fixed(16),
		ValueSize: Fixed(1000), // memcached's limit counts pages: more of them come closer to Entries
		Table:     TablePrefix,
		Seed:      1,
	}
}

// HitRatios measures every workload on every cache, one after another; with a rate, the servers at
// the same time. The client looks aside: it asks for a key, and
// stores the key if the cache does not have it. All caches get the same requests.
//
// Before each workload a cache is emptied and filled with entries that the workload never asks for.
// Its limit is adjusted until it holds Entries of them. Each result is handed to each, if that is
// not nil.
func HitRatios(ctx context.Context, o HitOptions, each func(*HitResult)) (*HitReport, error) {
	if o.Entries == 0 {
		if err := o.countEntries(ctx); err != nil {
			return nil, err
		}
	}
	if o.Keys == 0 {
		o.Keys = 10 * o.Entries
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	report := newHitReport(&o)
	report.Results = make([]HitResult, len(o.Caches)*len(o.Workloads))
	var mu sync.Mutex // for each
	done := func(r *HitResult) {
		mu.Lock()
		defer mu.Unlock()
		if each != nil {
			each(r)
		}
	}
	if o.Rate == 0 {
		return report, o.measureServer(ctx, "", report.Results, done)
	}
	var running sync.WaitGroup
	problems := make([]error, len(o.Caches))
	for i, cache := range o.Caches {
		if i == 0 || cache.Target != o.Caches[i-1].Target {
			running.Go(func() {
				problems[i] = o.measureServer(ctx, cache.Target.String(), report.Results, done)
			})
		}
	}
	running.Wait()
	return report, errors.Join(problems...)
}

// measureServer measures every workload on the caches of a server, "": of all, one after another.
// It puts the results in their places and hands each to done.
func (o *HitOptions) measureServer(ctx context.Context, target string, all []HitResult, done func(*HitResult)) error {
	for i, cache := range o.Caches {
		if target != "" && cache.Target.String() != target {
			continue
		}
		if err := o.measureCache(ctx, cache, all[i*len(o.Workloads):], done); err != nil {
			return err
		}
	}
	return nil
}

func (o *HitOptions) measureCache(ctx context.Context, cache HitCache, to []HitResult, done func(*HitResult)) error {
	r, err := newHitRun(ctx, o, cache)
	if err != nil {
		return err
	}
	defer r.batch.conn.close()
	for i := range o.Workloads {
		result, err := r.measure(&o.Workloads[i])
		if err != nil {
			return fmt.Errorf("%s, %s: %w", cache.Target, o.Workloads[i].Name, err)
		}
		to[i] = *result
		done(result)
	}
	return nil
}

// check says whether the options can be used. Errors: *UsageError.
func (o *HitOptions) check() error {
	run := DefaultOptions()
	run.Keys, run.KeySize, run.ValueSize, run.Table, run.Pipeline = o.Keys, o.KeySize, o.ValueSize, o.Table, o.Batch
	if err := run.Check(); err != nil {
		return err
	}
	if len(o.Caches) == 0 {
		return &UsageError{"hitratio needs a --target"}
	}
	for _, number := range []int{o.Entries, o.Requests} {
		if number < 1 {
			return &UsageError{"--entries and --requests must be 1 or more"}
		}
	}
	if o.Warmup < 0 || o.Rate < 0 {
		return &UsageError{"--warmup and --rate must not be negative"}
	}
	if o.KeySize.Min < hexDigits {
		return &UsageError{fmt.Sprintf("--key-size must be %d or more", hexDigits)}
	}
	return nil
}

// countEntries sets Entries to what the first memcached holds.
func (o *HitOptions) countEntries(ctx context.Context) error {
	o.Entries = DefaultHitEntries
	for _, cache := range o.Caches {
		if cache.Target.Scheme != SchemeMemcached {
			continue
		}
		r, err := newHitRun(ctx, o, cache)
		if err != nil {
			return err
		}
		defer r.batch.conn.close()
		for before := -1; r.resident != before; {
			before = r.resident
			if err := r.fill(); err != nil {
				return err
			}
		}
		o.Entries = r.resident
		return nil
	}
	return nil
}

// hitRun measures one cache.
type hitRun struct {
	ctx      context.Context
	options  *HitOptions
	cache    HitCache
	wire     wire
	items    *items
	batch    batcher
	limit    limiter
	server   string // what it says it is
	stranger uint32 // the next item to fill the cache with
	resident int    // entries when it was last full
}

func newHitRun(ctx context.Context, o *HitOptions, cache HitCache) (*hitRun, error) {
	run := DefaultOptions()
	run.Password, run.Table = o.Password, o.Table
	items := newItems(o.KeySize, o.ValueSize, o.Seed)
	w, err := cache.Target.wire(&run, items)
	if err != nil {
		return nil, err
	}
	sockets, err := dial(ctx, cache.Target, w, 1)
	if err != nil {
		return nil, err
	}
	r := &hitRun{ctx: ctx, options: o, cache: cache, wire: w, items: items, stranger: fillFrom}
	r.batch = batcher{conn: newConn(sockets[0], 1), wire: w}
	r.limit = cache.limiter(o.Table, o.Entries, o.KeySize.mean()+o.ValueSize.mean())
	if r.server, err = w.version(r.ask); err != nil {
		r.batch.conn.close()
		return nil, err
	}
	return r, nil
}

func (r *hitRun) ask(request []byte) (reply, error) { return r.batch.conn.ask(r.wire, request) }

// fill stores entries that no workload asks for, twice as many as the cache holds.
func (r *hitRun) fill() (err error) {
	for left := 2 * r.options.Entries; left > 0; {
		n := min(left, r.options.Batch)
		for range n {
			r.batch.add(OpSet, r.stranger)
			r.stranger++
		}
		if err := r.batch.exchange(func(int, *reply) error { return r.ctx.Err() }); err != nil {
			return err
		}
		left -= n
	}
	r.resident, err = r.limit.count(r.ask)
	return err
}

// prepare empties the cache, fills it, and adjusts its limit until it holds Entries.
func (r *hitRun) prepare() error {
	const most, exact = 20, 1000 // attempts, and how exact a limit in bytes can be
	if err := r.limit.empty(r.ask); err != nil {
		return err
	}
	want := r.options.Entries
	for range most {
		if err := r.fill(); err != nil {
			return err
		}
		if off := r.resident - want; -want/exact <= off && off <= want/exact {
			return nil
		}
		if can, err := r.limit.adjust(r.ask, r.resident, want); err != nil || !can {
			return err
		}
	}
	return fmt.Errorf("it holds %d entries and the limit cannot be set to hold %d", r.resident, want)
}

// measure runs one workload.
func (r *hitRun) measure(w *HitWorkload) (*HitResult, error) {
	if err := r.prepare(); err != nil {
		return nil, err
	}
	result := &HitResult{
		Workload: w.Name, Target: r.cache.Target.String(), Scheme: r.cache.Target.Scheme, Policy: r.cache.Policy,
		Server: r.server, Full: r.resident,
	}
	o := r.options
	next := w.stream(o.Keys, o.Entries, o.Seed)
	start := time.Now()
	if _, err := r.lookAside(next, o.Warmup, start, 0); err != nil {
		return nil, err
	}
	hits, err := r.lookAside(next, o.Requests, start, o.Warmup)
	if err != nil {
		return nil, err
	}
	result.Seconds = rounded(time.Since(start).Seconds(), 100)
	result.Requests, result.Hits = o.Requests, hits
	result.Percent = rounded(100*float64(hits)/float64(o.Requests), 100)
	result.End, err = r.limit.count(r.ask)
	return result, err
}

// lookAside asks for the next keys, batch by batch, and stores those that the cache does not have.
// done is how many requests were made since start.
func (r *hitRun) lookAside(next func() uint32, requests int, start time.Time, done int) (hits int, err error) {
	asked := make([]uint32, 0, r.options.Batch)
	for end := done + requests; done < end; done += len(asked) {
		if r.options.Rate > 0 {
			due := start.Add(time.Duration(float64(done) / float64(r.options.Rate) * float64(time.Second)))
			time.Sleep(time.Until(due))
		}
		asked = asked[:0]
		for range min(r.options.Batch, end-done) {
			asked = append(asked, next())
			r.batch.add(OpGet, asked[len(asked)-1])
		}
		missed := map[uint32]bool{}
		err := r.batch.exchange(func(number int, got *reply) error {
			switch {
			case got.kind == replyMissing:
				missed[asked[number]] = true
			case got.kind == replyValue && r.items.isValue(got.text, asked[number]):
				hits++
			default:
				return fmt.Errorf("%s where the value of the key should be", got.describe())
			}
			return r.ctx.Err()
		})
		if err != nil {
			return hits, err
		}
		for _, item := range asked {
			if missed[item] {
				delete(missed, item)
				r.batch.add(OpSet, item)
			}
		}
		if err := r.batch.exchange(func(int, *reply) error { return nil }); err != nil {
			return hits, err
		}
	}
	return hits, nil
}
