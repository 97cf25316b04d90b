package loop

import (
	"errors"
	"strings"
	"testing"
	"time"

	"cyberdb-fast/codec"
)

// halfFrame sends all but the last byte of a request that sets a value of n bytes.
func halfFrame(w *wire, n int) {
	w.Helper()
	frame := w.request(codec.OpDictSet, "d", "half", make([]byte, n))
	w.write(frame[:len(frame)-1])
}

// bufferedBytes waits until so many bytes of input are buffered.
func bufferedBytes(t *testing.T, srv *Server, least, most int64) {
	t.Helper()
	within(t, testTimeout, func() error {
		if n := srv.Info().BufferedInputBytes; n < least || n > most {
			return errors.New("not so many bytes are buffered")
		}
		return nil
	})
}

// TestPartialFrameBudget: the partial frames of all clients together have a limit. A client that
// would exceed it gets an error and is closed; the others continue.
func TestPartialFrameBudget(t *testing.T) {
	t.Parallel()
	const limit, each = 16 << 20, 3 << 20
	srv := startLimited(t, nil, func(l *limits) { l.inputBytes, l.inputTime = limit, time.Second })
	other := dial(t, srv)
	other.ok(codec.OpCreateDict, "d", false)
	var halves []*wire
	for range 2 {
		w := dial(t, srv)
		halfFrame(w, each)
		halves = append(halves, w)
	}
	bufferedBytes(t, srv, 2*each-100, 3*each)
	for i, w := range halves { // they are complete: their room is free
		w.write([]byte{0})
		if reply, err := w.reply(); err != nil || reply.Status != codec.StatusOK {
			t.Fatalf("client %d: %v, %v", i, reply.Status, err)
		}
	}
	bufferedBytes(t, srv, 0, 0)

	greedy := dial(t, srv)
	frame := greedy.request(codec.OpDictSet, "d", "greedy", make([]byte, limit+8<<20))
	_ = greedy.conn.SetWriteDeadline(time.Now().Add(5 * time.Second))
	for rest := frame; len(rest) > 0; { // it ends in between
		n, err := greedy.conn.Write(rest[:min(len(rest), 1<<20)])
		if err != nil {
			break
		}
		rest = rest[n:]
		other.ok(codec.OpPing)
	}
	if reply, err := greedy.reply(); err == nil { // it is lost if the client has sent more than was read
		e, err := codec.ParseErrorBody(reply.Status, reply.Body)
		if err != nil || e.Status != codec.StatusOverloaded || reply.ID != greedy.id ||
			!strings.Contains(e.Message, "16 MiB") {
			t.Errorf("request %d: %v, %v", reply.ID, e, err)
		}
	}
	if !greedy.closed() {
		t.Error("the connection stays open")
	}
	if got := other.ok(codec.OpDictContains, "d", "greedy"); got[0] != false {
		t.Error("half a request took effect")
	}
	if info := srv.Info(); info.Overrun != 1 || info.BufferedInputBytes != 0 {
		t.Errorf("%d overrun, %d buffered", info.Overrun, info.BufferedInputBytes)
	}
}

// TestPartialFramesExpire: old partial frames close their connections once there is little room for
// others, and not before.
func TestPartialFramesExpire(t *testing.T) {
	t.Parallel()
	const limit = 16 << 20
	srv := startLimited(t, nil, func(l *limits) { l.inputBytes, l.inputTime = limit, time.Second })
	other := dial(t, srv)
	other.ok(codec.OpCreateDict, "d", false)
	old := dial(t, srv)
	halfFrame(old, 5<<20)
	bufferedBytes(t, srv, 5<<20, 6<<20)
	for end := time.Now().Add(1500 * time.Millisecond); time.Now().Before(end); {
		other.ok(codec.OpPing)
	}
	if n := srv.Info().Overrun; n != 0 {
		t.Fatal("closed while there is room")
	}
	young := dial(t, srv)
	halfFrame(young, 5<<20)
	if reply, err := old.reply(); err != nil || reply.Status != codec.StatusOverloaded || reply.ID != old.id {
		t.Errorf("the old one: %v, %v", reply.Status, err)
	}
	if !old.closed() {
		t.Error("the connection stays open")
	}
	young.write([]byte{0})
	if reply, err := young.reply(); err != nil || reply.Status != codec.StatusOK {
		t.Errorf("the young one: %v, %v", reply.Status, err)
	}
	bufferedBytes(t, srv, 0, 0)
}

// TestBackgroundRequestsCounted: large requests that wait in the background are counted too. One
// for which there is no room gets an error, and its connection stays usable.
func TestBackgroundRequestsCounted(t *testing.T) {
	t.Parallel()
	const limit, each, room, clients = 16 << 20, 2 << 20, 7, 10
	srv := startLimited(t, nil, func(l *limits) { l.inputBytes, l.inputTime = limit, time.Second })
	tokens := []chan struct{}{srv.processors, srv.extraShort, srv.extraLong}
	for _, c := range tokens { // nothing runs in the background
		for range cap(c) {
			c <- struct{}{}
		}
	}
	dial(t, srv).ok(codec.OpCreateDict, "d", false)
	var waiting, refused []*wire
	for i := range clients {
		w := dial(t, srv)
		frame := w.request(codec.OpDictSet, "d", i, make([]byte, each))
		if i < room {
			w.write(frame)
			bufferedBytes(t, srv, int64(i+1)*each, int64(i+1)*(each+100))
			waiting = append(waiting, w)
			continue
		}
		// There is room for all but its last bytes: it is the whole request that finds none.
		const last = 700
		w.write(frame[:len(frame)-last])
		bufferedBytes(t, srv, (room+1)*each-last, limit)
		w.write(frame[len(frame)-last:])
		if reply, err := w.reply(); err != nil || reply.Status != codec.StatusOverloaded || reply.ID != w.id {
			t.Fatalf("client %d: %v, %v", i, reply.Status, err)
		}
		refused = append(refused, w)
	}
	for _, c := range tokens {
		for range cap(c) {
			<-c
		}
	}
	for i, w := range waiting {
		if reply, err := w.reply(); err != nil || reply.Status != codec.StatusOK {
			t.Errorf("client %d: %v, %v", i, reply.Status, err)
		}
	}
	for i, w := range refused {
		w.ok(codec.OpDictSet, "d", room+i, make([]byte, each))
	}
	bufferedBytes(t, srv, 0, 0)
}
