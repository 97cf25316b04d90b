package bench

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// Rest says how often an idle process wakes up, and how much CPU that takes.
type Rest struct {
	WakeupsPerSecond float64 `json:"wakeups_per_s"` // of all its threads: how often they have waited
	CorePercent      float64 `json:"core_percent"`  // of one processor
	Watched          float64 `json:"watched_s"`
}

// WatchRest watches a process of this machine for d, by /proc/PID/task/TID/status and schedstat
// (proc(5)). Errors: those of reading them; ErrInterrupted.
func WatchRest(ctx context.Context, pid int, d time.Duration) (*Rest, error) {
	waits, cpu, err := threadsOf(pid)
	if err != nil {
		return nil, err
	}
	start := time.Now()
	if pause(ctx, d, nil) == pauseCancelled {
		return nil, ErrInterrupted
	}
	waitsThen, cpuThen, err := threadsOf(pid)
	if err != nil {
		return nil, err
	}
	watched := time.Since(start).Seconds()
	return &Rest{
		WakeupsPerSecond: rounded(float64(waitsThen-waits)/watched, 10),
		CorePercent:      rounded(100*(cpuThen-cpu).Seconds()/watched, 1000),
		Watched:          rounded(watched, 1e3),
	}, nil
}

// threadsOf returns how often the threads of a process have waited, and how long they have run.
func threadsOf(pid int) (waits uint64, cpu time.Duration, err error) {
	dir := fmt.Sprintf("/proc/%d/task/", pid)
	threads, err := os.ReadDir(dir)
	if err != nil {
		return 0, 0, err
	}
	for _, thread := range threads {
		status, err := os.ReadFile(dir + thread.Name() + "/status")
		if err != nil {
			return 0, 0, err
		}
		_, line, _ := strings.Cut(string(status), "\nvoluntary_ctxt_switches:")
		line, _, _ = strings.Cut(line, "\n")
		n, err := strconv.ParseUint(strings.TrimSpace(line), 10, 64)
		if err != nil {
			return 0, 0, err
		}
		schedstat, err := os.ReadFile(dir + thread.Name() + "/schedstat")
		if err != nil {
			return 0, 0, err
		}
		ran, _, _ := bytes.Cut(schedstat, []byte(" "))
		nanos, err := strconv.ParseInt(string(ran), 10, 64)
		if err != nil {
			return 0, 0, err
		}
		waits, cpu = waits+n, cpu+time.Duration(nanos)
	}
	return waits, cpu, nil
}
