package bench

import (
	"context"
	"fmt"
	"io"
	"time"

	"golang.org/x/sys/unix"
)

// LoadReport says what a loaded table costs the server in memory.
type LoadReport struct {
	Entries       int     `json:"entries"`
	Before        int64   `json:"server_rss_bytes_before"` // with an empty table
	After         int64   `json:"server_rss_bytes"`
	BytesPerEntry float64 `json:"bytes_per_entry"`
	Seconds       float64 `json:"duration_s"` // of loading
	Op            string  `json:"op"`
	KeyBytes      int     `json:"key_size"`
	ValueBytes    int     `json:"value_size"`
	Seed          uint64  `json:"seed"`
	Target        string  `json:"target"`
	Server        string  `json:"server,omitempty"` // what it says it is
	Command       string  `json:"command,omitempty"`
	Machine       Machine `json:"machine"`
}

// Load creates the table again, fills it with o.Keys entries (of a list, if o.Op works on one) and
// returns the resident memory that this costs the server. Figures are comparable if the server is
// fresh. Errors as Run's; a server on another machine is an error.
func Load(ctx context.Context, o Options) (*LoadReport, error) {
	if o.Op == OpAppend {
		o.Op = OpIndex // appends start from an empty list
	}
	o.Loaded = false
	r, err := newRunner(o)
	if err != nil {
		return nil, err
	}
	op, entries := o.Op.loadOp(o.Keys)
	loop, err := r.openLoader(ctx, op)
	if err != nil {
		return nil, err
	}
	defer loop.close()
	before, err := r.settledRSS(ctx)
	if err != nil {
		return nil, err
	}
	start := time.Now()
	if _, err := r.fill(ctx, loop, op, entries); err != nil {
		return nil, err
	}
	seconds := time.Since(start).Seconds()
	after, err := r.settledRSS(ctx)
	if err != nil {
		return nil, err
	}
	return &LoadReport{
		Entries:       entries,
		Before:        before,
		After:         after,
		BytesPerEntry: rounded(float64(after-before)/float64(entries), 100),
		Seconds: rounded(
			seconds,
			1e6,
		),
		Op:         op.String(),
		KeyBytes:   o.KeySize.mean(),
		ValueBytes: o.ValueSize.mean(),
		Seed:       o.Seed,
		Target:     o.Target.String(),
		Server:     r.version,
		Machine:    ThisMachine(),
	}, nil
}

// IdleReport says how much memory idle connections cost the server, and what the server does
// meanwhile.
type IdleReport struct {
	Connections        int     `json:"connections"`
	Before             int64   `json:"server_rss_bytes_before"`
	After              int64   `json:"server_rss_bytes"`
	BytesPerConnection float64 `json:"bytes_per_connection"`
	Seconds            float64 `json:"duration_s"` // of opening them
	*Rest                      // once they are open; nil in old results
	Target             string  `json:"target"`
	Command            string  `json:"command,omitempty"`
	Machine            Machine `json:"machine"`
}

// Idle opens o.Connections connections, completes their handshakes, and returns the resident memory
// that they cost the server, and its activity for o.Duration. Errors as Load's.
func Idle(ctx context.Context, o Options) (*IdleReport, error) {
	r, err := newRunner(o)
	if err != nil {
		return nil, err
	}
	if err := r.findServer(); err != nil {
		return nil, err
	}
	before, err := r.settledRSS(ctx)
	if err != nil {
		return nil, err
	}
	start := time.Now()
	sockets, err := dial(ctx, o.Target, r.wire, o.Connections)
	if err != nil {
		return nil, err
	}
	defer func() {
		for _, s := range sockets {
			_ = unix.Close(s.fd) // nothing was sent on it
		}
	}()
	seconds := time.Since(start).Seconds()
	after, err := r.settledRSS(ctx)
	if err != nil {
		return nil, err
	}
	rest, err := WatchRest(ctx, r.pid, o.Duration)
	if err != nil {
		return nil, err
	}
	return &IdleReport{
		Rest:               rest,
		Connections:        o.Connections,
		Before:             before,
		After:              after,
		BytesPerConnection: rounded(float64(after-before)/float64(o.Connections), 10),
		Seconds:            rounded(seconds, 1e6),
		Target:             o.Target.String(),
		Machine:            ThisMachine(),
	}, nil
}

// settledRSS waits until the server's resident memory is stable, and returns it.
func (r *runner) settledRSS(ctx context.Context) (int64, error) {
	const step, same, most = 100 * time.Millisecond, 5, 30
	if r.pid == 0 {
		return 0, fmt.Errorf("memory of %s: %w: run it there, or give --server-pid", r.options.Target, errNotLocal)
	}
	var last int64
	for steps, unchanged := 0, 0; unchanged < same && steps < most; steps++ {
		usage, err := processUsage(r.pid)
		if err != nil {
			return 0, err
		}
		if unchanged++; usage.rss != last {
			last, unchanged = usage.rss, 0
		}
		if pause(ctx, step, nil) == pauseCancelled {
			return 0, ErrInterrupted
		}
	}
	return last, nil
}

// WriteJSON writes the report as one JSON object and a line end.
func (r *LoadReport) WriteJSON(w io.Writer) error { return writeJSON(w, r) }

// WriteJSON writes the report as one JSON object and a line end.
func (r *IdleReport) WriteJSON(w io.Writer) error { return writeJSON(w, r) }

// WriteTable writes the report as a table for people.
func (r *LoadReport) WriteTable(w io.Writer) error {
	return writeRows(w, [][2]string{
		{"target", r.Target},
		{
			"loaded",
			fmt.Sprintf(
				"%d entries (%s), keys of %d bytes, values of %d bytes, in %.2f s",
				r.Entries,
				r.Op,
				r.KeyBytes,
				r.ValueBytes,
				r.Seconds,
			),
		},
		{"server memory", fmt.Sprintf("%d bytes resident before, %d after", r.Before, r.After)},
		{"per entry", fmt.Sprintf("%.1f bytes", r.BytesPerEntry)},
	})
}

// WriteTable writes the report as a table for people.
func (r *IdleReport) WriteTable(w io.Writer) error {
	rows := [][2]string{
		{"target", r.Target},
		{"opened", fmt.Sprintf("%d connections in %.2f s", r.Connections, r.Seconds)},
		{"server memory", fmt.Sprintf("%d bytes resident before, %d after", r.Before, r.After)},
		{"per connection", fmt.Sprintf("%.0f bytes", r.BytesPerConnection)},
	}
	if rest := r.Rest; rest != nil {
		rows = append(
			rows,
			[2]string{
				"idle",
				fmt.Sprintf(
					"%.1f wake-ups a second, %.3f %% of a core, for %.1f s",
					rest.WakeupsPerSecond,
					rest.CorePercent,
					rest.Watched,
				),
			},
		)
	}
	return writeRows(w, rows)
}
