package pickle

import (
	"strings"
)

// maker makes an object of a class from the arguments in its pickle.
type maker func(u *Unpickler, args []ref) (ref, error)

// className is the exact name of a class or function: no dots in the name, no other spelling.
type className struct{ module, name string }

// makers has the supported classes and functions, by name.
var makers map[className]maker

// factories are the built-in types that a defaultdict may use as factory. They are not values
// themselves.
var factories = map[string]bool{
	"list":      true,
	"dict":      true,
	"int":       true,
	"float":     true,
	"str":       true,
	"bool":      true,
	"set":       true,
	"tuple":     true,
	"bytes":     true,
	"frozenset": true,
	"complex":   true,
	"bytearray": true,
}

// exceptions are Python's built-in exceptions.
var exceptions = make(map[string]bool)

func init() {
	for _, name := range strings.Fields(`
		BaseException Exception ArithmeticError AssertionError AttributeError BlockingIOError BrokenPipeError
		BufferError BytesWarning ChildProcessError ConnectionAbortedError ConnectionError ConnectionRefusedError
		ConnectionResetError DeprecationWarning EOFError EncodingWarning EnvironmentError FileExistsError
		FileNotFoundError FloatingPointError FutureWarning GeneratorExit IOError ImportError ImportWarning
		IndentationError IndexError InterruptedError IsADirectoryError KeyError KeyboardInterrupt LookupError
		MemoryError ModuleNotFoundError NameError NotADirectoryError NotImplementedError OSError OverflowError
		PendingDeprecationWarning PermissionError ProcessLookupError RecursionError ReferenceError
		ResourceWarning RuntimeError RuntimeWarning StopAsyncIteration StopIteration SyntaxError SyntaxWarning
		SystemError SystemExit TabError TimeoutError TypeError UnboundLocalError UnicodeDecodeError
		UnicodeEncodeError UnicodeError UnicodeTranslateError UnicodeWarning UserWarning ValueError Warning
		ZeroDivisionError`) {
		exceptions[name] = true
	}
	makers = map[className]maker{
		{"builtins", "slice"}:          makeSlice,
		{"builtins", "range"}:          makeRange,
		{"builtins", "set"}:            makeSet(Set),
		{"builtins", "frozenset"}:      makeSet(FrozenSet),
		{"builtins", "bytearray"}:      makeByteArray,
		{"builtins", "bytes"}:          makeBytes,
		{"builtins", "complex"}:        makeComplex,
		{"_codecs", "encode"}:          makeEncoded,
		{"copyreg", "_reconstructor"}:  makeReconstructed,
		{"datetime", "datetime"}:       makeDateTime,
		{"datetime", "date"}:           makeDate,
		{"datetime", "time"}:           makeTime,
		{"datetime", "timedelta"}:      makeTimeDelta,
		{"datetime", "timezone"}:       makeZone,
		{"decimal", "Decimal"}:         makeDecimal,
		{"fractions", "Fraction"}:      makeFraction,
		{"uuid", "UUID"}:               nil, // by NEWOBJ or _reconstructor, and BUILD
		{"collections", "OrderedDict"}: makeOrderedDict,
		{"collections", "defaultdict"}: makeDefaultDict,
		{"collections", "deque"}:       makeDeque,
		{"collections", "Counter"}:     makeCounter,
		{"builtins", "Ellipsis"}:       nil, // a value by its name
		{"builtins", "NotImplemented"}: nil,
		{"builtins", "object"}:         nil, // an argument of _reconstructor
		{"builtins", "getattr"}:        nil, // refused by the name of what it is for
	}
	for name := range factories {
		if _, known := makers[className{"builtins", name}]; !known {
			makers[className{"builtins", name}] = nil
		}
	}
}

// moduleNames are the module names of protocols 0 to 2 (Lib/_compat_pickle.py).
var moduleNames = map[string]string{"__builtin__": "builtins", "exceptions": "builtins", "copy_reg": "copyreg"}

// globalNames are those of types.
var globalNames = map[className]string{
	{"builtins", "xrange"}:  "range",
	{"builtins", "unicode"}: "str",
	{"builtins", "long"}:    "int",
}

// object handles the opcodes that name classes, make objects of them and set their state.
func (u *Unpickler) object(arg []byte) error {
	switch u.op {
	case opGlobal:
		module, name, _ := strings.Cut(strings.TrimSuffix(string(arg), "\n"), "\n")
		u.global(module, name)
		return nil
	case opStackGlobal:
		parts, err := u.popMany(2)
		if err != nil {
			return err
		}
		module, name := u.nodes[parts[0]], u.nodes[parts[1]]
		if module.kind != Str || name.kind != Str {
			return u.fail("a class is named by two texts, not by %s and %s", module.kind, name.kind)
		}
		u.global(string(u.bytes(&module)), string(u.bytes(&name)))
		return nil
	case opInst, opObj:
		return u.instance(arg)
	case opBuild:
		return u.build()
	}
	n := 2
	if u.op == opNewObjEx {
		n = 3
	}
	parts, err := u.popMany(n)
	if err != nil {
		return err
	}
	class, args := u.nodes[parts[0]], u.nodes[parts[1]]
	if class.kind == Opaque && !u.KeepOpaque { // made by what is refused already
		u.push(parts[0])
		return nil
	}
	if class.kind != Global {
		return u.fail("%s cannot be called", class.kind)
	}
	if args.kind != Tuple {
		return u.fail("arguments are a tuple, not %s", args.kind)
	}
	return u.make(&class, u.parts(&args), parts)
}

// global pushes the class or function with this module and name.
func (u *Unpickler) global(module, name string) {
	if known, ok := moduleNames[module]; ok {
		module = known
	}
	if known, ok := globalNames[className{module, name}]; ok {
		name = known
	}
	if module == "builtins" && (name == "Ellipsis" || name == "NotImplemented") {
		u.pushSingleton(name)
		return
	}
	_, taken := makers[className{module, name}]
	taken = taken || module == "builtins" && exceptions[name]
	u.classes = append(u.classes, class{module: module, name: name, taken: taken})
	u.push(u.add(node{kind: Global, a: uint32(len(u.classes) - 1), b: uint32(u.at)}))
	if !taken {
		u.refuse(module + "." + name)
	}
}

// refuse remembers the first unsupported class.
func (u *Unpickler) refuse(class string) {
	if u.refused == nil && !u.KeepOpaque {
		u.refused = refusal(u.at, forms[u.op].name, class)
	}
}

// instance handles INST and OBJ, which no CPython since 1997 has written: their classes are always
// rejected.
func (u *Unpickler) instance(arg []byte) error {
	parts, err := u.popMark()
	if err != nil {
		return err
	}
	path := strings.ReplaceAll(strings.TrimSuffix(string(arg), "\n"), "\n", ".")
	if u.op == opObj && len(parts) > 0 && u.nodes[parts[0]].kind == Global {
		path = u.classes[u.nodes[parts[0]].a].path()
	}
	return refusal(u.at, forms[u.op].name, path)
}

// make pushes an object of a class; all is what the opcode has popped.
func (u *Unpickler) make(n *node, args, all []ref) error {
	c := u.classes[n.a]
	name := className{c.module, c.name}
	if !c.taken || name == (className{"builtins", "getattr"}) {
		return u.makeOpaque(n, args, all)
	}
	if c.module == "builtins" && exceptions[c.name] {
		u.push(u.makeException(c.name, args))
		return nil
	}
	if name == (className{"uuid", "UUID"}) && u.op == opNewObj && len(args) == 0 {
		u.push(u.addMade(Encoded, len(u.made)))
		return nil
	}
	f := makers[name]
	if f == nil || u.op == opNewObjEx {
		return u.makeOpaque(n, args, all)
	}
	made, err := f(u, args)
	if err != nil {
		return u.fail("%s: %v", c.path(), err)
	}
	u.push(made)
	return nil
}

// makeOpaque pushes a placeholder for an object of an unsupported class. getattr, with which the
// members of enumerations are pickled, counts as the class that it is applied to.
func (u *Unpickler) makeOpaque(n *node, args, all []ref) error {
	of := n.a
	if len(args) > 0 && u.classes[of].name == "getattr" {
		if arg := u.nodes[args[0]]; arg.kind == Global && !u.classes[arg.a].taken {
			of = arg.a
		}
	}
	u.refuse(u.classes[of].path())
	u.push(u.addOpaque(node{kind: Opaque, a: of, b: uint32(u.at)}, all))
	return nil
}

// build handles BUILD: the state of an object in addition to its arguments. A UUID gets its number
// from it. The attributes of an exception are skipped, because the exception's constructor sets
// them from the arguments.
func (u *Unpickler) build() error {
	state, err := u.pop()
	if err != nil {
		return err
	}
	top, err := u.peek()
	if err != nil {
		return err
	}
	switch n := &u.nodes[top]; {
	case n.kind == Opaque && n.flags&kept != 0:
		u.parts(n)[opaqueState] = state
		return nil
	case n.kind == Opaque, n.kind == Exception && u.nodes[state].kind == Dict:
		return nil
	case n.kind == Encoded && n.b == 0:
		if err := u.buildUUID(top, state); err != nil {
			return u.fail("uuid.UUID: %v", err)
		}
		return nil
	default:
		return u.fail("into %s", n.kind)
	}
}
