package bench

import (
	"fmt"
	"math"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// TablePrefix begins the name of the measured table. A run drops that table, so other names are
// refused.
const TablePrefix = "bench"

// Bounds of Options.
const (
	maxPipeline   = 1 << 16
	maxKeys       = 1 << 31
	maxKeyBytes   = 1 << 10
	maxValueBytes = 1_000_000 // its reply fits into one frame
	maxTables     = 1 << 20
	maxRatio      = 1_000_000
	maxZipf       = 8
	maxRate       = 1e9

	spareDescriptors = 64
)

// Options says what to measure. DefaultOptions returns the canonical workload.
type Options struct {
	Target      Target
	Password    string // for targets that ask for one
	Connections int
	Pipeline    int // requests in flight on each connection
	Threads     int // event loops of the generator
	Op          Op
	Ratio       Ratio // of OpMixed and OpHMixed
	Table       string
	Tables      int // number of tables; the second is named Table.1
	Keys        int // number of entries in all tables together
	KeySize     Size
	ValueSize   Size
	Zipf        float64 // exponent of the distribution that keys are drawn from; 0: even
	Seed        uint64
	Warmup      time.Duration
	Duration    time.Duration
	Requests    int // measured requests, in place of Duration; 0: none set
	// requests a second of all connections, sent on a timetable; 0:
	// closed loop
	Rate      float64
	Loaded    bool   // an earlier run has loaded the tables
	Halfway   string // a command of the shell to run in the middle of Duration; "": none
	ServerPID int    // process whose CPU and memory count; 0: the one that listens at the target
}

// DefaultOptions returns the canonical workload: GET from 100,000 entries of 16-byte keys and
// 32-byte values, 50 connections, 16 requests in flight on each.
func DefaultOptions() Options {
	return Options{
		Target:      Target{Scheme: SchemeNative, Network: "tcp", Address: "127.0.0.1:9980"},
		Connections: 50,
		Pipeline:    16,
		Threads:     1,
		Op:          OpGet,
		Ratio:       Ratio{9, 1},
		Table:       TablePrefix,
		Tables:      1,
		Keys:        100_000,
		KeySize:     Fixed(16),
		ValueSize:   Fixed(32),
		Seed:        1,
		Warmup:      500 * time.Millisecond,
		Duration:    2 * time.Second,
	}
}

// UsageError is returned for options that cannot be used. Its text names the flag and the values
// that are possible.
type UsageError struct{ Text string }

// Error returns the text.
func (e *UsageError) Error() string { return e.Text }

// Check says whether the options can be used. Errors: *UsageError.
func (o *Options) Check() error {
	ranges := []struct {
		flag       string
		value      int
		least, top int
	}{
		{"-c", o.Connections, 1, math.MaxInt32},
		{"-P", o.Pipeline, 1, maxPipeline},
		{"--threads", o.Threads, 1, 4 * runtime.NumCPU()},
		{"--keys", o.Keys, 1, maxKeys},
		{"--key-size", o.KeySize.Min, 1, maxKeyBytes},
		{"--key-size", o.KeySize.Max, 1, maxKeyBytes},
		{"--value-size", o.ValueSize.Min, 1, maxValueBytes},
		{"--value-size", o.ValueSize.Max, 1, maxValueBytes},
		{"--tables", o.Tables, 1, min(max(o.Keys, 1), maxTables)},
		{"--requests", o.Requests, 0, math.MaxInt},
		{"--ratio", o.Ratio.Reads, 0, maxRatio},
		{"--ratio", o.Ratio.Writes, 0, maxRatio},
	}
	for _, r := range ranges {
		if r.value < r.least || r.value > r.top {
			return &UsageError{fmt.Sprintf("%s must be %d to %d, not %d", r.flag, r.least, r.top, r.value)}
		}
	}
	if least := o.KeySize.Min; least < hexDigits && o.Keys > 1<<(4*least) {
		return &UsageError{
			fmt.Sprintf("--key-size %s has no room for %d different keys: at most %d", o.KeySize, o.Keys, 1<<(4*least)),
		}
	}
	if o.Duration <= 0 || o.Warmup < 0 {
		return &UsageError{"-d must be above 0 and --warmup not below it"}
	}
	if o.Ratio.Reads+o.Ratio.Writes == 0 {
		return &UsageError{"--ratio 0:0 leaves nothing to do"}
	}
	if err := o.checkWorkload(); err != nil {
		return err
	}
	if !strings.HasPrefix(o.Table, TablePrefix) {
		return &UsageError{fmt.Sprintf("--table must begin with %q: a run drops it", TablePrefix)}
	}
	return checkDescriptors(o.Connections)
}

// checkWorkload refuses options that exclude each other.
func (o *Options) checkWorkload() error {
	switch {
	case math.IsNaN(o.Zipf) || o.Zipf < 0 || o.Zipf > maxZipf:
		return &UsageError{fmt.Sprintf("--zipf must be 0 to %d, not %v", maxZipf, o.Zipf)}
	case math.IsNaN(o.Rate) || o.Rate < 0 || o.Rate > maxRate:
		return &UsageError{fmt.Sprintf("--rate must be 0 to %.0f, not %v", float64(maxRate), o.Rate)}
	case o.Op.onceEach() && o.Rate > 0:
		return &UsageError{fmt.Sprintf("--op %s ends with its --keys, so it goes without --rate", o.Op)}
	case o.Target.Scheme == SchemeMemcached && o.KeySize.Max > maxMemcachedKey:
		return &UsageError{fmt.Sprintf("memcached takes keys of at most %d bytes", maxMemcachedKey)}
	}
	return nil
}

// pipeline returns the requests in flight on each connection; the original CyberDB's wire allows
// one.
func (o *Options) pipeline() int {
	if o.Target.legacy() {
		return 1
	}
	return o.Pipeline
}

// checkDescriptors compares RLIMIT_NOFILE with what the connections need; the Go runtime has
// already raised the soft limit to the hard one.
func checkDescriptors(connections int) error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("limit of open files: %w", err)
	}
	if need := uint64(connections) + spareDescriptors; need > limit.Cur {
		return &UsageError{
			fmt.Sprintf(
				"-c %d needs %d file descriptors and the limit is %d: run `ulimit -n %d` first (as root, or "+
					"set LimitNOFILE), or use fewer connections",
				connections,
				need,
				limit.Cur,
				need,
			),
		}
	}
	return nil
}
