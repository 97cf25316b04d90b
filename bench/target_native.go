package bench

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/secure"
)

// template is a request with holes for id, key (or index) and value.
type template struct {
	frame   []byte
	keyAt   int // 0: none
	indexAt int // 0: none
	valueAt int // 0: none
}

// nativeWire speaks cyberdb-fast's frames (codec/PROTOCOL.md).
type nativeWire struct {
	table     string
	items     *items
	templates [opCount]template
	keys      keyring
}

func newNativeWire(table, password string, items *items) *nativeWire {
	w := &nativeWire{table: table, items: items, keys: keyring{password: password}}
	w.templates[OpGet] = w.template(codec.OpDictGet, true, false, false)
	w.templates[OpSet] = w.template(codec.OpDictSet, true, false, true)
	w.templates[OpAppend] = w.template(codec.OpListAppend, false, false, true)
	w.templates[OpIndex] = w.template(codec.OpListGet, false, true, false)
	return w
}

func (w *nativeWire) template(op codec.Opcode, key, index, value bool) (t template) {
	frame, _ := codec.BeginRequest(nil, &codec.Request{Op: op})
	frame = msgp.AppendString(frame, w.table)
	if key {
		frame = msgp.AppendString(frame, string(make([]byte, w.items.keyBytes)))
		t.keyAt = len(frame) - w.items.keyBytes
	}
	if index {
		const uint32Prefix = 0xce
		frame = append(frame, uint32Prefix, 0, 0, 0, 0)
		t.indexAt = len(frame) - 4
	}
	if value {
		frame = msgp.AppendString(frame, string(make([]byte, w.items.valueBytes)))
		t.valueAt = len(frame) - w.items.valueBytes
	}
	codec.EndFrame(frame, 0)
	t.frame = frame
	return t
}

func (w *nativeWire) ordered() bool { return false }

func (w *nativeWire) wants(op Op) replyKind {
	if op == OpGet || op == OpIndex {
		return replyValue
	}
	return replyOK
}

func (w *nativeWire) appendRequest(dst []byte, op Op, item, id uint32) []byte {
	t := &w.templates[op]
	at := len(dst)
	dst = append(dst, t.frame...)
	frame := dst[at:]
	binary.LittleEndian.PutUint32(frame[4:], id)
	if t.keyAt != 0 {
		w.items.putKey(frame[t.keyAt:], item)
	}
	if t.indexAt != 0 {
		binary.BigEndian.PutUint32(frame[t.indexAt:], item)
	}
	if t.valueAt != 0 {
		w.items.putValue(frame[t.valueAt:], item)
	}
	return dst
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
		text, _, _ := msgp.ReadStringZC(frame.Body) // without a text the status has to do
		r.fail(frame.Status.String(), text)
	}
	return n, nil
}

func (r *reply) fail(label string, text []byte) {
	r.kind, r.label, r.text = replyFailure, label, text
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

// controlID is the id of requests that go out alone.
const controlID = 1

func (w *nativeWire) control(op codec.Opcode, arguments ...byte) []byte {
	args := append(msgp.AppendString(nil, w.table), arguments...)
	return codec.AppendRequest(nil, &codec.Request{ID: controlID, Op: op, Args: args})
}

func (w *nativeWire) prepare(op Op, ask asker) error {
	there, err := ask(w.control(codec.OpExists))
	if err != nil {
		return err
	}
	if there.kind == replyTrue {
		if _, err := ask(w.control(codec.OpDrop)); err != nil {
			return err
		}
	}
	create := codec.OpCreateDict
	if op.usesList() {
		create = codec.OpCreateList
	}
	_, err = ask(w.control(create, msgp.AppendBool(nil, false)...))
	return err
}

func (w *nativeWire) entries(ask asker) (int64, error) {
	r, err := ask(w.control(codec.OpListLen))
	return r.number, err
}

func (w *nativeWire) open() (opening, error) {
	var nonce [32]byte
	if _, err := rand.Read(nonce[:]); err != nil {
		return nil, err
	}
	return &nativeOpening{secure.NewClient(w.keys.key, nonce)}, nil
}

// nativeOpening is the handshake of codec/secure.
type nativeOpening struct{ client *secure.Client }

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

// keyring derives the key from the password once and remembers it. It is safe for concurrent use.
type keyring struct {
	password string

	// guarded by mu
	mu     sync.Mutex
	kdf    secure.KDF
	secret []byte
}

func (k *keyring) key(kdf secure.KDF) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.secret != nil && k.kdf == kdf {
		return k.secret, nil
	}
	secret, err := kdf.Key(k.password)
	if err != nil {
		return nil, err
	}
	k.kdf, k.secret = kdf, secret
	return secret, nil
}
