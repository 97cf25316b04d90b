package bench

import (
	"context"
	"sync/atomic"
	"time"
)

// Plan is a series of runs: every combination of the connections, the pipelines and the targets,
// repeated.
type Plan struct {
	Options     Options // of each run; Target, Connections and Pipeline come from the lists
	Targets     []Target
	Connections []int
	Pipelines   []int
	Repeat      int
	// Interleave runs the targets in turn, so that other work on the machine affects all of them.
	// Without it, each target makes all its runs before the next.
	Interleave bool
}

// Status is the progress of a plan.
type Status struct {
	Run, Runs    int // the first is 1
	Options      Options
	Measuring    bool          // false: loading, connecting or warming up
	Elapsed      time.Duration // of the stage
	OpsPerSecond float64       // since measuring began
}

// runs returns the options of each run, in order.
func (p *Plan) runs() (all []Options) {
	for _, connections := range p.Connections {
		for _, pipeline := range p.Pipelines {
			o := p.Options
			o.Connections, o.Pipeline = connections, pipeline
			all = append(all, p.round(o)...)
		}
	}
	return all
}

// round returns the runs of one combination, for all targets.
func (p *Plan) round(o Options) (all []Options) {
	outer, inner := p.Repeat, len(p.Targets)
	if !p.Interleave {
		outer, inner = inner, outer
	}
	for i := range outer {
		for j := range inner {
			o.Target = p.Targets[j%len(p.Targets)]
			if !p.Interleave {
				o.Target = p.Targets[i]
			}
			all = append(all, o)
		}
	}
	return all
}

// Check says whether all runs can be made. Errors: *UsageError.
func (p *Plan) Check() error {
	for _, o := range p.runs() {
		if _, err := newRunner(o); err != nil {
			return err
		}
	}
	return nil
}

// Run makes the runs in order and hands each report to each; watch, which may be nil, is called a
// few times a second. Tables that a run does not change are loaded once for each target.
// Errors: as Run's, and those of each, which end the plan.
func (p *Plan) Run(ctx context.Context, watch func(Status), each func(*Report) error) error {
	if err := p.Check(); err != nil {
		return err
	}
	runs := p.runs()
	loaded := map[Target]bool{}
	for i, o := range runs {
		o.Loaded = loaded[o.Target] && !opKinds[o.Op].changes
		r, err := newRunner(o)
		if err != nil {
			return err
		}
		stop := r.watched(watch, Status{Run: i + 1, Runs: len(runs), Options: r.options})
		report, err := r.runAll(ctx)
		stop()
		if err != nil {
			return err
		}
		loaded[o.Target] = true
		if err := each(report); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ErrInterrupted
		}
	}
	return nil
}

// runAll makes one run.
func (r *runner) runAll(ctx context.Context) (*Report, error) {
	defer r.close()
	if err := r.begin(ctx); err != nil {
		return nil, err
	}
	return r.measure(ctx)
}

// watched calls watch a few times a second until stop is called.
func (r *runner) watched(watch func(Status), s Status) (stop func()) {
	const often = 250 * time.Millisecond
	if watch == nil {
		return func() {}
	}
	r.live = &atomic.Pointer[live]{}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(often)
		defer ticker.Stop()
		began := time.Now()
		for {
			select {
			case <-done:
				return
			case now := <-ticker.C:
				s.Elapsed = now.Sub(began)
				if l := r.live.Load(); l != nil {
					s.Measuring, s.Elapsed = true, now.Sub(l.since)
					s.OpsPerSecond = float64(l.ops()) / s.Elapsed.Seconds()
				}
				watch(s)
			}
		}
	}()
	return func() {
		close(done)
		<-ended
	}
}

// live is what a current run has done since it began to measure.
type live struct {
	since time.Time
	loops []*eventLoop
}

func (l *live) ops() (sum uint64) {
	for _, loop := range l.loops {
		sum += loop.progress.Load()
	}
	return sum
}
