package eval

import (
	"math/big"
	"time"

	"cyberdb-fast/cmd/cyberdb-fast/shell/syntax"
	"cyberdb-fast/codec/govalue"
)

// within returns an int argument that lies between two bounds.
func (c *call) within(name string, otherwise, low, high int) (int, error) {
	i, err := c.integer(name, otherwise)
	if err == nil && (i < low || i > high) {
		err = valueError("%s must be in %d..%d", name, low, high)
	}
	return i, err
}

// day returns the arguments year, month and day.
func (c *call) day() (day time.Time, err error) {
	year, err := c.within("year", 1, 1, 9999)
	if err != nil {
		return day, err
	}
	month, err := c.within("month", 1, 1, 12)
	if err != nil {
		return day, err
	}
	d, err := c.within("day", 1, 1, 31)
	if err != nil {
		return day, err
	}
	day = time.Date(year, time.Month(month), d, 0, 0, 0, 0, time.UTC)
	if day.Day() != d {
		return day, valueError("day is out of range for month")
	}
	return day, nil
}

// clock returns the arguments hour to microsecond, as the time since midnight.
func (c *call) clock() (since time.Duration, err error) {
	for _, part := range []struct {
		name string
		high int
		unit time.Duration
	}{
		{"hour", 23, time.Hour},
		{"minute", 59, time.Minute},
		{"second", 59, time.Second},
		{"microsecond", 999999, time.Microsecond},
	} {
		n, err := c.within(part.name, 0, 0, part.high)
		if err != nil {
			return 0, err
		}
		since += time.Duration(n) * part.unit
	}
	return since, nil
}

func (c *call) makeDate() (object, error) {
	day, err := c.day()
	if err != nil {
		return nil, err
	}
	return encoded(govalue.DateOf(day))
}

func (c *call) makeTime() (object, error) {
	since, err := c.clock()
	if err != nil {
		return nil, err
	}
	zone, err := c.zone()
	if err != nil {
		return nil, err
	}
	fold, err := c.within("fold", 0, 0, 1)
	if err != nil {
		return nil, err
	}
	return encoded(govalue.Time{SinceMidnight: since, Fold: fold == 1, Zone: zone})
}

func (c *call) makeDateTime() (object, error) {
	day, err := c.day()
	if err != nil {
		return nil, err
	}
	since, err := c.clock()
	if err != nil {
		return nil, err
	}
	zone, err := c.zone()
	if err != nil {
		return nil, err
	}
	fold, err := c.within("fold", 0, 0, 1)
	if err != nil {
		return nil, err
	}
	return encoded(govalue.DateTime{WallMicros: day.Add(since).UnixMicro(), Fold: fold == 1, Zone: zone})
}

// zone returns the argument tzinfo: datetime.timezone.utc, or timezone(timedelta(...)).
func (c *call) zone() (govalue.Zone, error) {
	n := c.args["tzinfo"]
	switch of := n.(type) {
	case nil:
		return govalue.Zone{}, nil
	case syntax.Literal:
		if isNone(of.Value) {
			return govalue.Zone{}, nil
		}
	case syntax.Attribute:
		if of.Name == "utc" && isTimezone(of.Of) {
			return govalue.Zone{Aware: true, Name: "UTC"}, nil
		}
	case syntax.Call:
		if isTimezone(of.Function) && len(of.Args) == 1 && len(of.Keywords) == 0 {
			return c.fixedZone(of.Args[0])
		}
	}
	return govalue.Zone{}, c.errorAt(n, "TypeError",
		"the shell knows the zones datetime.timezone.utc and datetime.timezone(datetime.timedelta(hours=1))")
}

func isTimezone(n syntax.Node) bool {
	switch n := n.(type) {
	case syntax.Name:
		return n.Name == "timezone"
	case syntax.Attribute:
		of, ok := n.Of.(syntax.Name)
		return ok && of.Name == "datetime" && n.Name == "timezone"
	}
	return false
}

func (c *call) fixedZone(n syntax.Node) (zone govalue.Zone, err error) {
	b, err := c.value(n)
	if err != nil {
		return zone, err
	}
	v, _, err := govalue.Decode(b)
	if err != nil {
		return zone, err
	}
	delta, ok := v.(govalue.TimeDelta)
	if !ok {
		return zone, c.errorAt(n, "TypeError", "the offset of a timezone is a timedelta")
	}
	offset, err := delta.Duration()
	if err != nil || offset <= -24*time.Hour || offset >= 24*time.Hour {
		return zone, valueError("the offset of a timezone is less than a day")
	}
	return govalue.FixedZone(offset), nil
}

// makeTimeDelta takes ints, as repr prints them.
func (c *call) makeTimeDelta() (object, error) {
	micros := new(big.Int)
	for _, part := range []struct {
		name string
		unit time.Duration
	}{
		{"days", 24 * time.Hour},
		{"seconds", time.Second},
		{"microseconds", time.Microsecond},
		{"milliseconds", time.Millisecond},
		{"minutes", time.Minute},
		{"hours", time.Hour},
		{"weeks", 7 * 24 * time.Hour},
	} {
		if !c.has(part.name) {
			continue
		}
		n, err := c.bigInt(part.name)
		if err != nil {
			return nil, err
		}
		micros.Add(micros, new(big.Int).Mul(n, big.NewInt(part.unit.Microseconds())))
	}
	days, rest := new(big.Int).DivMod(micros, big.NewInt(24*time.Hour.Microseconds()), new(big.Int))
	if !days.IsInt64() || days.Int64() < -999999999 || days.Int64() > 999999999 {
		return nil, &Error{"OverflowError", "a timedelta has at most 999999999 days"}
	}
	return encoded(govalue.TimeDelta{
		Days: int32(days.Int64()), Seconds: uint32(rest.Int64() / 1e6), Micros: uint32(rest.Int64() % 1e6),
	})
}
