package bench

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/bytedance/sonic"
	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/secure"
)

// nativeWire speaks cyberdb-fast's frames (codec/PROTOCOL.md). What Redis has as keys or as fields
// of a hash is an entry of a dict here.
type nativeWire struct {
	items    *items
	tables   tables
	names    [][]byte // encoded
	password string
	encrypt  bool
}

func newNativeWire(tables tables, password string, encrypt bool, items *items) *nativeWire {
	w := &nativeWire{items: items, tables: tables, password: password, encrypt: encrypt}
	for _, name := range tables.names {
		w.names = append(w.names, msgp.AppendString(nil, name))
	}
	return w
}

func (w *nativeWire) ordered() bool { return false }

// nativeRequest is the frame of a request, its content after the table's name, and the kind of its
// reply.
type nativeRequest struct {
	code              codec.Opcode
	key, index, value bool
	number            int // sent if set
	reply             replyKind
}

const (
	increment = iota + 1
	zero
)

var nativeRequests = [opTotal]nativeRequest{
	OpGet:     {code: codec.OpDictGet, key: true, reply: replyValue},
	OpHGet:    {code: codec.OpDictGet, key: true, reply: replyValue},
	OpSet:     {code: codec.OpDictSet, key: true, value: true},
	OpHSet:    {code: codec.OpDictSet, key: true, value: true},
	OpIncr:    {code: codec.OpDictIncrement, key: true, number: increment, reply: replyNumber},
	OpHIncr:   {code: codec.OpDictIncrement, key: true, number: increment, reply: replyNumber},
	OpAppend:  {code: codec.OpListAppend, value: true},
	OpIndex:   {code: codec.OpListGet, index: true, reply: replyValue},
	OpInsert:  {code: codec.OpListInsert, index: true, value: true},
	OpPop:     {code: codec.OpListPop, reply: replyValue},
	OpPopLeft: {code: codec.OpListPopLeft, reply: replyValue},
	opZero:    {code: codec.OpDictSet, key: true, number: zero},
	opHZero:   {code: codec.OpDictSet, key: true, number: zero},
	opRead:    {code: codec.OpDictGet, key: true, reply: replyNumber},
	opHRead:   {code: codec.OpDictGet, key: true, reply: replyNumber},
}

func (w *nativeWire) wants(op Op) (replyKind, bool) {
	return nativeRequests[op].reply, nativeRequests[op].code != 0
}

func (w *nativeWire) appendRequest(dst []byte, op Op, item, id uint32) []byte {
	request := &nativeRequests[op]
	dst, at := codec.BeginRequest(dst, &codec.Request{ID: id, Op: request.code})
	dst = append(dst, w.names[w.tables.of(item)]...)
	if request.key {
		dst = w.items.appendKey(appendStringHead(dst, w.items.keyBytes(item)), item)
	}
	if request.index {
		const uint32Prefix = 0xce
		index := w.tables.index(item)
		if op == OpInsert {
			index = w.tables.middle
		}
		dst = binary.BigEndian.AppendUint32(append(dst, uint32Prefix), index)
	}
	if request.value {
		dst = w.items.appendValue(appendStringHead(dst, w.items.valueBytes(item)), item)
	}
	switch request.number {
	case increment:
		dst = append(dst, 1)
	case zero:
		dst = append(dst, 0)
	}
	codec.EndFrame(dst, at)
	return dst
}

// appendStringHead appends the header of a MessagePack string of n bytes.
func appendStringHead(dst []byte, n int) []byte {
	const fix, str8, str16, str32 = 0xa0, 0xd9, 0xda, 0xdb
	switch {
	case n < 1<<5:
		return append(dst, fix|byte(n))
	case n < 1<<8:
		return append(dst, str8, byte(n))
	case n < 1<<16:
		return append(dst, str16, byte(n>>8), byte(n))
	default:
		return binary.BigEndian.AppendUint32(append(dst, str32), uint32(n))
	}
}

func (w *nativeWire) parse(b []byte, r *reply) (int, error) {
	frame, n, err := codec.ParseReply(b)
	if err != nil {
		if errors.Is(err, codec.ErrShort) {
			return 0, nil
		}
		return 0, fmt.Errorf("%w: %w", errWire, err)
	}
	r.id = frame.ID
	switch frame.Status {
	case codec.StatusOK:
		r.readBody(&frame)
	case codec.StatusKeyError, codec.StatusIndexError:
		r.kind = replyMissing
	default:
		text, _, _ := msgp.ReadStringZC(frame.Body) // without a text, the status is the message
		r.fail(frame.Status.String(), text)
	}
	return n, nil
}

// readBody takes a reply's only value: a string, a boolean, an integer, or none.
func (r *reply) readBody(frame *codec.Reply) {
	if frame.Flags&codec.FlagMore != 0 {
		r.fail("reply", []byte("goes on in further frames"))
		return
	}
	body := frame.Body
	if len(body) == 0 {
		r.kind = replyOK
		return
	}
	var err error
	switch msgp.NextType(body) {
	case msgp.StrType:
		r.kind = replyValue
		r.text, body, err = msgp.ReadStringZC(body)
	case msgp.BoolType:
		var yes bool
		yes, body, err = msgp.ReadBoolBytes(body)
		r.kind = replyFalse
		if yes {
			r.kind = replyTrue
		}
	case msgp.IntType, msgp.UintType:
		r.kind = replyNumber
		r.number, body, err = msgp.ReadInt64Bytes(body)
	default:
		r.fail("reply", []byte("value of an unexpected type"))
		return
	}
	if err != nil || len(body) != 0 {
		r.fail("reply", []byte("body is not one value"))
	}
}

// controlID is the id of requests that are sent alone.
const controlID = 1

func (w *nativeWire) control(table string, op codec.Opcode, arguments ...byte) []byte {
	args := append(msgp.AppendString(nil, table), arguments...)
	return codec.AppendRequest(nil, &codec.Request{ID: controlID, Op: op, Args: args})
}

func (w *nativeWire) prepare(op Op, ask asker) error {
	create := codec.OpCreateDict
	if op.usesList() {
		create = codec.OpCreateList
	}
	for _, name := range w.tables.names {
		there, err := ask(w.control(name, codec.OpExists))
		if err != nil {
			return err
		}
		if there.kind == replyTrue {
			if _, err := ask(w.control(name, codec.OpDrop)); err != nil {
				return err
			}
		}
		if _, err = ask(w.control(name, create, msgp.AppendBool(nil, false)...)); err != nil {
			return err
		}
	}
	return nil
}

func (w *nativeWire) entries(ask asker) (total int64, err error) {
	for _, name := range w.tables.names {
		r, err := ask(w.control(name, codec.OpListLen))
		if err != nil {
			return 0, err
		}
		total += r.number
	}
	return total, nil
}

func (w *nativeWire) version(ask asker) (string, error) {
	r, err := ask(codec.AppendRequest(nil, &codec.Request{ID: controlID, Op: codec.OpInfo}))
	if err != nil {
		return "", err
	}
	var info struct {
		Version    string `json:"version"`
		EventLoops int    `json:"event_loops"`
	}
	err = sonic.Unmarshal(r.text, &info)
	return fmt.Sprintf("cyberdb-fast %s, %d event loops", cmp.Or(info.Version, "without version"), info.EventLoops), err
}

func (w *nativeWire) open() (opening, error) {
	return &nativeOpening{
		secure.NewClient(secure.ClientConfig{Key: w.sharedKey, Encrypt: w.encrypt}, secure.NewEphemeral()),
	}, nil
}

// nativeOpening is the handshake of codec/secure.
type nativeOpening struct{ client *secure.Client }

func (o *nativeOpening) records() (*secure.Sealer, *secure.Opener) { return o.client.Records() }

func (o *nativeOpening) begin(out []byte) []byte { return o.client.Hello(out) }

func (o *nativeOpening) advance(in, out []byte) (used int, answer []byte, done bool, err error) {
	for !o.client.Done() {
		var n int
		n, out, err = o.client.Next(in[used:], out)
		if errors.Is(err, secure.ErrShort) {
			return used, out, false, nil
		}
		if err != nil {
			return used, out, false, err
		}
		used += n
	}
	return used, out, true, nil
}

// keyring derives the key of each password once and remembers it for all runs of the process. It is
// safe for concurrent use.
var keyring = struct {
	sync.Mutex
	secrets map[credentials][]byte
}{secrets: map[credentials][]byte{}}

type credentials struct {
	password string
	kdf      secure.KDF
}

// sharedKey is the key of the wire's password under the server's parameters.
func (w *nativeWire) sharedKey(kdf secure.KDF) ([]byte, error) {
	keyring.Lock()
	defer keyring.Unlock()
	login := credentials{w.password, kdf}
	if secret, known := keyring.secrets[login]; known {
		return secret, nil
	}
	secret, err := kdf.Key(w.password)
	if err == nil {
		keyring.secrets[login] = secret
	}
	return secret, err
}
