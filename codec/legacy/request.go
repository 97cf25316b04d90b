package legacy

import (
	"errors"
	"fmt"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/pickle"
	"cyberdb-fast/codec/value"
)

// Table is the kind of a table. CyberDB's routes for dicts also work on lists as far as possible,
// and vice versa.
type Table uint8

// The kinds of tables.
const (
	NoTable Table = iota // the request names none, or it does not exist
	Dict
	List
)

// Request is a request of CyberDB, translated to one of the native protocol. It is reused.
type Request struct {
	u    pickle.Unpickler
	root pickle.Object

	// Quick makes Translate return ErrLong instead of expanding a few bytes into much work.
	Quick bool

	// Set by Translate: the native request, which the caller executes, and what turns its reply
	// into CyberDB's.
	Op    codec.Opcode
	Args  []byte
	form  replyForm
	key   []byte     // of the requested entry, a view into Args; nil if there is none
	after *Exception // if not nil, the reply after Op has been executed
	made  []byte     // buffer
}

// MaxObjects is the most objects in one request.
const MaxObjects = 5 << 19

// ErrLong is returned for a request that is too much work under Quick: a range of many numbers, a
// long string split into characters, many shared objects.
var ErrLong = errors.New("the request is too much work for an event loop")

// Limits under Quick.
const (
	quickBytes    = 64 << 10
	quickElements = 4096 // that are made
)

// KeepOpaque stores objects of unsupported classes as opaque bytes; see pickle.Unpickler.
func (r *Request) KeepOpaque(keep bool) { r.u.KeepOpaque = keep }

// Unpickler returns the request's Unpickler, for other use between requests.
func (r *Request) Unpickler() *pickle.Unpickler { return &r.u }

// Parse parses a request's pickle. The result is valid until the next use of the Request's
// Unpickler. Errors: ErrGarbage, wrapped.
func (r *Request) Parse(message []byte) error {
	r.u.MaxObjects = MaxObjects
	root, _, err := r.u.Parse(message)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrGarbage, err)
	}
	if root.Kind() != pickle.Dict {
		return fmt.Errorf("%w: a request is a dict", ErrGarbage)
	}
	r.root = root
	return nil
}

// Password returns the password in the request: a view; nil if there is none.
func (r *Request) Password() []byte {
	field := r.root.Field("password")
	if field.IsZero() || field.Kind() != pickle.Str {
		return nil
	}
	return field.Text()
}

// Table returns the name of the request's table: a view; nil if there is none, or if it is not a
// str.
func (r *Request) Table() []byte {
	field := r.root.Field("table_name")
	if field.IsZero() || field.Kind() != pickle.Str {
		return nil
	}
	return field.Text()
}

// Translate makes the native request; kind is the kind of the request's table. Errors: *Exception,
// the reply; ErrLong, if Quick.
func (r *Request) Translate(kind Table) error {
	r.Op, r.Args, r.form, r.key, r.after = 0, r.Args[:0], replyDone, nil, nil
	if err := r.u.Refused(); err != nil {
		return refusedClass(err)
	}
	field := r.root.Field("route")
	if field.IsZero() || field.Kind() != pickle.Str {
		return NewException("RuntimeError", "a request without a route")
	}
	route, known := routes[string(field.Text())]
	if !known {
		return NewException("RuntimeError", fmt.Sprintf("there is no route %.100q", field.Text()))
	}
	if route.named {
		if err := r.argument("table_name"); err != nil {
			return err
		}
	}
	make := route.onDict
	if kind == List || kind == NoTable && route.forLists {
		make = route.onList
	}
	if make == nil {
		name := "dict"
		if kind == List {
			name = "list"
		}
		return NewException("AttributeError", fmt.Sprintf("'%s' object has no attribute '%s'", name, route.method))
	}
	return make(r)
}

// refusedClass is the reply to a request with an object of an unsupported class.
func refusedClass(err error) *Exception {
	var refused *pickle.Error
	if !errors.As(err, &refused) {
		return NewException("TypeError", err.Error())
	}
	return NewException("TypeError", fmt.Sprintf(
		"%s is not among the types that this server keeps; it was not looked up, and nothing was called: store "+
			"a dict, tuple or str instead",
		refused.Class,
	))
}

// field returns a field of the request.
func (r *Request) field(name string) (pickle.Object, error) {
	field := r.root.Field(name)
	if field.IsZero() {
		return field, NewException("RuntimeError", fmt.Sprintf("the request has no field %q", name))
	}
	return field, nil
}

// argument appends a field to the native request's arguments.
func (r *Request) argument(name string) error {
	field, err := r.field(name)
	if err != nil {
		return err
	}
	return r.append(field)
}

// append appends an object to the arguments.
func (r *Request) append(o pickle.Object) error {
	if r.Quick {
		if size, err := o.Size(); err == nil && len(r.Args)+size > quickBytes {
			return ErrLong
		}
	}
	args, err := o.Append(r.Args)
	if err != nil {
		return exceptionOf(err)
	}
	if len(args) > codec.MaxFrameBytes {
		return NewException(
			"ValueError",
			fmt.Sprintf("the request has more than %d bytes of values", codec.MaxFrameBytes),
		)
	}
	r.Args = args
	return nil
}

// exceptionOf is the reply to a request with an object that cannot be a value.
func exceptionOf(err error) *Exception {
	var problem *value.Error
	var refused *pickle.Error
	switch {
	case errors.As(err, &refused):
		return refusedClass(err)
	case errors.As(err, &problem):
		return NewException(problem.Kind.String(), problem.Msg)
	}
	return NewException("ValueError", err.Error())
}
