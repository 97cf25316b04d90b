package bench

import "errors"

// errWire is returned, wrapped, when a server's bytes are no reply of its protocol: the connection cannot go on.
var errWire = errors.New("not a reply")

// replyKind is what a reply says, in whatever protocol.
type replyKind uint8

const (
	replyOK      replyKind = iota // done, nothing to say
	replyTrue                     // a boolean
	replyFalse                    //
	replyNumber                   // number
	replyValue                    // text is a value
	replyMissing                  // there is no such key or index
	replyFailure                  // label and text say what is wrong
)

var replyNames = [...]string{"OK", "true", "false", "a number", "a value", "nothing there", "an error"}

// reply is one parsed reply. text is a view into the input.
type reply struct {
	id     uint32 // the request's; protocols with replies in order have none
	kind   replyKind
	number int64
	label  string
	text   []byte
}

// describe returns what the reply says, for messages.
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

// wire is a protocol as the event loops use it. The methods of one wire may be called by several loops at once.
type wire interface {
	// open returns the client's side of opening one connection.
	open() (opening, error)
	// ordered says that replies carry no id and come in the order of the requests.
	ordered() bool
	// wants is the kind of reply that op gets when all is well.
	wants(op Op) replyKind
	// appendRequest appends one request.
	appendRequest(dst []byte, op Op, item, id uint32) []byte
	// parse reads one reply from the front of b into r; n is the number of bytes used, 0 if b ends inside the reply. Errors: errWire, wrapped.
	parse(b []byte, r *reply) (n int, err error)
	// prepare makes the table anew, empty, as op needs it.
	prepare(op Op, ask asker) error
	// entries asks for the number of elements of the list.
	entries(ask asker) (int64, error)
}

// asker sends one request and waits for its reply, whose text is a copy. A reply of kind replyFailure is an error.
type asker func(request []byte) (reply, error)

// opening is the client's side of opening one connection: bytes in, bytes out.
type opening interface {
	// begin appends what the client says first.
	begin(out []byte) []byte
	// advance takes what it can from the front of in and appends the answer to out; n is the number of bytes used.
	advance(in, out []byte) (n int, answer []byte, done bool, err error)
}
