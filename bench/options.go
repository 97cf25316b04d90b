package bench

import (
	"fmt"
	"math"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// TablePrefix is what the name of the measured table begins with; it is dropped and made anew, so no other will do.
const TablePrefix = "bench"

// Bounds of Options.
const (
	maxPipeline   = 1 << 16
	maxKeys       = 1 << 31
	maxKeyBytes   = 1 << 10
	maxValueBytes = 1_000_000 // its reply fits into one frame

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
	Table       string
	Keys        int // number of entries in the table
	KeyBytes    int
	ValueBytes  int
	Seed        uint64
	Warmup      time.Duration
	Duration    time.Duration
	ServerPID   int // process to account for; 0: the one that listens at the target
}

// DefaultOptions returns the canonical workload: GET from 100,000 entries of 16-byte keys and 32-byte values, 50 connections, 16
// requests in flight on each.
func DefaultOptions() Options {
	return Options{
		Target:      Target{Scheme: SchemeNative, Network: "tcp", Address: "127.0.0.1:9980"},
		Connections: 50,
		Pipeline:    16,
		Threads:     1,
		Op:          OpGet,
		Table:       TablePrefix,
		Keys:        100_000,
		KeyBytes:    16,
		ValueBytes:  32,
		Seed:        1,
		Warmup:      500 * time.Millisecond,
		Duration:    2 * time.Second,
	}
}

// UsageError is returned when options cannot be used as they are; its text names the flag and says what would do.
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
		{"--key-size", o.KeyBytes, 1, maxKeyBytes},
		{"--value-size", o.ValueBytes, 1, maxValueBytes},
	}
	for _, r := range ranges {
		if r.value < r.least || r.value > r.top {
			return &UsageError{fmt.Sprintf("%s must be %d to %d, not %d", r.flag, r.least, r.top, r.value)}
		}
	}
	if o.KeyBytes < hexDigits && o.Keys > 1<<(4*o.KeyBytes) {
		return &UsageError{fmt.Sprintf("--key-size %d has no room for %d different keys: at most %d", o.KeyBytes, o.Keys, 1<<(4*o.KeyBytes))}
	}
	if o.Duration <= 0 || o.Warmup < 0 {
		return &UsageError{"-d must be above 0 and --warmup not below it"}
	}
	if !strings.HasPrefix(o.Table, TablePrefix) {
		return &UsageError{fmt.Sprintf("--table must begin with %q: it is dropped and made anew", TablePrefix)}
	}
	return checkDescriptors(o.Connections)
}

// checkDescriptors compares RLIMIT_NOFILE with what the connections need; the Go runtime has already raised the soft limit to the hard one.
func checkDescriptors(connections int) error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("limit of open files: %w", err)
	}
	if need := uint64(connections) + spareDescriptors; need > limit.Cur {
		return &UsageError{fmt.Sprintf("-c %d needs %d file descriptors and the limit is %d: run `ulimit -n %d` first (as root, or set LimitNOFILE), or use fewer connections",
			connections, need, limit.Cur, need)}
	}
	return nil
}
