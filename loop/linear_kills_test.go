package loop

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"cyberdb-fast/codec"
	"cyberdb-fast/loop/engine/conformance"
)

// killedServer is a server process that syncs before it replies. Killed, it starts again on its
// files.
type killedServer struct {
	*testing.T
	file  string
	fault string // of a build with the tag "broken"; "": none

	mu     sync.RWMutex // held while it is killed and started
	server serverProcess
}

func (k *killedServer) start() {
	p := startProcess(k.T, "server", maxConnsEnv+"=100", dataEnv+"="+k.file, faultEnv+"="+k.fault)
	k.server = serverProcess{p, p.line()}
}

// dial connects, once the server serves.
func (k *killedServer) dial() (*wire, error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.server.tryDial()
}

// ok makes a request that must succeed. Only the test's goroutine may call it, start and kill.
func (k *killedServer) ok(op codec.Opcode, args ...any) {
	k.Helper()
	w, err := (&noter{course: &course{dial: k.dial}}).connect()
	if err != nil {
		k.Fatal(err)
	}
	defer func() { _ = w.conn.Close() }()
	w.ok(op, args...)
}

// kill kills the server and starts it again. It returns when it was dead.
func (k *killedServer) kill() time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.server.kill()
	killed := time.Now()
	k.start()
	return killed
}

// certain leaves out what may have read a change that the kill undid, before a reply told of
// it: other clients may read a change a moment before it is on disk.
func certain(ops []porcupine.Operation, killed int64) (all []porcupine.Operation) {
	undone := noReply
	for _, op := range ops {
		if op.Return == noReply {
			undone = min(undone, op.Call)
		}
	}
	for _, op := range ops {
		if op.Call > killed || op.Return < undone || op.Return == noReply || isChange(op) {
			all = append(all, op)
		}
	}
	return all
}

// isChange reports whether a reply was sent when a change was on disk.
func isChange(op porcupine.Operation) bool {
	out := op.Output.(linearOutput)
	switch op.Input.(timedInput).op {
	case codec.OpLockHolders, codec.OpDictGet, codec.OpListAll:
		return false
	case codec.OpUnlock:
		return out.vals[0] == 1
	}
	return out.status == codec.StatusOK && !slices.Contains(out.vals, absentInt)
}

// killHistories makes histories of locks and of queues, in each of which the server is killed,
// until one has no order, which it returns.
func killHistories(t *testing.T, fault string, kills int) (wrong []porcupine.Operation) {
	t.Helper()
	seed := conformance.Seed(t)
	k := &killedServer{T: t, file: filepath.Join(t.TempDir(), "data.cdb"), fault: fault}
	k.start()
	k.ok(codec.OpCreateDict, "d", false)
	rng := rand.New(rand.NewPCG(seed, 0))
	var v verdicts
	for round := range kills {
		courses := make([]course, 4)
		for i := range courses {
			courses[i] = course{T: t, dial: k.dial, clients: 3, seed: seed + uint64(4*round+i), longest: 400}
		}
		pause := time.Duration(3+rng.IntN(15)) * time.Millisecond
		histories, killed := k.killWithin(courses, fmt.Sprint(round, " "), pause)
		for i, ops := range histories {
			model := []porcupine.Model{lockModel, queueModel}[i%2]
			if ops = certain(ops, int64(killed.Sub(courses[i].start))); !v.check(model, ops) {
				return ops
			}
		}
	}
	v.enough(t)
	return nil
}

// killWithin makes histories at once, of locks and of queues by turns, each of the table with the
// name and its number, and kills the server after a pause, once each history has begun. It returns
// when it was dead.
func (k *killedServer) killWithin(
	courses []course, name string, pause time.Duration,
) (histories [][]porcupine.Operation, killed time.Time) {
	k.Helper()
	for i := 1; i < len(courses); i += 2 {
		k.ok(codec.OpCreateList, fmt.Sprint(name, i), false)
	}
	histories, failed := make([][]porcupine.Operation, len(courses)), make([]error, len(courses))
	var running sync.WaitGroup
	defer running.Wait() // if the server does not start again, too
	for i := range courses {
		history := lockHistoryToTheEnd
		if i%2 == 1 {
			history = queueHistory
		}
		running.Go(func() { histories[i], failed[i] = history(&courses[i], fmt.Sprint(name, i)) })
	}
	within(k.T, testTimeout, func() error {
		for i := range courses {
			if courses[i].answered.Load() == 0 {
				return fmt.Errorf("history %d has not begun", i)
			}
		}
		return nil
	})
	time.Sleep(pause) // a random moment, not a wait
	killed = k.kill()
	running.Wait()
	if err := errors.Join(failed...); err != nil {
		k.Fatal(err)
	}
	return histories, killed
}

// lockHistoryToTheEnd is lockHistory, whose last request shows the holders when all leases are
// over.
func lockHistoryToTheEnd(h *course, name string) ([]porcupine.Operation, error) {
	ops, err := lockHistory(h, name)
	if err != nil {
		return nil, err
	}
	c := &lockClient{noter: h.noter(0), name: name}
	defer c.close()
	time.Sleep(time.Duration(h.longest)*time.Millisecond + time.Duration(2*leaseSlack)) // the leases
	in := timedInput{linearInput: linearInput{codec.OpLockHolders, nil}}
	_, _, err = c.ask(in, &codec.Request{Op: in.op, Args: encodeArgs(c, name)}, c.output(in.op))
	return append(ops, c.ops...), err
}

// TestKillsLinearizable: what is acknowledged before a kill of the server is so after it. Locks and
// items have no second owner before their leases end, which the kill does not change, fences and
// receipts grow, and no item is lost.
func TestKillsLinearizable(t *testing.T) {
	t.Parallel()
	kills := 2
	if conformance.Long() {
		kills = 300
	}
	if wrong := killHistories(t, "", kills); wrong != nil {
		t.Errorf("a history has no order:\n%s", textOf(wrong))
	}
}
