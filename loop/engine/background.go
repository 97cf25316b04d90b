package engine

import (
	"errors"
	"log/slog"
	"math"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/value"
	"cyberdb-fast/shardmap"
)

const (
	// leastKeyMemory is how many bytes of arguments may be checked without counting the memory that
	// that takes.
	leastKeyMemory = 64 << 10
	// keyMemoryFactor is how many times the bytes of arguments their canonical keys take, and the
	// sets that find equal keys.
	keyMemoryFactor = 4
)

// Do executes a request however long it takes, and appends its complete reply to out. It is for
// goroutines that may be kept waiting: it waits for tables that other requests own, makes long
// reads, and saves. A panic becomes an error reply, with Result.Internal.
//
// Result.Outcome is Answered; AwaitsDisk: then the caller holds the reply back until all up to
// Result.LSN is on disk; or Waits: then there is no reply, and the caller executes the request
// again once Result.Wait has happened.
func (e *Engine) Do(out []byte, req *codec.Request) (reply []byte, result Result) {
	return e.DoFor(out, req, Origin{})
}

// DoFor is Do for a request of which its door knows this.
func (e *Engine) DoFor(out []byte, req *codec.Request, from Origin) (reply []byte, result Result) {
	log := e.TakeLog()
	defer e.PutLog(log)
	x := &Executor{engine: e, Origin: from, call: shardmap.Call{MayBlock: true, Memory: e.memory}}
	x.logTo(log)
	start := len(out)
	defer func() {
		if p := recover(); p != nil {
			err := e.ReportPanic("panic in the background", p, &x.call, slog.String("op", req.Op.String()))
			reply, result = x.fail(out[:start], req, err), x.Result
			result.Outcome = Answered
		}
	}()
	if working := keyMemory(req.Args); working > 0 {
		if err := e.env.Admission.Lend(working); err != nil {
			return x.fail(out, req, err), x.Result
		}
		defer e.env.Admission.Return(working)
	}
	return x.executeFully(out, req), x.Result
}

// executeFully executes a request to its end, and waits for its table as often as need be.
func (x *Executor) executeFully(out []byte, req *codec.Request) []byte {
	start := len(out)
	for {
		x.call.Time = x.engine.now()
		out = x.Execute(out[:start], req, nil)
		switch x.Outcome {
		case Answered, AwaitsDisk:
			return out
		case Waits:
			return out[:start]
		case Blocked:
			free := make(chan struct{})
			if _, waits := x.WhenFree(func() { close(free) }); waits {
				<-free
			}
		case Streams:
			x.Outcome = Answered
			return x.collect(out, req)
		case Background:
			x.Outcome = Answered
			return x.fail(out, req, errors.New("a request in the background is too long for that"))
		}
	}
}

// keyMemory returns the memory that checking the arguments and looking up keys takes. It is 0 if no
// argument is opened.
func keyMemory(args []byte) int {
	if len(args) <= leastKeyMemory {
		return 0
	}
	for b := args; len(b) > 0; {
		if value.IsComposite(b[0]) {
			return keyMemoryFactor * len(args)
		}
		_, n := value.Cost(b, value.UseCheck, math.MaxInt)
		b = b[n:]
	}
	return 0
}
