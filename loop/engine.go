package loop

import (
	"github.com/bytedance/sonic"

	"cyberdb-fast/loop/engine"
	"cyberdb-fast/persist"
	"cyberdb-fast/shardmap"
)

// The engine announces every change that persist needs to know ahead: this does not compile if the
// engine's bound is above persist's.
const _ = uint(persist.LargeOperationBytes - engine.AnnouncedBytes)

// startEngine makes the engine, once the store and the files are there.
func (srv *Server) startEngine() {
	env := engine.Env{
		Store: srv.store, Logger: srv.log, Commands: srv.cfg.Commands, Admission: admission{srv},
		Now: srv.now, Info: func() ([]byte, error) { return sonic.Marshal(srv.Info()) },
		Sections: srv.sections(), Pace: srv.paceDigest, MessageBytes: srv.limits.messageBytes,
	}
	switch {
	case srv.journal != nil:
		env.Journal = requestJournal{srv.journal, srv}
		env.Changes = func() shardmap.Log { return srv.journal.Buffer() }
	case srv.cfg.NewLog != nil:
		env.Changes = srv.cfg.NewLog
	}
	if srv.cfg.Data.File != "" {
		env.Save = srv.Save
	}
	srv.engine = engine.New(env)
}

// requestJournal is the journal as the engine sees it.
type requestJournal struct {
	*persist.Journal
	srv *Server
}

// Waits implements engine.Journal.
func (j requestJournal) Waits(demanded bool) bool { return j.srv.mustWait(demanded, 0) }

// admission implements engine.Admission.
type admission struct{ srv *Server }

func (a admission) Change() error         { return a.srv.writable() }
func (a admission) Grow(bytes int) error  { return a.srv.memory.admit(bytes) }
func (a admission) Evict(bytes int) int   { return a.srv.memory.toEvict(bytes) }
func (a admission) Evicted(bytes int)     { a.srv.memory.freed.Add(int64(bytes)) }
func (a admission) Lend(bytes int) error  { return a.srv.memory.Lend(bytes) }
func (a admission) Return(bytes int)      { a.srv.memory.Return(bytes) }
func (a admission) CountOutput(bytes int) { a.srv.replies.bytes.Add(int64(bytes)) }
func (a admission) LargeReply() (err error) {
	if a.srv.replies.overLimit() {
		err = a.srv.replies.limitError()
	}
	return err
}
