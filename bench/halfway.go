package bench

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"time"
)

// Halfway has the measurements before, during and after a command in the middle of a run, such as a
// save.
type Halfway struct {
	Command string  `json:"command"`
	Start   float64 `json:"start_s"` // from the beginning of the measured time
	Before  Stage   `json:"before"`
	During  Stage   `json:"during"`
	After   Stage   `json:"after"`
}

// Stage is a part of the measured time. Times are microseconds.
type Stage struct {
	Seconds      float64 `json:"duration_s"`
	OpsPerSecond float64 `json:"ops_per_s"`
	P50          float64 `json:"p50_us"`
	P99          float64 `json:"p99_us"`
	P999         float64 `json:"p999_us"`
	Max          float64 `json:"max_us"`
}

// The stages of a run with a command in its middle, in order.
const (
	stageBefore = iota
	stageDuring
	stageAfter
	stages
)

// StageNames are the names of HalfwaySummary.Stages, in order.
var StageNames = [stages]string{"before", "during", "after"}

// halfway runs the command in the middle of the measured time.
type halfway struct {
	command string

	start, over time.Time // of the command; written before ended is closed
	err         error
	ended       chan struct{}
}

// startHalfway runs the command in the middle of the time d that begins at from, and sets stage.
// ctx ends the wait and the command.
func startHalfway(ctx context.Context, command string, from time.Time, d time.Duration, stage *atomic.Int32) *halfway {
	h := &halfway{command: command, ended: make(chan struct{})}
	go func() {
		defer close(h.ended)
		pause(ctx, time.Until(from.Add(d/2)), nil)
		h.start = time.Now()
		stage.Store(stageDuring)
		h.err = runShell(ctx, command)
		h.over = time.Now()
		stage.Store(stageAfter)
	}()
	return h
}

// runShell runs a command of the shell; what it prints goes to standard error.
func runShell(ctx context.Context, command string) error {
	cmd := exec.CommandContext(ctx, "sh", "-c", command)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("--halfway %q: %w", command, err)
	}
	return nil
}

// report waits for the command to end and returns the measurements around it. The measured time
// began at from and ended at to.
//
// Errors: the command failed, or did not end within the measured time.
func (h *halfway) report(l *latencies, from, to time.Time) (*Halfway, error) {
	<-h.ended
	switch {
	case h.err != nil:
		return nil, h.err
	case h.over.After(to):
		return nil, fmt.Errorf(
			"--halfway %q: it took %.1f s and outlasted the measured time: give more -d",
			h.command,
			h.over.Sub(h.start).Seconds(),
		)
	}
	return &Halfway{
		Command: h.command,
		Start:   rounded(h.start.Sub(from).Seconds(), 1e3),
		Before:  l.stageOf(stageBefore, h.start.Sub(from)),
		During:  l.stageOf(stageDuring, h.over.Sub(h.start)),
		After:   l.stageOf(stageAfter, to.Sub(h.over)),
	}, nil
}

// stageOf returns the figures of a stage of length d. A histogram rounds up, so they are capped at
// the longest latency.
func (l *latencies) stageOf(stage int, d time.Duration) Stage {
	h, longest := l.stages[stage], microseconds(l.max)
	return Stage{
		Seconds: rounded(d.Seconds(), 1e3), OpsPerSecond: rounded(float64(h.TotalCount())/max(d, 1).Seconds(), 10),
		P50: min(quantile(h, 50), longest), P99: min(quantile(h, 99), longest), P999: min(quantile(h, 99.9), longest),
		Max: min(microseconds(time.Duration(h.Max())), longest),
	}
}

// HalfwaySummary has the medians of several runs of one workload on one target with a command in
// their middle.
type HalfwaySummary struct {
	Sample *Report // one of the runs: its workload, target and server are those of all
	Runs   int
	Stages [stages]Stage
}

// SummarizeHalfway returns one summary for each workload and target that had a command in its
// middle, in the order in which they come first.
func SummarizeHalfway(reports []*Report) (all []*HalfwaySummary) {
	type group struct {
		workload workload
		target   string
	}
	members := map[group][]*Report{}
	var order []group
	for _, r := range reports {
		if r.Halfway == nil {
			continue
		}
		g := group{r.workload(), r.targetLine()}
		if members[g] == nil {
			order = append(order, g)
		}
		members[g] = append(members[g], r)
	}
	for _, g := range order {
		s := &HalfwaySummary{Sample: members[g][0], Runs: len(members[g])}
		for i := range s.Stages {
			s.Stages[i] = medianStage(members[g], func(r *Report) Stage { return r.Halfway.stage(i) })
		}
		all = append(all, s)
	}
	return all
}

func (h *Halfway) stage(i int) Stage { return [stages]Stage{h.Before, h.During, h.After}[i] }

func medianStage(runs []*Report, stage func(*Report) Stage) Stage {
	figure := func(of func(Stage) float64) float64 {
		return medianOf(runs, func(r *Report) float64 { return of(stage(r)) })
	}
	return Stage{
		Seconds:      figure(func(s Stage) float64 { return s.Seconds }),
		OpsPerSecond: figure(func(s Stage) float64 { return s.OpsPerSecond }),
		P50:          figure(func(s Stage) float64 { return s.P50 }),
		P99:          figure(func(s Stage) float64 { return s.P99 }),
		P999:         figure(func(s Stage) float64 { return s.P999 }),
		Max:          figure(func(s Stage) float64 { return s.Max }),
	}
}

// rows are the lines of a run's table.
func (h *Halfway) rows() (rows [][2]string) {
	command, _, _ := strings.Cut(h.Command, "\n")
	rows = append(
		rows,
		[2]string{"halfway", fmt.Sprintf("%s, %.2f s from %.2f s on", command, h.During.Seconds, h.Start)},
	)
	for i, name := range StageNames {
		s := h.stage(i)
		rows = append(
			rows,
			[2]string{
				name + " it",
				fmt.Sprintf(
					"%.0f op/s, p50 %.0f us, p99 %.0f us, p99.9 %.0f us, max %.0f us",
					s.OpsPerSecond,
					s.P50,
					s.P99,
					s.P999,
					s.Max,
				),
			},
		)
	}
	return rows
}
