package bench

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/codec"
)

// SweepOptions say how to measure how late servers remove entries that have expired.
type SweepOptions struct {
	Targets  []Target
	Password string        // for targets that ask for one
	Entries  int           // with a deadline
	Stays    int           // without
	Over     time.Duration // in which the deadlines are, evenly; 0: all at one time
	Sample   time.Duration // between two questions how many entries there are
	Batch    int           // requests in flight while the entries are stored
	Table    string
	Seed     uint64
}

// DefaultSweepOptions returns the canonical measurement, without targets.
func DefaultSweepOptions() SweepOptions {
	return SweepOptions{
		Entries: 1_000_000,
		Over:    30 * time.Second,
		Sample:  5 * time.Millisecond,
		Batch:   256,
		Table:   TablePrefix,
		Seed:    1,
	}
}

// SweepReport says how late servers remove entries that have expired.
type SweepReport struct {
	Entries int           `json:"entries"`
	Stays   int           `json:"entries_without_deadline"`
	Over    float64       `json:"deadlines_within_s"`
	Results []SweepResult `json:"sweeps"`
	Command string        `json:"command,omitempty"`
	Machine Machine       `json:"machine"`
}

// SweepResult is one server's. The lag of a sample is how long the entry has expired that was
// removed last, if others that have expired are still counted.
type SweepResult struct {
	Target  string  `json:"target"`
	Server  string  `json:"server,omitempty"`
	Samples int     `json:"samples"`
	P50     float64 `json:"lag_p50_ms"`
	P99     float64 `json:"lag_p99_ms"`
	Max     float64 `json:"lag_max_ms"`
	// the slowest answer to the question how many entries there are
	SlowestAnswer float64 `json:"slowest_answer_ms"`
}

// SweepLags stores entries with deadlines, and asks how many there are until all are removed.
func SweepLags(ctx context.Context, o SweepOptions) (*SweepReport, error) {
	switch {
	case len(o.Targets) == 0:
		return nil, &UsageError{"sweep needs a --target"}
	case o.Entries < 1 || o.Batch < 1 || o.Stays < 0 || o.Over < 0 || o.Sample <= 0:
		return nil, &UsageError{"--entries, --pipeline and --sample must be above 0"}
	}
	report := &SweepReport{Entries: o.Entries, Stays: o.Stays, Over: o.Over.Seconds(), Machine: ThisMachine()}
	for _, t := range o.Targets {
		result, err := sweepLag(ctx, &o, t)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", t, err)
		}
		report.Results = append(report.Results, *result)
	}
	return report, nil
}

// sweepRun measures one server.
type sweepRun struct {
	options   *SweepOptions
	native    bool
	batch     batcher
	limit     limiter // counts
	wire      wire
	deadlines []time.Time
}

func sweepLag(ctx context.Context, o *SweepOptions, t Target) (*SweepResult, error) {
	if t.Scheme != SchemeNative && t.Scheme != SchemeRedis {
		return nil, &UsageError{"sweep takes targets of cyberdb-fast and of Redis"}
	}
	run := DefaultOptions()
	run.Password, run.Table = o.Password, o.Table
	w, err := t.wire(&run, newItems(Fixed(hexDigits), Fixed(hexDigits), o.Seed))
	if err != nil {
		return nil, err
	}
	sockets, err := dial(ctx, t, w, 1)
	if err != nil {
		return nil, err
	}
	r := &sweepRun{options: o, native: t.Scheme == SchemeNative, wire: w, limit: HitCache{Target: t, Policy: "none"}.
		limiter(o.Table, maxSweepEntries, 0)}
	r.batch = batcher{conn: newConn(sockets[0], 1), wire: w}
	defer r.batch.conn.close()
	result := &SweepResult{Target: t.String()}
	if result.Server, err = w.version(r.ask); err != nil {
		return nil, err
	}
	if err := r.fill(ctx); err != nil {
		return nil, err
	}
	return result, r.watch(ctx, result)
}

// maxSweepEntries is a limit that is never reached.
const maxSweepEntries = 1 << 40

func (r *sweepRun) ask(request []byte) (reply, error) { return r.batch.conn.ask(r.wire, request) }

// fill stores the entries. The first deadline comes once all are there.
func (r *sweepRun) fill(ctx context.Context) error {
	o := r.options
	if _, redis := r.limit.(*redisLimit); redis {
		if _, err := r.ask(respCommand("FLUSHALL", "SYNC")); err != nil {
			return err
		}
	} else if err := r.limit.empty(r.ask); err != nil {
		return err
	}
	const perSecond = 100_000 // entries that every server can store
	first := time.Now().Add(time.Duration(o.Entries+o.Stays)*time.Second/perSecond + time.Second)
	for i := 0; i < o.Entries+o.Stays; {
		for ; i < o.Entries+o.Stays && r.batch.count < o.Batch; i++ {
			ttl := int64(0)
			if i < o.Entries {
				due := first.Add(o.Over * time.Duration(i) / time.Duration(o.Entries))
				ttl = max(time.Until(due).Milliseconds(), 1)
				r.deadlines = append(r.deadlines, time.Now().Add(time.Duration(ttl)*time.Millisecond))
			}
			r.add(i, ttl)
		}
		if err := r.batch.exchange(func(int, *reply) error { return ctx.Err() }); err != nil {
			return err
		}
	}
	if time.Now().After(first) {
		return fmt.Errorf("storing %d entries took so long that the first have expired", o.Entries+o.Stays)
	}
	slices.SortFunc(r.deadlines, time.Time.Compare)
	return nil
}

// add adds a request that stores an entry with a time to live in milliseconds; 0: none.
func (r *sweepRun) add(i int, ttl int64) {
	key := fmt.Sprintf("%0*x", hexDigits, i)
	b := &r.batch
	if r.native {
		req := codec.Request{ID: uint32(b.count), Op: codec.OpDictSet}
		req.Args = msgp.AppendString(msgp.AppendString(msgp.AppendString(nil, r.options.Table), key), key)
		if ttl > 0 {
			req.Flags, req.TTL = codec.FlagTimeToLive, ttl
		}
		b.out = codec.AppendRequest(b.out, &req)
	} else if ttl > 0 {
		b.out = append(b.out, respCommand("SET", key, key, "PX", strconv.FormatInt(ttl, 10))...)
	} else {
		b.out = append(b.out, respCommand("SET", key, key)...)
	}
	b.count++
}

// watch asks how many entries there are until all that expire are removed.
func (r *sweepRun) watch(ctx context.Context, result *SweepResult) error {
	var lags []float64
	for removed := 0; removed < len(r.deadlines); {
		time.Sleep(r.options.Sample)
		asked := time.Now()
		there, err := r.limit.count(r.ask)
		if err = cmp.Or(err, ctx.Err()); err != nil {
			return err
		}
		answered := time.Now()
		result.SlowestAnswer = max(result.SlowestAnswer, ms(answered.Sub(asked)))
		removed = len(r.deadlines) + r.options.Stays - there
		if asked.Before(r.deadlines[0]) {
			continue
		}
		lag := 0.0
		if removed < len(r.deadlines) {
			lag = max(0, ms(asked.Sub(r.deadlines[max(removed, 0)])))
		}
		lags = append(lags, lag)
	}
	slices.Sort(lags)
	result.Samples = len(lags)
	result.P50, result.P99 = lags[len(lags)/2], lags[len(lags)*99/100]
	result.Max = lags[len(lags)-1]
	return nil
}

func ms(d time.Duration) float64 { return rounded(float64(d)/float64(time.Millisecond), 100) }

// WriteJSON writes the report as one JSON object and a line end.
func (r *SweepReport) WriteJSON(w io.Writer) error { return writeJSON(w, r) }

// WriteTable writes the report as a table for people.
func (r *SweepReport) WriteTable(w io.Writer) error {
	const gap = 2
	fmt.Fprintf(w, "%d entries expire within %g s, %d do not; how late they are removed, in ms\n\n",
		r.Entries, r.Over, r.Stays)
	table := tabwriter.NewWriter(w, 0, 0, gap, ' ', tabwriter.AlignRight)
	fmt.Fprint(table, "target\tp50\tp99\tmax\tslowest answer\t\n")
	for i := range r.Results {
		s := &r.Results[i]
		fmt.Fprintf(table, "%s\t%.1f\t%.1f\t%.1f\t%.1f\t\n", s.Target, s.P50, s.P99, s.Max, s.SlowestAnswer)
	}
	return table.Flush()
}
