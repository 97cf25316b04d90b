package engine_test

import (
	"log/slog"
	"testing"

	"cyberdb-fast/codec"
	"cyberdb-fast/loop/engine"
	"cyberdb-fast/shardmap"
)

// TestWaits: a command that calls WaitFor gets no reply, on a door and in the background, and is
// told how long it has waited when it is executed again. Replay refuses to wait.
func TestWaits(t *testing.T) {
	t.Parallel()
	const opWait, opNothing = 0xfd, 0xfe
	commands := engine.Protocol()
	commands[opWait] = engine.Command{Mutates: true, Run: func(x *engine.Executor) error {
		if x.Waited >= 70 {
			return nil
		}
		return x.WaitFor(engine.Wait{Within: 70 - x.Waited})
	}}
	commands[opNothing] = engine.Command{Run: func(x *engine.Executor) error { return x.WaitFor(engine.Wait{}) }}
	d := newDoor(t, func(env *engine.Env) { env.Commands = commands })
	req := d.request(codec.Request{Op: opWait})
	for waited, left := range map[int64]int64{0: 70, 30: 40, 70: 0, 900: 0} {
		d.exec.Waited = waited
		out := d.exec.Execute([]byte("kept"), req, nil)
		d.exec.Waited = 0
		_, result := d.engine.DoFor(nil, req, engine.Origin{Waited: waited})
		for _, r := range []engine.Result{d.exec.Result, result} {
			switch {
			case left == 0 && r.Outcome != engine.Answered:
				t.Errorf("after %d ms: outcome %d", waited, r.Outcome)
			case left > 0 && (r.Outcome != engine.Waits || r.Wait.Within != left || string(out) != "kept"):
				t.Errorf("after %d ms: outcome %d, wait %+v, reply %q", waited, r.Outcome, r.Wait, out)
			}
		}
	}
	d.execute(d.request(codec.Request{Op: opNothing}), nil)
	if d.exec.Outcome != engine.Answered || d.exec.Status != codec.StatusInternal {
		t.Errorf("a wait for nothing: outcome %d, %v", d.exec.Outcome, d.exec.Status)
	}
	r := engine.NewReplayer(engine.Env{
		Store: shardmap.NewStore(), Logger: slog.New(slog.DiscardHandler), Commands: commands,
	})
	if err := r.Apply(engine.Operation{LSN: 1, N: 1, Request: []byte{opWait, 0}}); err == nil {
		t.Error("a request that waits is replayed")
	}
}
