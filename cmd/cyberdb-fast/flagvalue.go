package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"cyberdb-fast/persist"
)

// number is a flag whose value is a whole number from min to max.
type number struct {
	to       *int
	min, max int
}

func (n *number) String() string { return strconv.Itoa(*n.to) }
func (n *number) Type() string   { return "number" }

func (n *number) Set(text string) error {
	v, err := strconv.Atoi(text)
	if err != nil || v < n.min || v > n.max {
		return fmt.Errorf("must be a whole number from %d to %d", n.min, n.max)
	}
	*n.to = v
	return nil
}

// size is a flag whose value is a number of bytes, with or without a unit; 0 means no limit.
type size struct {
	to    *int64
	least int64
}

func (s *size) Type() string { return "size" }

func (s *size) String() string {
	if *s.to == 0 {
		return "0"
	}
	for _, unit := range []struct {
		name  string
		shift int
	}{{"GiB", 30}, {"MiB", 20}, {"KiB", 10}} {
		if *s.to%(1<<unit.shift) == 0 {
			return strconv.FormatInt(*s.to>>unit.shift, 10) + unit.name
		}
	}
	return strconv.FormatInt(*s.to, 10)
}

// sizeUnits are powers of 1024, as is usual for memory.
var sizeUnits = map[string]int{
	"":    0,
	"B":   0,
	"K":   10,
	"KB":  10,
	"KIB": 10,
	"M":   20,
	"MB":  20,
	"MIB": 20,
	"G":   30,
	"GB":  30,
	"GIB": 30,
	"T":   40,
	"TB":  40,
	"TIB": 40,
}

// Set reads 512MiB, 2G or 1073741824.
func (s *size) Set(text string) error {
	digits := strings.TrimRight(text, "KMGTIBkmgtib ")
	shift, known := sizeUnits[strings.ToUpper(strings.TrimSpace(text[len(digits):]))]
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || !known || n < 0 || n > math.MaxInt64>>shift {
		return errors.New("must be a size such as 512MiB or 4GiB; 0 means no limit")
	}
	if n <<= shift; n != 0 && n < s.least {
		return fmt.Errorf("must be at least %dMiB", s.least>>20)
	}
	*s.to = n
	return nil
}

// onOff is a flag whose value is true or false.
type onOff struct{ to *bool }

func (f *onOff) String() string { return strconv.FormatBool(*f.to) }

// Type returns the name by which pflag knows that the help shows no value.
func (f *onOff) Type() string { return "bool" }

// Set reads true or false.
func (f *onOff) Set(text string) error {
	v, err := strconv.ParseBool(text)
	if err != nil {
		return errors.New("must be true or false")
	}
	*f.to = v
	return nil
}

// idleTime is a flag whose value is whole seconds or a Go duration. It is rounded up to whole
// seconds, the unit of the protocol.
type idleTime struct{ to *time.Duration }

func (i *idleTime) String() string {
	if *i.to == 0 {
		return "0"
	}
	return i.to.String()
}
func (i *idleTime) Type() string { return "time" }

func (i *idleTime) Set(text string) error {
	errTime := errors.New("must be seconds (900) or a time with its unit (15m, 1h30m); 0 means never")
	d, err := time.ParseDuration(text)
	if seconds, numErr := strconv.ParseUint(text, 10, 32); numErr == nil {
		d, err = time.Duration(seconds)*time.Second, nil
	}
	if err != nil || d < 0 || d > math.MaxUint32*time.Second {
		return errTime
	}
	*i.to = (d + time.Second - 1).Truncate(time.Second)
	return nil
}

// permissions is a flag whose value is a file's permission bits in octal. The owner must be able to
// read and write: a socket that its owner cannot use is a mistake.
type permissions struct{ to *fs.FileMode }

func (p *permissions) String() string { return fmt.Sprintf("0%03o", *p.to) }

// Type returns the placeholder for the value in the help.
func (p *permissions) Type() string { return "mode" }

// Set reads 0660 or 660.
func (p *permissions) Set(text string) error {
	const owner, all = 0o600, 0o777
	mode, err := strconv.ParseUint(text, 8, 32)
	if err != nil || mode > all || mode&owner != owner {
		return errors.New("must be octal permissions that let the owner read and write, such as 0600 or 0660")
	}
	*p.to = fs.FileMode(mode)
	return nil
}

// networks is a flag whose value is networks and addresses separated by commas. It may be repeated.
type networks struct{ to *[]netip.Prefix }

func (n *networks) String() string {
	texts := make([]string, len(*n.to))
	for i, prefix := range *n.to {
		texts[i] = prefix.String()
	}
	return strings.Join(texts, ",")
}
func (n *networks) Type() string { return "networks" }

func (n *networks) Set(text string) error {
	for one := range strings.SplitSeq(text, ",") {
		prefix, err := parseNetwork(strings.TrimSpace(one))
		if err != nil {
			return err
		}
		*n.to = append(*n.to, prefix)
	}
	return nil
}

// parseNetwork parses 10.0.0.0/8 or 10.1.2.3. It rejects bits beyond the mask: 10.1.2.3/8 would
// admit more than it seems to.
func parseNetwork(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil || prefix.Addr().Is4In6() {
		return netip.Prefix{}, fmt.Errorf("%q is neither an address (10.1.2.3) nor a network (10.0.0.0/8)", text)
	}
	if masked := prefix.Masked(); masked != prefix {
		return netip.Prefix{}, fmt.Errorf(
			"%s has bits beyond its mask: write %s for the network, or %s for the single address",
			text,
			masked,
			prefix.Addr(),
		)
	}
	return prefix, nil
}

// choice is a flag whose value is one of a few words, each of which stands for a value.
type choice[T comparable] struct {
	to     *T
	kind   string
	words  []string
	values []T
}

func (c *choice[T]) String() string { return c.words[slices.Index(c.values, *c.to)] }

// Type returns the placeholder for the value in the help.
func (c *choice[T]) Type() string { return c.kind }

func (c *choice[T]) choices() []string { return c.words }

// Set takes one of the words.
func (c *choice[T]) Set(text string) error {
	i := slices.Index(c.words, text)
	if i < 0 {
		last := len(c.words) - 1
		return fmt.Errorf("must be %s or %s", strings.Join(c.words[:last], ", "), c.words[last])
	}
	*c.to = c.values[i]
	return nil
}

func newFsyncPolicy(to *persist.Policy) *choice[persist.Policy] {
	c := &choice[persist.Policy]{to: to, kind: "policy"}
	c.values = []persist.Policy{persist.Always, persist.EverySecond, persist.Never}
	for _, policy := range c.values {
		c.words = append(c.words, policy.String())
	}
	return c
}

func newLogLevel(to *slog.Level) *choice[slog.Level] {
	c := &choice[slog.Level]{to: to, kind: "level"}
	c.values = []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError}
	for _, level := range c.values {
		c.words = append(c.words, strings.ToLower(level.String()))
	}
	return c
}

// threshold is a flag whose value is a time with its unit, since seconds would be far too long.
type threshold struct{ to *time.Duration }

func (t *threshold) String() string {
	if *t.to == 0 {
		return "0"
	}
	return t.to.String()
}

// Type returns the placeholder for the value in the help.
func (t *threshold) Type() string { return "time" }

// Set reads 10ms or 1.5s.
func (t *threshold) Set(text string) error {
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return errors.New("must be a time with its unit (10ms, 1.5s); 0 turns it off")
	}
	*t.to = d
	return nil
}
