package bench

import (
	"errors"
	"strconv"

	"cyberdb-fast/codec/secure"
)

// errWire is returned, wrapped, if a server's bytes are not a reply of its protocol. The connection
// is unusable then.
var errWire = errors.New("not a reply")

// replyKind is the kind of a reply, in any protocol.
type replyKind uint8

const (
	replyOK      replyKind = iota // done, without content
	replyTrue                     // a boolean
	replyFalse                    //
	replyNumber                   // number
	replyValue                    // text is a value
	replyEcho                     // text is the request, whole
	replyMissing                  // no such key or index
	replyFailure                  // label and text say what is wrong
	replyStep                     // the exchange continues: the client must answer text
)

var replyNames = [...]string{
	"OK",
	"true",
	"false",
	"a number",
	"a value",
	"an echo",
	"nothing there",
	"an error",
	"a step of an exchange",
}

// reply is one parsed reply. text is a view into the input.
type reply struct {
	id     uint32 // the request's; protocols with replies in order have none
	kind   replyKind
	number int64
	label  string
	text   []byte
}

// describe returns the reply as text, for messages.
func (r *reply) describe() string {
	const most = 120
	text := string(r.text[:min(len(r.text), most)])
	switch {
	case r.kind != replyFailure:
		return replyNames[r.kind]
	case r.label == "":
		return text
	default:
		return r.label + ": " + text
	}
}

func (r *reply) fail(label string, text []byte) {
	r.kind, r.label, r.text = replyFailure, label, text
}

// asNumber returns the number that the reply is, or whose digits its text has.
func (r *reply) asNumber() (int64, bool) {
	if r.kind == replyValue {
		return parseDecimal(r.text)
	}
	return r.number, r.kind == replyNumber
}

// wire is a protocol as the event loops use it. The methods of one wire may be called by several
// loops at once.
type wire interface {
	// open returns the client's side of opening one connection.
	open() (opening, error)
	// ordered says that replies carry no id and come in the order of the requests.
	ordered() bool
	// wants is the kind of reply that a successful request gets; ok is false if the
	// protocol has no such request.
	wants(op Op) (kind replyKind, ok bool)
	// appendRequest appends one request.
	appendRequest(dst []byte, op Op, item, id uint32) []byte
	// parse reads one reply from the front of b into r; n is the number of bytes used, 0 if b ends
	// inside the reply. Errors: errWire, wrapped.
	parse(b []byte, r *reply) (n int, err error)
	// prepare drops the tables and creates them again, as op needs them.
	prepare(op Op, ask asker) error
	// entries returns the number of elements of all lists together.
	entries(ask asker) (int64, error)
	// version returns the server's description; "" if the protocol has none.
	version(ask asker) (string, error)
}

// exchanger is a wire whose requests take several messages in both directions, one request at a
// time.
type exchanger interface {
	// appendStep appends the answer to a replyStep.
	appendStep(dst []byte, r *reply, op Op, item uint32) []byte
}

// asker sends one request and waits for its reply, whose text is a copy. A reply of kind
// replyFailure is an error.
type asker func(request []byte) (reply, error)

// opening is the client's side of opening one connection: bytes in, bytes out.
type opening interface {
	// begin appends the client's first message.
	begin(out []byte) []byte
	// advance reads messages from the front of in and appends the answer to out; n is the number of
	// bytes used.
	advance(in, out []byte) (n int, answer []byte, done bool, err error)
}

// encrypter is an opening that may end with an encrypted connection.
type encrypter interface {
	// records returns the encryption of the connection once it is open; nil: plain.
	records() (*secure.Sealer, *secure.Opener)
}

// tables distributes items among the tables of a run.
type tables struct {
	names  []string
	count  uint32
	middle uint32 // index in the middle of each list as loaded
}

func newTables(name string, count, keys int) tables {
	t := tables{names: []string{name}, count: uint32(count), middle: uint32(keys / count / 2)}
	for i := 1; i < count; i++ {
		t.names = append(t.names, name+"."+strconv.Itoa(i))
	}
	return t
}

// of returns the number of the item's table.
func (t *tables) of(item uint32) uint32 {
	if t.count == 1 {
		return 0
	}
	return item % t.count
}

// index returns where in its list the item is loaded.
func (t *tables) index(item uint32) uint32 {
	if t.count == 1 {
		return item
	}
	return item / t.count
}

// middleOf returns the item that is loaded in the middle of the list in which item is.
func (t *tables) middleOf(item uint32) uint32 { return t.middle*t.count + t.of(item) }
