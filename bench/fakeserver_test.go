package bench

import (
	"bytes"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"testing"

	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/secure"
)

const fakePassword = "swordfish"

var (
	fakeKDF = secure.KDF{LogN: secure.MinLogN}
	fakeKey = sync.OnceValues(func() ([]byte, error) { return fakeKDF.Key(fakePassword) })
)

// fakeServer is a native server, enough for the generator, that can give wrong replies.
type fakeServer struct {
	// constant after start
	key []byte
	// tamper changes the bytes of one reply before they go out; nil: honest. What it gets belongs
	// to it.
	tamper func(req codec.Request, reply []byte) []byte
	// cut is the most bytes of one write; 0: no limit
	cut int
	// encrypt as a server with --encrypt does
	encrypt bool

	// guarded by mu
	mu     sync.Mutex
	tables map[string]*fakeTable
}

type fakeTable struct {
	dict map[string][]byte
	list [][]byte
}

// start serves on the listener until the test ends.
func (s *fakeServer) start(t testing.TB, listener net.Listener) {
	t.Helper()
	served := make(chan error, 1)
	go func() { served <- s.serveAll(listener) }()
	t.Cleanup(func() {
		listener.Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
}

// serveAll serves until the listener is closed and every client has gone.
func (s *fakeServer) serveAll(listener net.Listener) (err error) {
	if s.key, err = fakeKey(); err != nil {
		return err
	}
	var serving sync.WaitGroup
	defer serving.Wait()
	for {
		conn, err := listener.Accept()
		if err != nil {
			return nil
		}
		serving.Go(func() { s.serve(conn) })
	}
}

// startFake starts a server on a free loopback port and returns options for a short run against it.
func startFake(t testing.TB, s *fakeServer) Options {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.start(t, listener)
	return shortRun(Target{Scheme: SchemeNative, Network: "tcp", Address: listener.Addr().String()})
}

func (s *fakeServer) serve(conn net.Conn) {
	defer conn.Close()
	handshake := secure.NewServer(&secure.ServerConfig{
		Key: s.key, KDF: fakeKDF, Limits: secure.Limits{MaxFrameBytes: codec.MaxFrameBytes}, Encrypt: s.encrypt,
	}, secure.NewEphemeral())
	var input []byte
	for !handshake.Done() {
		used, out, err := answerOpening(handshake, input)
		input = append(input[:0], input[used:]...)
		if !s.write(conn, out) || err != nil || handshake.Done() {
			break
		}
		if input, err = readSome(conn, input); err != nil {
			return
		}
	}
	from, seal := io.Reader(conn), func(out []byte) ([]byte, error) { return out, nil }
	if sealer, opener := handshake.Records(); handshake.Done() && sealer != nil {
		from, seal = secure.NewReader(
			conn,
			opener,
			input,
		), func(out []byte) ([]byte, error) { return sealer.Seal(nil, out) }
		input = nil
	}
	for handshake.Done() {
		used, out, ok := s.answer(input)
		input = append(input[:0], input[used:]...)
		out, err := seal(out)
		if err != nil || !s.write(conn, out) || !ok {
			return
		}
		if input, err = readSome(from, input); err != nil {
			return
		}
	}
}

func readSome(from io.Reader, input []byte) ([]byte, error) {
	buffer := make([]byte, 64<<10)
	for i := 0; i < len(buffer); i += 4096 {
		// resident: memory per connection stands out from what else the system does with the
		// process
		buffer[i] = 1
	}
	n, err := from.Read(buffer)
	return append(input, buffer[:n]...), err
}

// answerOpening takes what it can of the handshake from the front of input. Errors: the connection
// ends.
func answerOpening(handshake *secure.Server, input []byte) (used int, out []byte, err error) {
	for !handshake.Done() {
		var n int
		n, out, err = handshake.Next(input[used:], out)
		used += n
		switch {
		case errors.Is(err, secure.ErrCompute):
			handshake.Compute()
		case errors.Is(err, secure.ErrShort):
			return used, out, nil
		case err != nil:
			return used, out, err
		}
	}
	return used, out, nil
}

func (s *fakeServer) write(conn net.Conn, out []byte) bool {
	for len(out) > 0 {
		n := len(out)
		if s.cut > 0 {
			n = min(n, s.cut)
		}
		if _, err := conn.Write(out[:n]); err != nil {
			return false
		}
		out = out[n:]
	}
	return true
}

// answer takes what requests it can from the front of input; ok is false when the connection ends.
func (s *fakeServer) answer(input []byte) (used int, out []byte, ok bool) {
	for {
		req, n, err := codec.ParseRequest(input[used:])
		if err != nil {
			return used, out, errors.Is(err, codec.ErrShort)
		}
		used += n
		reply := s.execute(req)
		if s.tamper != nil {
			if reply = s.tamper(req, reply); reply == nil {
				return used, out, false
			}
		}
		out = append(out, reply...)
	}
}

func (s *fakeServer) execute(req codec.Request) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	status, body := s.apply(req)
	reply, at := codec.BeginReply(nil, req.ID, status)
	if status == codec.StatusOK {
		reply = append(reply, body...)
	} else {
		reply = codec.AppendErrorBody(reply, &codec.Error{Status: status, Message: "no"})
	}
	codec.EndFrame(reply, at)
	return reply
}

func (s *fakeServer) apply(req codec.Request) (codec.Status, []byte) {
	if req.Op == codec.OpInfo {
		return codec.StatusOK, msgp.AppendString(nil, `{"version":"fake"}`)
	}
	name, args, err := msgp.ReadStringBytes(req.Args)
	if err != nil {
		return codec.StatusBadArguments, nil
	}
	table := s.tables[name]
	switch {
	case req.Op == codec.OpExists:
		return codec.StatusOK, msgp.AppendBool(nil, table != nil)
	case req.Op == codec.OpCreateDict || req.Op == codec.OpCreateList:
		if table != nil {
			return codec.StatusTableExists, nil
		}
		if s.tables == nil {
			s.tables = map[string]*fakeTable{}
		}
		s.tables[name] = &fakeTable{dict: map[string][]byte{}}
		return codec.StatusOK, msgp.AppendBool(nil, true)
	case table == nil:
		return codec.StatusNoSuchTable, nil
	case req.Op == codec.OpDrop:
		delete(s.tables, name)
		return codec.StatusOK, nil
	case req.Op == codec.OpDictLen:
		return codec.StatusOK, msgp.AppendInt(nil, len(table.dict))
	case req.Op >= codec.OpListAppend:
		return table.applyList(req.Op, args)
	}
	return table.applyDict(req.Op, args)
}

func (s *fakeTable) applyDict(op codec.Opcode, args []byte) (codec.Status, []byte) {
	key, args, err := msgp.ReadStringBytes(args)
	if err != nil {
		return codec.StatusBadArguments, nil
	}
	value, there := s.dict[key]
	switch op {
	case codec.OpDictSet:
		s.dict[key] = bytes.Clone(args)
		return codec.StatusOK, nil
	case codec.OpDictGet:
		if !there {
			return codec.StatusKeyError, nil
		}
		return codec.StatusOK, value
	case codec.OpDictIncrement:
		by, _, err := msgp.ReadIntBytes(args)
		before, _, err2 := msgp.ReadIntBytes(value)
		if err != nil || (there && err2 != nil) {
			return codec.StatusTypeError, nil
		}
		s.dict[key] = msgp.AppendInt(nil, before+by)
		return codec.StatusOK, s.dict[key]
	}
	return codec.StatusUnknownOpcode, nil
}

func (s *fakeTable) applyList(op codec.Opcode, args []byte) (codec.Status, []byte) {
	last := len(s.list) - 1
	switch op {
	case codec.OpListAppend:
		s.list = append(s.list, bytes.Clone(args))
		return codec.StatusOK, nil
	case codec.OpListGet, codec.OpListInsert:
		index, args, err := msgp.ReadIntBytes(args)
		if err != nil || index > last {
			return codec.StatusIndexError, nil
		}
		if op == codec.OpListInsert {
			s.list = slices.Insert(s.list, index, bytes.Clone(args))
			return codec.StatusOK, nil
		}
		return codec.StatusOK, s.list[index]
	case codec.OpListPop, codec.OpListPopLeft:
		if last < 0 {
			return codec.StatusIndexError, nil
		}
		at := last
		if op == codec.OpListPopLeft {
			at = 0
		}
		value := s.list[at]
		s.list = slices.Delete(s.list, at, at+1)
		return codec.StatusOK, value
	case codec.OpListLen:
		return codec.StatusOK, msgp.AppendInt(nil, len(s.list))
	}
	return codec.StatusUnknownOpcode, nil
}
