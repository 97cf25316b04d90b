package value

import "strings"

// exceptionState is the start of the slice that ends the arguments of an exception with attributes:
// slice("__dict__", {name: value}, None).
const exceptionState = "__dict__"

// osErrors are the classes whose text is "[Errno 2] No such file: 'x'".
var osErrors = map[string]bool{
	"OSError":                true,
	"IOError":                true,
	"EnvironmentError":       true,
	"BlockingIOError":        true,
	"ChildProcessError":      true,
	"ConnectionError":        true,
	"BrokenPipeError":        true,
	"ConnectionAbortedError": true,
	"ConnectionRefusedError": true,
	"ConnectionResetError":   true,
	"FileExistsError":        true,
	"FileNotFoundError":      true,
	"InterruptedError":       true,
	"IsADirectoryError":      true,
	"NotADirectoryError":     true,
	"PermissionError":        true,
	"ProcessLookupError":     true,
	"TimeoutError":           true,
}

// exceptionParts returns the class and the arguments, without the attributes.
func exceptionParts(x item) (class string, args [][]byte) {
	name, rest := next(x.body)
	for range x.n - 1 {
		var arg []byte
		arg, rest = next(rest)
		args = append(args, arg)
	}
	if n := len(args); n > 0 && isExceptionState(args[n-1]) {
		args = args[:n-1]
	}
	class = string(content(name))
	return class[strings.LastIndexByte(class, '.')+1:], args
}

func isExceptionState(b []byte) bool {
	x := open(b)
	if x.t != ExtSlice {
		return false
	}
	start, rest := next(x.body)
	first, _, _ := header(start)
	second, _, _ := header(rest)
	return first == TypeStr && string(content(start)) == exceptionState && second == TypeDict
}

func tupleOf(parts [][]byte) item {
	var body []byte
	for _, part := range parts {
		body = append(body, part...)
	}
	return item{ExtTuple, len(parts), body}
}

func appendExceptionRepr(dst []byte, x item) ([]byte, error) {
	class, args := exceptionParts(x)
	if osErrors[class] && len(args) > 2 { // the files are no arguments any more
		args = args[:2]
	}
	return appendSequence(dst, class+"(", tupleOf(args), ")")
}

// appendExceptionStr is the argument or, if there are several, the tuple of them; a KeyError shows
// the repr of its key, an OSError number, text and files.
func appendExceptionStr(dst []byte, x item) ([]byte, error) {
	class, args := exceptionParts(x)
	switch {
	case osErrors[class] && len(args) >= 2 && len(args) <= 5:
		return appendOSErrorStr(dst, args)
	case len(args) == 0:
		return dst, nil
	case len(args) > 1:
		return appendTupleRepr(dst, tupleOf(args))
	case class == "KeyError":
		return appendRepr(dst, args[0])
	}
	return appendStr(dst, args[0])
}

// appendOSErrorStr appends "[Errno 18] text: 'file' -> 'other file'"; the fourth argument is
// Windows' number of the error.
func appendOSErrorStr(dst []byte, args [][]byte) ([]byte, error) {
	dst, err := appendStr(append(dst, "[Errno "...), args[0])
	if err == nil {
		dst, err = appendStr(append(dst, "] "...), args[1])
	}
	if err == nil && len(args) > 2 {
		dst, err = appendRepr(append(dst, ": "...), args[2])
	}
	if err == nil && len(args) == 5 {
		dst, err = appendRepr(append(dst, " -> "...), args[4])
	}
	return dst, err
}
