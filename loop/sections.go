package loop

import (
	"fmt"
	"time"

	"github.com/bytedance/sonic"

	"cyberdb-fast/codec"
	"cyberdb-fast/loop/engine"
	"cyberdb-fast/loop/hotkeys"
	"cyberdb-fast/loop/requestlog"
)

// sections are the sections of INFO that the server has besides the engine's.
func (srv *Server) sections() map[string]engine.Section {
	logs := &srv.logs
	return map[string]engine.Section{
		"commands": {Answer: srv.infoCommands},
		"tables": {
			Parameters: []engine.Parameter{
				{Name: "sort", Default: "bytes", OneOf: tableOrders},
				{Name: "limit", Default: int64(100), Least: 1, Most: maxTableFigures},
			},
			Answer: srv.infoTables,
		},
		"clients":        section(func() any { return srv.Clients() }),
		"hot":            section(func() any { return srv.HotKeys() }),
		"slow":           section(func() any { return logs.slowLog() }),
		"large_requests": section(func() any { return largeLog(logs.largeRequests, logs.get().LargeRequest) }),
		"large_replies":  section(func() any { return largeLog(logs.largeReplies, logs.get().LargeReply) }),
		"tail": {
			Parameters: []engine.Parameter{
				{Name: "after", Default: int64(-1)},
				{Name: "table", Default: ""},
				{Name: "min_ms", Default: 0.0, Most: int64(time.Hour / time.Millisecond)},
				{Name: "limit", Default: int64(requestlog.MaxPage), Least: 1, Most: requestlog.MaxPage},
			},
			Answer: logs.tailSection,
		},
	}
}

// section is a section without parameters.
func section(answer func() any) engine.Section {
	return engine.Section{Answer: func(engine.Parameters) ([]byte, error) { return sonic.Marshal(answer()) }}
}

// slowLog is what INFO "slow" answers.
type slowLog struct {
	ThresholdMS float64            `json:"threshold_ms"` // 0: nothing is logged
	Total       uint64             `json:"total"`        // since the start
	Entries     []requestlog.Shown `json:"entries"`      // the newest first
}

func (l *requestLogs) slowLog() (answer slowLog) {
	answer.ThresholdMS = float64(l.get().SlowRequest) / float64(time.Millisecond)
	answer.Entries, answer.Total = l.slow.Latest()
	return answer
}

// sizeLog is what INFO "large_requests" and "large_replies" answer.
type sizeLog struct {
	ThresholdBytes int                `json:"threshold_bytes"` // 0: nothing is logged
	Total          uint64             `json:"total"`           // since the start
	Entries        []requestlog.Shown `json:"entries"`         // the newest first
}

func largeLog(ring *requestlog.Ring, threshold int) (answer sizeLog) {
	answer.ThresholdBytes = threshold
	answer.Entries, answer.Total = ring.Latest()
	return answer
}

// tailSection answers INFO "tail".
func (l *requestLogs) tailSection(p engine.Parameters) ([]byte, error) {
	page, ok := l.tail.Read(
		p.Int("after"),
		requestlog.Filter{Table: p.Text("table"), Least: time.Duration(p.Float("min_ms") * float64(time.Millisecond))},
		int(p.Int("limit")),
	)
	if !ok {
		return nil, &codec.Error{
			Status: codec.StatusOverloaded,
			Message: fmt.Sprintf(
				"%d different tails are followed already: ask for one of another table or time in %v",
				requestlog.MaxFilters, requestlog.TailTime,
			),
		}
	}
	l.tailChanged()
	return sonic.Marshal(&page)
}

// HotKeys returns the keys that are asked for most.
func (srv *Server) HotKeys() hotkeys.Hot {
	srv.loopsMu.Lock()
	sketches := make([]*hotkeys.Sketch, 0, len(srv.loops))
	for _, l := range srv.loops {
		sketches = append(sketches, &l.observed.hot)
	}
	srv.loopsMu.Unlock()
	hot := hotkeys.Merge(sketches, srv.time.monotonic())
	hot.Every = sampledEvery
	return hot
}
