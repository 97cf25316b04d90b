package loop

import (
	"bytes"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"strconv"

	"golang.org/x/sys/unix"
)

// ProcessInfo is what INFO says of the server's process.
type ProcessInfo struct {
	CPUSeconds     float64    `json:"cpu_seconds"` // used, by the program and by the kernel for it
	ResidentBytes  int64      `json:"resident_bytes"`
	Memory         MemoryInfo `json:"memory"` // its parts
	GCCycles       int64      `json:"gc_cycles"`
	GCPauseSeconds float64    `json:"gc_pause_seconds"` // all pauses together
}

// MemoryInfo is what INFO says of the parts of the resident memory.
type MemoryInfo struct {
	HeapBytes     int64 `json:"heap_bytes"`      // of the Go heap, garbage that is not collected yet included
	HeapIdleBytes int64 `json:"heap_idle_bytes"` // that the Go heap keeps for later
	StackBytes    int64 `json:"stack_bytes"`
	SlabBytes     int64 `json:"slab_bytes"` // of tables, outside the heap
	OtherBytes    int64 `json:"other_bytes"`
}

// processInfo measures the process.
func (srv *Server) processInfo() ProcessInfo {
	samples := []metrics.Sample{
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
		{Name: "/memory/classes/heap/unused:bytes"},
		{Name: "/memory/classes/heap/stacks:bytes"},
		{Name: "/memory/classes/os-stacks:bytes"},
	}
	metrics.Read(samples)
	of := func(i int) int64 { return int64(samples[i].Value.Uint64()) }
	p := ProcessInfo{
		CPUSeconds: cpuSeconds(),
		Memory: MemoryInfo{
			HeapBytes: of(0), HeapIdleBytes: of(1) + of(2), StackBytes: of(3) + of(4),
			SlabBytes: int64(srv.store.ResidentBytes()),
		},
	}
	m := &p.Memory
	known := m.HeapBytes + m.HeapIdleBytes + m.StackBytes + m.SlabBytes
	p.ResidentBytes = max(processResident(), known)
	m.OtherBytes = p.ResidentBytes - known
	var gc debug.GCStats
	debug.ReadGCStats(&gc)
	p.GCCycles, p.GCPauseSeconds = gc.NumGC, gc.PauseTotal.Seconds()
	return p
}

// cpuSeconds returns the processor time that the process has used.
func cpuSeconds() float64 {
	var usage unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}

// processResident returns the resident memory of the process; 0: the system does not say.
func processResident() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if fields := bytes.Fields(text); err == nil && len(fields) > 1 {
		if pages, err := strconv.ParseInt(string(fields[1]), 10, 64); err == nil {
			return pages * int64(os.Getpagesize())
		}
	}
	return 0
}

// Budget is what INFO says of something of which there is only so much.
type Budget struct {
	Used  int64 `json:"used"`
	Limit int64 `json:"limit"` // 0: none
}

// Budgets are all of these.
type Budgets struct {
	Connections          Budget `json:"connections"`
	MemoryBytes          Budget `json:"memory_bytes"` // as it is compared with --max-memory
	UnsentBytes          Budget `json:"unsent_bytes"`
	BufferedInputBytes   Budget `json:"buffered_input_bytes"`
	UnauthenticatedBytes Budget `json:"unauthenticated_bytes"` // of CyberDB's wire
	BacklogBytes         Budget `json:"backlog_bytes"`         // that wait to be written to the journal
	LongReads            Budget `json:"long_reads"`
	Processors           Budget `json:"processors"` // for requests in the background
}

func (srv *Server) budgets() Budgets {
	b := Budgets{
		Connections:          Budget{srv.conns.Load(), int64(srv.cfg.MaxConns)},
		MemoryBytes:          Budget{srv.memory.used.Load(), srv.memory.limit},
		UnsentBytes:          Budget{srv.replies.bytes.Load(), srv.replies.limit},
		BufferedInputBytes:   Budget{srv.requests.bytes.Load(), srv.requests.limit},
		UnauthenticatedBytes: Budget{srv.legacy.unauthenticated.Load(), srv.legacy.limit},
		BacklogBytes:         Budget{0, srv.limits.backlogBytes},
		LongReads:            Budget{srv.streams.Load(), maxServerStreams},
		Processors:           Budget{int64(len(srv.processors)), int64(cap(srv.processors))},
	}
	if srv.journal != nil {
		b.BacklogBytes.Used = srv.journal.Pending()
	}
	return b
}

// connectionStates returns how many connections are in each state.
func (srv *Server) connectionStates() map[string]int64 {
	counts := make(map[string]int64, closed)
	srv.loopsMu.Lock()
	defer srv.loopsMu.Unlock()
	for s := range closed {
		counts[s.String()] = 0
		for _, l := range srv.loops {
			counts[s.String()] += l.record.states[s].Load()
		}
	}
	return counts
}
