package jsonvalue

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"

	"github.com/bytedance/sonic"
	"github.com/bytedance/sonic/ast"

	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/codec/value"
)

// ErrSyntax is returned for text that is not JSON, or not the form of a value.
var ErrSyntax = errors.New("not a value's JSON form")

// maxNesting is how deep JSON may be nested: a dict with other keys than texts takes three levels,
// and no value has more than value.MaxDepth of them.
const maxNesting = 4 * value.MaxDepth

// Parse returns the encoding of the value with this JSON form.
//
// Errors: ErrSyntax; *govalue.PathError and *value.Error for what cannot be a value: too large, too
// deep, a key that is not hashable.
func Parse(text string) ([]byte, error) {
	if !sonic.ValidString(text) {
		return nil, fmt.Errorf("%w: not JSON", ErrSyntax)
	}
	node, code := ast.NewParser(text).Parse()
	if code != 0 {
		return nil, fmt.Errorf("%w: %s", ErrSyntax, code.Message())
	}
	return ParseNode(&node)
}

// ParseNode is Parse for a part of a text that has been parsed.
func ParseNode(node *ast.Node) ([]byte, error) {
	v, err := decode(node, 0)
	if err != nil {
		return nil, err
	}
	b, err := govalue.Marshal(v)
	if err != nil {
		return nil, err
	}
	if _, err := value.CheckStored(b); err != nil {
		return nil, err
	}
	return b, nil
}

// encoded is a value by its encoding.
type encoded []byte

func decode(node *ast.Node, depth int) (any, error) {
	if depth > maxNesting {
		return nil, fmt.Errorf("%w: nested too deep", ErrSyntax)
	}
	switch node.TypeSafe() {
	case ast.V_NULL:
		return nil, nil
	case ast.V_TRUE:
		return true, nil
	case ast.V_FALSE:
		return false, nil
	case ast.V_NUMBER:
		return decodeNumber(node)
	case ast.V_STRING:
		return node.StrictString()
	case ast.V_ARRAY:
		return decodeArray(node, depth)
	case ast.V_OBJECT:
		return decodeObject(node, depth)
	}
	return nil, fmt.Errorf("%w: %w", ErrSyntax, node.Check())
}

func decodeNumber(node *ast.Node) (any, error) {
	number, err := node.StrictNumber()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSyntax, err)
	}
	text := number.String()
	if len(text) > maxNumberText {
		return nil, tooLong(text)
	}
	if strings.ContainsAny(text, ".eE") {
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, fmt.Errorf("%w: %.40q is no float64", ErrSyntax, text)
		}
		return f, nil
	}
	return decodeInt(text)
}

// maxNumberText bounds the text of a number: an int of 8192 bytes, the largest, has 19,728 digits.
// The time to convert more grows faster than they do.
const maxNumberText = 20_000

func tooLong(text string) error {
	return fmt.Errorf("%w: a number of %d characters, at most %d", value.ErrTooLarge, len(text), maxNumberText)
}

func decodeInt(text string) (any, error) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n, nil
	}
	if len(text) > maxNumberText {
		return nil, tooLong(text)
	}
	n, ok := new(big.Int).SetString(text, 10)
	if !ok {
		return nil, fmt.Errorf("%w: %.40q is no int", ErrSyntax, text)
	}
	return n, nil
}

func decodeArray(node *ast.Node, depth int) ([]any, error) {
	items := []any{}
	var failed error
	err := node.ForEach(func(_ ast.Sequence, item *ast.Node) bool {
		var v any
		if v, failed = decode(item, depth+1); failed == nil {
			items = append(items, v)
		}
		return failed == nil
	})
	return items, errors.Join(failed, err)
}

func decodeObject(node *ast.Node, depth int) (any, error) {
	pairs := govalue.Dict{}
	var tagged any
	var failed error
	isTagged := false
	err := node.ForEach(func(path ast.Sequence, item *ast.Node) bool {
		key := *path.Key
		switch {
		case isTagged && key != keyRepr:
			failed = fmt.Errorf("%w: an object whose key begins with $ has no others", ErrSyntax)
		case isTagged: // for readers
		case path.Index == 0 && strings.HasPrefix(key, "$"):
			isTagged = true
			tagged, failed = decodeTagged(key, item, depth)
		default:
			var v any
			v, failed = decode(item, depth+1)
			pairs = append(pairs, govalue.Pair{Key: key, Value: v})
		}
		return failed == nil
	})
	if err = errors.Join(failed, err); err != nil {
		return nil, err
	}
	if isTagged {
		return tagged, nil
	}
	return pairs, nil
}

// decodeTagged returns the value of an object with a key that begins with a dollar.
func decodeTagged(key string, node *ast.Node, depth int) (any, error) {
	switch key {
	case keyTuple, keySet, keyFrozenSet, keyDict, keyOrderedDict, keyCounter:
		if node.TypeSafe() != ast.V_ARRAY {
			return nil, fmt.Errorf("%w: %s is followed by a list", ErrSyntax, key)
		}
		items, err := decodeArray(node, depth+1)
		if err != nil {
			return nil, err
		}
		return collected(key, items)
	}
	text, err := node.StrictString()
	if err != nil {
		return nil, fmt.Errorf("%w: %s is followed by a text", ErrSyntax, key)
	}
	return scalar(key, text)
}

func collected(key string, items []any) (any, error) {
	switch key {
	case keyTuple:
		return govalue.Tuple(items), nil
	case keySet:
		return govalue.Set(items), nil
	case keyFrozenSet:
		return govalue.FrozenSet(items), nil
	}
	pairs := make([]govalue.Pair, len(items))
	for i, item := range items {
		pair, ok := item.([]any)
		if !ok || len(pair) != 2 {
			return nil, fmt.Errorf("%w: %s is followed by a list of pairs", ErrSyntax, key)
		}
		pairs[i] = govalue.Pair{Key: pair[0], Value: pair[1]}
	}
	switch key {
	case keyOrderedDict:
		return govalue.OrderedDict(pairs), nil
	case keyCounter:
		return govalue.Counter(pairs), nil
	}
	return govalue.Dict(pairs), nil
}

func scalar(key, text string) (any, error) {
	switch key {
	case keyBigInt:
		return decodeInt(text)
	case keyFloat:
		switch text {
		case "nan":
			return math.NaN(), nil
		case "inf":
			return math.Inf(1), nil
		case "-inf":
			return math.Inf(-1), nil
		}
	case keyDecimal:
		return govalue.Decimal(text), nil
	case keyUUID:
		b, err := hex.DecodeString(strings.ReplaceAll(text, "-", ""))
		if err == nil && len(b) == len(govalue.UUID{}) {
			return govalue.UUID(b), nil
		}
	case keyBytes, keyByteArray, keyEncoded:
		b, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrSyntax, key, err)
		}
		return data(key, b)
	}
	return nil, fmt.Errorf("%w: %s of %.40q", ErrSyntax, key, text)
}

func data(key string, b []byte) (any, error) {
	switch key {
	case keyBytes:
		return b, nil
	case keyByteArray:
		return govalue.ByteArray(b), nil
	}
	if n, err := value.CheckStored(b); err != nil || n != len(b) {
		return nil, fmt.Errorf("%w: %s holds no encoding of one value", ErrSyntax, key)
	}
	return encoded(b), nil
}

// AppendCyberDB implements govalue.Marshaler: an encoding may stand inside a container.
func (e encoded) AppendCyberDB(dst []byte) ([]byte, error) { return append(dst, e...), nil }
