package bench

import (
	"errors"
	"fmt"
	"sync"

	"cyberdb-fast/codec/legacy"
	"cyberdb-fast/codec/pickle"
)

// legacyWire speaks the wire of the original CyberDB, a Python package: requests and replies are
// pickles of dicts, each announced by a number of blocks that the receiver answers with the word
// "ready". So a request takes six messages, one after the other:
//
//	client    N              blocks of 4096 bytes that the request fills
//	server    "ready"
//	client    the request    {"route": ..., ..., "password": ...}
//	server    N
//	client    "ready"
//	server    the reply      {"code": 1, "content": ..., "password": ...}
//
// There is no pipelining. Encrypted, each message is a pickle of {"content": pickle} under a key
// stream that is the same for every message.
type legacyWire struct {
	items    *items
	tables   tables
	password string
	cipher   *legacy.Cipher // nil: plain

	fronts [opTotal][][]byte // of a request's pickle, up to the table's name, by table
	tail   []byte            // of every request's: the password
	ready  []byte            // the message "ready"
}

// legacyBlock is the size that N counts in.
const legacyBlock = 4096

// legacyRoom is the size up to which a request is made without an allocation.
const legacyRoom = 512

func newLegacyWire(tables tables, password string, encrypted bool, items *items) (*legacyWire, error) {
	w := &legacyWire{items: items, tables: tables, password: password}
	if encrypted {
		cipher, err := legacy.NewCipher(password)
		if err != nil {
			return nil, err
		}
		w.cipher = cipher
	}
	for op, r := range legacyRequests {
		for _, name := range tables.names {
			front := pickle.AppendDict(pickle.Begin(nil))
			for _, text := range []string{"route", r.route, "table_name", name} {
				front = pickle.AppendText(front, text)
			}
			w.fronts[op] = append(w.fronts[op], front)
		}
	}
	w.tail = pickle.End(pickle.EndDict(pickle.AppendText(pickle.AppendText(nil, "password"), password)))
	w.ready = w.seal(nil, pickle.End(pickle.AppendText(pickle.Begin(nil), legacyReady)))
	return w, nil
}

func (w *legacyWire) ordered() bool { return true }

// legacyRequest is the route of a request, and its content after the table's name.
type legacyRequest struct {
	route      string
	key, value bool
	reply      replyKind
}

var legacyRequests = [opTotal]legacyRequest{
	OpGet:    {"/cyberdict/getitem", true, false, replyValue},
	OpHGet:   {"/cyberdict/getitem", true, false, replyValue},
	OpSet:    {"/cyberdict/setitem", true, true, replyOK},
	OpHSet:   {"/cyberdict/setitem", true, true, replyOK},
	OpAppend: {"/cyberlist/append", false, true, replyOK},
}

func (w *legacyWire) wants(op Op) (replyKind, bool) {
	return legacyRequests[op].reply, legacyRequests[op].route != ""
}

// appendRequest appends the first message alone.
func (w *legacyWire) appendRequest(dst []byte, op Op, item, _ uint32) []byte {
	var room [legacyRoom]byte
	return w.appendCount(dst, len(w.appendBody(room[:0], op, item)))
}

// appendCount announces a message of that many bytes.
func (w *legacyWire) appendCount(dst []byte, size int) []byte {
	var room [8]byte
	return w.seal(dst, pickle.End(pickle.AppendInt(pickle.Begin(room[:0]), int64((size+legacyBlock-1)/legacyBlock))))
}

func (w *legacyWire) appendBody(dst []byte, op Op, item uint32) []byte {
	var room [legacyRoom]byte
	r := &legacyRequests[op]
	body := append(room[:0], w.fronts[op][w.tables.of(item)]...)
	if r.key {
		body = w.items.appendKey(pickle.AppendTextHeader(pickle.AppendText(body, "key"), w.items.keyBytes(item)), item)
	}
	if r.value {
		body = w.items.appendValue(
			pickle.AppendTextHeader(pickle.AppendText(body, "value"), w.items.valueBytes(item)),
			item,
		)
	}
	return w.seal(dst, append(body, w.tail...))
}

// appendDict appends a request of these fields, the password and, if it is not nil, a pickled
// content.
func (w *legacyWire) appendDict(dst, content []byte, fields ...string) []byte {
	body := pickle.AppendDict(pickle.Begin(nil))
	for _, text := range append(fields, "password", w.password) {
		body = pickle.AppendText(body, text)
	}
	if content != nil {
		body = append(pickle.AppendText(body, "content"), content...)
	}
	return w.seal(dst, pickle.End(pickle.EndDict(body)))
}

// seal appends a pickle as a message.
func (w *legacyWire) seal(dst, message []byte) []byte {
	if w.cipher == nil {
		return append(dst, message...)
	}
	at := len(dst)
	dst = pickle.AppendText(pickle.AppendDict(pickle.Begin(dst)), "content")
	dst = pickle.End(pickle.EndDict(pickle.AppendBytes(dst, message)))
	w.cipher.XOR(dst[at:], 0)
	return dst
}

func (w *legacyWire) appendStep(dst []byte, r *reply, op Op, item uint32) []byte {
	if string(r.text) == legacyReady {
		return w.appendBody(dst, op, item)
	}
	return append(dst, w.ready...)
}

const legacyReady = "ready"

// legacyReader is the memory for reading a message.
type legacyReader struct {
	plain        []byte
	outer, inner pickle.Unpickler
}

var legacyReaders = sync.Pool{New: func() any { return &legacyReader{} }}

// message reads the message at the front of b, which must be plain; n is 0 if it is incomplete.
// Errors: errWire, wrapped.
func (r *legacyReader) message(b []byte, c *legacy.Cipher) (root pickle.Object, n int, err error) {
	if c != nil {
		r.plain = append(r.plain[:0], b...)
		b = r.plain
		c.XOR(b, 0)
	}
	root, n, err = r.outer.Parse(b)
	if err == nil && c != nil {
		content := root.Field("content")
		if content.IsZero() || content.Kind() != pickle.Bytes {
			return root, 0, fmt.Errorf("%w: an encrypted message without content", errWire)
		}
		root, _, err = r.inner.Parse(content.Text())
	}
	switch {
	case errors.Is(err, pickle.ErrShort):
		return root, 0, nil
	case err != nil:
		return root, 0, fmt.Errorf("%w: %w", errWire, err)
	}
	return root, n, nil
}

func (w *legacyWire) parse(b []byte, r *reply) (int, error) {
	reader := legacyReaders.Get().(*legacyReader)
	defer legacyReaders.Put(reader)
	message, n, err := reader.message(b, w.cipher)
	if err != nil || n == 0 {
		return 0, err
	}
	return n, r.readLegacy(message)
}

// readLegacy reads the content of a message.
func (r *reply) readLegacy(message pickle.Object) error {
	if number, isInt := message.Int(); isInt {
		r.kind, r.number, r.text = replyStep, number, nil
		return nil
	}
	switch message.Kind() {
	case pickle.Str:
		r.kind, r.text = replyStep, message.Text()
		return nil
	case pickle.Dict:
	default:
		return fmt.Errorf("%w: a pickle of another kind", errWire)
	}
	code, content, exception := message.Field("code"), message.Field("content"), message.Field("Exception")
	switch {
	case !exception.IsZero() && exception.TypeName() == "KeyError":
		r.kind = replyMissing
		return nil
	case !exception.IsZero():
		r.fail("CyberDB", append([]byte("refused "), exception.TypeName()...))
		return nil
	}
	if done, isInt := code.Int(); !isInt || done != 1 {
		r.fail("CyberDB", []byte("refused "))
		return nil
	}
	if content.IsZero() {
		r.kind, r.text = replyOK, nil
		if password := message.Field("password"); !password.IsZero() {
			r.text = password.Text()
		}
		return nil
	}
	number, isInt := content.Int()
	switch {
	case isInt:
		r.kind, r.number = replyNumber, number
	case content.Kind() == pickle.Str || content.Kind() == pickle.Bytes:
		r.kind, r.text = replyValue, content.Text()
	default:
		r.fail("CyberDB", []byte("value of an unexpected type"))
	}
	return nil
}

// exchange makes a complete exchange of six messages.
func (w *legacyWire) exchange(ask asker, content []byte, fields ...string) (reply, error) {
	body := w.appendDict(nil, content, fields...)
	var r reply
	for _, message := range [][]byte{w.appendCount(nil, len(body)), body, w.ready} {
		var err error
		if r, err = ask(message); err != nil {
			return r, err
		}
	}
	return r, nil
}

func (w *legacyWire) prepare(op Op, ask asker) error {
	route, empty := "/create_cyberdict", pickle.EndDict(pickle.AppendDict(nil))
	if op.usesList() {
		route, empty = "/create_cyberlist", pickle.EndList(pickle.AppendList(nil))
	}
	for _, name := range w.tables.names {
		if _, err := w.exchange(ask, nil, "route", "/delete_table", "table_name", name); err != nil {
			return err
		}
		if _, err := w.exchange(ask, empty, "route", route, "table_name", name); err != nil {
			return err
		}
	}
	return nil
}

func (w *legacyWire) entries(ask asker) (total int64, err error) {
	for _, name := range w.tables.names {
		r, err := w.exchange(ask, nil, "route", "/cyberlist/len", "table_name", name)
		if err != nil {
			return 0, err
		}
		total += r.number
	}
	return total, nil
}

// version distinguishes the servers by their replies: the original puts its password into each.
func (w *legacyWire) version(ask asker) (string, error) {
	r, err := w.exchange(ask, nil, "route", "/connect")
	if err != nil {
		return "", err
	}
	name := "the original CyberDB"
	if r.text == nil {
		name = "cyberdb-fast --legacy"
	}
	if w.cipher != nil {
		name += ", encrypted"
	}
	return name, nil
}

func (w *legacyWire) open() (opening, error) {
	return &legacyOpening{w, w.appendDict(nil, nil, "route", "/connect")}, nil
}

// legacyOpening is an exchange on the route /connect, whose reply confirms the password.
type legacyOpening struct {
	wire *legacyWire
	body []byte
}

func (o *legacyOpening) begin(out []byte) []byte { return o.wire.appendCount(out, len(o.body)) }

func (o *legacyOpening) advance(in, out []byte) (n int, answer []byte, done bool, err error) {
	var r reply
	n, err = o.wire.parse(in, &r)
	switch {
	case err != nil || n == 0:
		return n, out, false, err
	case r.kind != replyStep:
		return n, out, true, nil
	case string(r.text) == legacyReady:
		return n, append(out, o.body...), false, nil
	default:
		return n, append(out, o.wire.ready...), false, nil
	}
}
