package value

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"time"
)

const (
	// ZoneInfoUTC is the name of zoneinfo.ZoneInfo("UTC"), which prints differently from
	// timezone.utc.
	ZoneInfoUTC = "posix/UTC"
	// noOffset is the offset in microseconds of a time in a zone that has none without a date.
	noOffset = 1 - secondsPerDay*microsPerSecond
)

// clock is a datetime or time, taken apart.
type clock struct {
	time.Time // the reading, in UTC
	fold      bool
	aware     bool
	offset    int64 // microseconds
	name      string
}

func clockOf(p []byte) clock {
	c := clock{
		Time:  time.UnixMicro(int64(binary.BigEndian.Uint64(p))).UTC(),
		fold:  p[8]&FlagFold != 0,
		aware: p[8]&FlagAware != 0,
	}
	if c.aware {
		c.offset, c.name = zoneMicros(p[9:]), string(p[17:])
	}
	return c
}

func (c *clock) micros() int { return c.Nanosecond() / 1000 }

func dateOf(p []byte) time.Time {
	days := int64(int32(binary.BigEndian.Uint32(p))) - EpochOrdinal
	return time.Unix(days*secondsPerDay, 0).UTC()
}

func timeDeltaOf(p []byte) (days int32, seconds, micros uint32) {
	return int32(binary.BigEndian.Uint32(p)), binary.BigEndian.Uint32(p[4:]), binary.BigEndian.Uint32(p[8:])
}

func appendTimeRepr(dst []byte, x item) []byte {
	switch x.t {
	case ExtDate:
		d := dateOf(x.body)
		return fmt.Appendf(dst, "datetime.date(%d, %d, %d)", d.Year(), d.Month(), d.Day())
	case ExtTimeDelta:
		days, seconds, micros := timeDeltaOf(x.body)
		return appendTimeDeltaRepr(dst, int64(days), int64(seconds), int64(micros))
	}
	c := clockOf(x.body)
	if x.t == ExtDateTime {
		dst = fmt.Appendf(dst, "datetime.datetime(%d, %d, %d, ", c.Year(), c.Month(), c.Day())
	} else {
		dst = append(dst, "datetime.time("...)
	}
	dst = fmt.Appendf(dst, "%d, %d", c.Hour(), c.Minute())
	if c.Second() > 0 || c.micros() > 0 {
		dst = fmt.Appendf(dst, ", %d", c.Second())
	}
	if c.micros() > 0 {
		dst = fmt.Appendf(dst, ", %d", c.micros())
	}
	if c.fold && x.t == ExtDateTime { // CPython has it before the zone here, after it for times
		dst = append(dst, ", fold=1"...)
	}
	if c.aware {
		dst = c.appendZoneRepr(append(dst, ", tzinfo="...))
	}
	if c.fold && x.t == ExtTime {
		dst = append(dst, ", fold=1"...)
	}
	return append(dst, ')')
}

func (c *clock) appendZoneRepr(dst []byte) []byte {
	label, plain := strings.CutPrefix(c.name, PlainZone)
	switch {
	case c.offset == 0 && (c.name == "" || c.name == "UTC"):
		return append(dst, "datetime.timezone.utc"...)
	case c.name == ZoneInfoUTC:
		return append(dst, "zoneinfo.ZoneInfo(key='UTC')"...)
	case c.name != "" && !plain:
		return append(appendStrRepr(append(dst, "zoneinfo.ZoneInfo(key="...), []byte(c.name)), ')')
	}
	seconds, micros := floorDiv(c.offset, microsPerSecond)
	days, seconds := floorDiv(seconds, secondsPerDay)
	dst = appendTimeDeltaRepr(append(dst, "datetime.timezone("...), days, seconds, micros)
	if plain {
		dst = appendStrRepr(append(dst, ", "...), []byte(label))
	}
	return append(dst, ')')
}

func appendTimeDeltaRepr(dst []byte, days, seconds, micros int64) []byte {
	dst = append(dst, "datetime.timedelta("...)
	at := len(dst)
	for _, part := range [...]struct {
		name string
		n    int64
	}{{"days=", days}, {"seconds=", seconds}, {"microseconds=", micros}} {
		if part.n == 0 {
			continue
		}
		if len(dst) > at {
			dst = append(dst, ", "...)
		}
		dst = strconv.AppendInt(append(dst, part.name...), part.n, 10)
	}
	if len(dst) == at {
		dst = append(dst, '0')
	}
	return append(dst, ')')
}

// appendTimeStr appends the ISO form, with a blank between date and time, and timedeltas as "1 day,
// 0:00:05".
func appendTimeStr(dst []byte, x item) []byte {
	switch x.t {
	case ExtDate:
		return dateOf(x.body).AppendFormat(dst, "2006-01-02")
	case ExtTimeDelta:
		return appendTimeDeltaStr(dst, x.body)
	}
	c := clockOf(x.body)
	if x.t == ExtDateTime {
		dst = c.AppendFormat(dst, "2006-01-02 ")
	}
	dst = c.AppendFormat(dst, "15:04:05")
	if c.micros() > 0 {
		dst = fmt.Appendf(dst, ".%06d", c.micros())
	}
	if c.aware && c.offset != noOffset {
		dst = appendOffset(dst, c.offset)
	}
	return dst
}

// appendOffset appends +01:00; seconds and microseconds only if there are any.
func appendOffset(dst []byte, offset int64) []byte {
	sign := byte('+')
	if offset < 0 {
		sign, offset = '-', -offset
	}
	seconds, micros := offset/microsPerSecond, offset%microsPerSecond
	dst = fmt.Appendf(append(dst, sign), "%02d:%02d", seconds/3600, seconds/60%60)
	if seconds%60 != 0 || micros != 0 {
		dst = fmt.Appendf(dst, ":%02d", seconds%60)
	}
	if micros != 0 {
		dst = fmt.Appendf(dst, ".%06d", micros)
	}
	return dst
}

func appendTimeDeltaStr(dst, p []byte) []byte {
	days, seconds, micros := timeDeltaOf(p)
	if days != 0 {
		dst = fmt.Appendf(dst, "%d day", days)
		if days != 1 && days != -1 {
			dst = append(dst, 's')
		}
		dst = append(dst, ", "...)
	}
	dst = fmt.Appendf(dst, "%d:%02d:%02d", seconds/3600, seconds/60%60, seconds%60)
	if micros != 0 {
		dst = fmt.Appendf(dst, ".%06d", micros)
	}
	return dst
}
