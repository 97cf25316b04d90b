package eval

import (
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/cmd/cyberdb-fast/shell/syntax"
	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/codec/value"
)

// constructor makes a value of the types that have no literal, from what repr prints.
type constructor struct {
	signature string
	make      func(c *call) (object, error)
}

// modules are what repr prints before some constructors.
var modules = []string{"datetime", "decimal", "fractions", "uuid", "collections"}

// constructors are the types that have no literal. init breaks the circle, as of functions.
var constructors map[string]*constructor

func init() {
	constructors = map[string]*constructor{
		"set":         {"members=[]", func(c *call) (object, error) { return c.makeSet(value.ExtSet) }},
		"frozenset":   {"members=[]", func(c *call) (object, error) { return c.makeSet(value.ExtFrozenSet) }},
		"tuple":       {"items=[]", (*call).makeTuple},
		"bytearray":   {"data=b''", (*call).makeByteArray},
		"float":       {"text", (*call).makeFloat},
		"complex":     {"real, imag=0", (*call).makeComplex},
		"Decimal":     {"text", (*call).makeDecimal},
		"Fraction":    {"numerator, denominator=1", (*call).makeFraction},
		"UUID":        {"text", (*call).makeUUID},
		"range":       {"start, stop=None, step=1", (*call).makeRange},
		"OrderedDict": {"items={}", func(c *call) (object, error) { return c.makeDict(value.ExtOrderedDict) }},
		"Counter":     {"items={}", func(c *call) (object, error) { return c.makeDict(value.ExtCounter) }},
		"deque":       {"items=[], maxlen=None", (*call).makeDeque},
		"date":        {"year, month, day", (*call).makeDate},
		"time": {
			"hour=0, minute=0, second=0, microsecond=0, tzinfo=None, *, fold=0", (*call).makeTime,
		},
		"datetime": {
			"year, month, day, hour=0, minute=0, second=0, microsecond=0, tzinfo=None, *, fold=0", (*call).makeDateTime,
		},
		"timedelta": {
			"days=0, seconds=0, microseconds=0, milliseconds=0, minutes=0, hours=0, weeks=0", (*call).makeTimeDelta,
		},
	}
}

// constructorOf returns the constructor that is written with its module: datetime.date.
func constructorOf(f syntax.Attribute) (string, *constructor) {
	module, ok := f.Of.(syntax.Name)
	if !ok || !slices.Contains(modules, module.Name) {
		return "", nil
	}
	return f.Name, constructors[f.Name]
}

func (e *evaluation) construct(name string, make *constructor, n syntax.Call) (object, error) {
	o, err := e.apply(name, function{signature: make.signature, run: make.make}, nil, n)
	if err != nil {
		return nil, err
	}
	b := o.(govalue.Encoded)
	return b, checkValue(b)
}

// members returns the items of an argument; without it there are none.
func (c *call) members(name string) ([]govalue.Encoded, error) {
	if !c.has(name) {
		return nil, nil
	}
	return c.elements(c.args[name])
}

func (c *call) makeSet(code int8) (object, error) {
	vals, err := c.members("members")
	if err != nil {
		return nil, err
	}
	b, err := appendSetOf(nil, vals, code)
	return govalue.Encoded(b), err
}

func (c *call) makeTuple() (object, error) {
	vals, err := c.members("items")
	return tupleOf(vals...), err
}

func (c *call) makeByteArray() (object, error) {
	if !c.has("data") {
		return encoded(govalue.ByteArray{})
	}
	b, err := c.given("data")
	if err != nil {
		return nil, err
	}
	data, err := govalue.UnmarshalOf[[]byte](b)
	if err != nil || isNone(b) {
		return nil, typeError("bytearray takes bytes here, not %s", value.TypeName(b))
	}
	return encoded(govalue.ByteArray(data))
}

func (c *call) makeFloat() (object, error) {
	b, err := c.given("text")
	if err != nil {
		return nil, err
	}
	text, err := govalue.UnmarshalOf[string](b)
	if err != nil {
		f, err := govalue.UnmarshalOf[float64](b)
		if err != nil {
			return nil, typeError("float takes a str or a number, not %s", value.TypeName(b))
		}
		return encoded(f)
	}
	f, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil && !math.IsInf(f, 0) || strings.ContainsAny(text, "xXpP") {
		return nil, valueError("could not convert string to float: %.40q", text)
	}
	return encoded(f)
}

func (c *call) makeComplex() (object, error) {
	re, im, err := c.two("real", "imag")
	if err != nil {
		return nil, err
	}
	if !c.has("imag") {
		im = integer(0)
	}
	real, err := govalue.UnmarshalOf[float64](re)
	if err != nil {
		return nil, typeError("complex takes two numbers, not %s", value.TypeName(re))
	}
	imaginary, err := govalue.UnmarshalOf[float64](im)
	if err != nil {
		return nil, typeError("complex takes two numbers, not %s", value.TypeName(im))
	}
	return encoded(complex(real, imaginary))
}

// makeDecimal takes the text as str(Decimal) writes it, and ints.
func (c *call) makeDecimal() (object, error) {
	b, err := c.given("text")
	if err != nil {
		return nil, err
	}
	if value.TypeName(b) == "int" {
		text, err := value.Str(b)
		if err != nil {
			return nil, err
		}
		return encoded(govalue.Decimal(text))
	}
	text, err := govalue.UnmarshalOf[string](b)
	if err != nil {
		return nil, typeError("Decimal takes a str or an int, not %s", value.TypeName(b))
	}
	if !value.IsDecimal([]byte(text)) {
		return nil, valueError("Decimal(%.40q): write the number as str(Decimal) does: '1.10', '1E+5', 'NaN'", text)
	}
	return encoded(govalue.Decimal(text))
}

// bigInt returns an argument that is an int of any size.
func (c *call) bigInt(name string) (*big.Int, error) {
	b, err := c.given(name)
	if err != nil {
		return nil, err
	}
	v, _, err := govalue.Decode(b)
	if err != nil {
		return nil, err
	}
	switch v := v.(type) {
	case int64:
		return big.NewInt(v), nil
	case uint64:
		return new(big.Int).SetUint64(v), nil
	case *big.Int:
		return v, nil
	}
	return nil, typeError("%s is an int, not %s", name, value.TypeName(b))
}

func (c *call) makeFraction() (object, error) {
	numerator, err := c.bigInt("numerator")
	if err != nil {
		return nil, err
	}
	denominator := big.NewInt(1)
	if c.has("denominator") {
		if denominator, err = c.bigInt("denominator"); err != nil {
			return nil, err
		}
	}
	if denominator.Sign() == 0 {
		return nil, &Error{"ZeroDivisionError", "Fraction(" + numerator.String() + ", 0)"}
	}
	return encoded(new(big.Rat).SetFrac(numerator, denominator))
}

func (c *call) makeUUID() (object, error) {
	text, err := c.text("text")
	if err != nil {
		return nil, err
	}
	digits := strings.ReplaceAll(text, "-", "")
	n, ok := new(big.Int).SetString(digits, 16)
	if !ok || len(digits) != 32 || strings.ContainsAny(digits, "+_") {
		return nil, valueError("a UUID has 32 hexadecimal digits")
	}
	var id govalue.UUID
	n.FillBytes(id[:])
	return encoded(id)
}

func (c *call) makeRange() (object, error) {
	start, err := c.bigInt("start")
	if err != nil {
		return nil, err
	}
	stop, step := start, big.NewInt(1)
	if !c.has("stop") {
		start = new(big.Int)
	} else if stop, err = c.bigInt("stop"); err != nil {
		return nil, err
	}
	if c.has("step") {
		if step, err = c.bigInt("step"); err != nil {
			return nil, err
		}
	}
	if step.Sign() == 0 {
		return nil, valueError("range() arg 3 must not be zero")
	}
	return encoded(govalue.Range{Start: start, Stop: stop, Step: step})
}

func (c *call) makeDict(code int8) (object, error) {
	var d pairs
	var err error
	if c.has("items") {
		if d, err = c.items("items"); err != nil {
			return nil, err
		}
	}
	return govalue.Encoded(value.WrapExt(d.append(nil), 0, code)), nil
}

func (c *call) makeDeque() (object, error) {
	vals, err := c.members("items")
	if err != nil {
		return nil, err
	}
	bound, err := c.given("maxlen")
	if err != nil {
		return nil, err
	}
	if !isNone(bound) {
		most, fits, err := intOf(bound)
		if err != nil || !fits || most < 0 {
			return nil, valueError("maxlen must be non-negative")
		}
		vals = vals[max(0, len(vals)-most):]
	}
	b := append(msgp.AppendArrayHeader(nil, uint32(len(vals)+1)), bound...)
	for _, val := range vals {
		b = append(b, val...)
	}
	return govalue.Encoded(value.WrapExt(b, 0, value.ExtDeque)), nil
}
