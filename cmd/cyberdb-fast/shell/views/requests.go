package views

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"cyberdb-fast/client"
)

// loggedRequest is an entry of the sections "slow", "large_requests", "large_replies" and "tail".
type loggedRequest struct {
	ID           int64   `json:"id"`
	Time         string  `json:"time"`
	Command      string  `json:"command"`
	Table        string  `json:"table"`
	Key          string  `json:"key"`
	Client       string  `json:"client"`
	Status       string  `json:"status"`
	QueueUS      float64 `json:"queue_us"`
	ExecutionUS  float64 `json:"execution_us"`
	RequestBytes int64   `json:"request_bytes"`
	ReplyBytes   int64   `json:"reply_bytes"`
}

// requestLog is one of the sections "slow", "large_requests" and "large_replies".
type requestLog struct {
	ThresholdMS    float64         `json:"threshold_ms"`
	ThresholdBytes int64           `json:"threshold_bytes"`
	Total          int64           `json:"total"`
	Entries        []loggedRequest `json:"entries"`
}

var logTitles = []string{
	"time",
	"execution",
	"queue",
	"command",
	"table",
	"key",
	"request",
	"reply",
	"client",
	"status",
}

func (v *View) cells(r *loggedRequest) []string {
	return []string{
		clock(r.Time), micros(r.ExecutionUS), micros(r.QueueUS), plain(r.Command), v.short(r.Table), plain(r.Key),
		size(r.RequestBytes), size(r.ReplyBytes), plain(r.Client), plain(r.Status),
	}
}

// clock returns the time of day of this machine.
func clock(stamp string) string {
	t, err := time.Parse(time.RFC3339Nano, stamp)
	if err != nil {
		return plain(stamp)
	}
	return t.Local().Format("15:04:05.000")
}

// requestLogs are the sections that Slow shows.
var requestLogs = []struct{ name, title string }{
	{"slow", "slow requests"}, {"large_requests", "large requests"}, {"large_replies", "large replies"},
}

// slowJSON writes an object with the sections by their names.
func (v *View) slowJSON(ctx context.Context) error {
	logs := make(map[string]json.RawMessage)
	for _, section := range requestLogs {
		text, err := v.section(ctx, section.name, nil)
		if err != nil {
			return err
		}
		logs[section.name] = text
	}
	return json.NewEncoder(v.Out).Encode(logs)
}

// Slow writes the slow requests, and the large requests and replies if there are any.
func (v *View) Slow(ctx context.Context) error {
	if v.JSON {
		return v.slowJSON(ctx)
	}
	for i, section := range requestLogs {
		var log requestLog
		if _, err := v.read(ctx, section.name, nil, &log); err != nil {
			return err
		}
		limit := size(log.ThresholdBytes)
		if i == 0 {
			limit = micros(log.ThresholdMS * 1000)
		}
		switch {
		case log.ThresholdMS == 0 && log.ThresholdBytes == 0:
			fmt.Fprintf(v.Out, "%s: off\n", section.title)
		case log.Total == 0:
			fmt.Fprintf(v.Out, "%s, above %s: none\n", section.title, limit)
		default:
			fmt.Fprintf(v.Out, "%s, above %s: %s, the last %d of them\n",
				section.title, limit, number(log.Total), len(log.Entries))
			if err := v.requests(log.Entries); err != nil {
				return err
			}
		}
	}
	return nil
}

func (v *View) requests(entries []loggedRequest) error {
	g := v.grid(logTitles...)
	for i := range entries {
		g.row(v.cells(&entries[i])...)
	}
	return g.flush()
}

// Hot writes the keys that are used most now.
func (v *View) Hot(ctx context.Context) error {
	var s struct {
		Sampled int64 `json:"sampled"`
		Every   int64 `json:"every"`
		Keys    []struct {
			Table string  `json:"table"`
			Key   string  `json:"key"`
			Count int64   `json:"count"`
			Share float64 `json:"share"`
			Error int64   `json:"error"`
		} `json:"keys"`
	}
	done, err := v.read(ctx, "hot", nil, &s)
	if err != nil || done {
		return err
	}
	fmt.Fprintf(v.Out, "one of %d requests that have a key is looked at: %s lately\n", s.Every, number(s.Sampled))
	if len(s.Keys) == 0 {
		return nil
	}
	g := v.grid("share", "table", "key", "seen at least", "at most")
	for _, k := range s.Keys {
		g.row(
			fmt.Sprintf("%.1f %%", 100*k.Share),
			v.short(k.Table),
			plain(k.Key),
			number(k.Count-k.Error),
			number(k.Count),
		)
	}
	return g.flush()
}

// TailFilter says which requests Tail shows.
type TailFilter struct {
	Table string        // "": those of all tables
	Least time.Duration // that a request took
}

// tailPause is the time between two questions for new requests.
const tailPause = 200 * time.Millisecond

// infoCommand is the request by which a view asks, and which Tail does not show.
const infoCommand = "INFO"

// Tail writes requests while they are executed, until the context ends.
func (v *View) Tail(ctx context.Context, filter TailFilter) error {
	parameters := map[string]any{"limit": 1000}
	if filter.Table != "" {
		parameters["table"] = filter.Table
	}
	if filter.Least > 0 {
		parameters["min_ms"] = float64(filter.Least) / float64(time.Millisecond)
	}
	if err := v.noteAbsent(ctx, filter.Table); err != nil {
		return err
	}
	pause := time.NewTicker(tailPause)
	defer pause.Stop()
	for titled := v.JSON; ; {
		text, err := v.section(ctx, "tail", parameters)
		if err != nil {
			return err
		}
		var s struct {
			Next    int64             `json:"next"`
			Missed  int64             `json:"missed"`
			Entries []json.RawMessage `json:"entries"`
		}
		if err := json.Unmarshal(text, &s); err != nil {
			return fmt.Errorf("the server's section \"tail\" cannot be read: %w", err)
		}
		if !titled {
			titled = true
			if err := v.tailLine(logTitles); err != nil {
				return err
			}
		}
		if err := v.tailEntries(s.Entries); err != nil {
			return err
		}
		if s.Missed > 0 && !v.JSON {
			fmt.Fprintf(v.Out, "(%s more that this view was too slow for)\n", number(s.Missed))
		}
		parameters["after"] = s.Next
		if len(s.Entries) > 0 && s.Missed > 0 {
			continue
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// noteAbsent says that a table does not exist: clients may still ask for it, or create it.
func (v *View) noteAbsent(ctx context.Context, table string) error {
	if table == "" || v.JSON {
		return nil
	}
	ctx, cancel := v.within(ctx)
	defer cancel()
	_, err := v.DB.Kind(ctx, table)
	if errors.Is(err, client.ErrNoSuchTable) {
		_, err = fmt.Fprintf(v.Out, "(there is no table %s now)\n", plain(table))
	}
	return err
}

// tailLine writes cells in columns of fixed widths, since the lines to come are not known.
func (v *View) tailLine(cells []string) error {
	_, err := fmt.Fprintf(v.Out, "%-12s  %9s  %9s  %-12s  %-12s  %-24s  %9s  %9s  %-21s  %s\n",
		cells[0], cells[1], cells[2], cells[3], cells[4], cells[5], cells[6], cells[7], cells[8], cells[9])
	return err
}

func (v *View) tailEntries(entries []json.RawMessage) error {
	for _, text := range entries {
		var r loggedRequest
		if err := json.Unmarshal(text, &r); err != nil {
			return fmt.Errorf("a request in the section \"tail\" cannot be read: %w", err)
		}
		if r.Command == infoCommand {
			continue
		}
		if v.JSON {
			if _, err := io.WriteString(v.Out, string(text)+"\n"); err != nil {
				return err
			}
			continue
		}
		err := v.tailLine(v.cells(&r))
		if err != nil {
			return err
		}
	}
	return nil
}
