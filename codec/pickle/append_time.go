package pickle

import (
	"strings"
	"time"

	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/codec/value"
)

func appendDateTime(dst []byte, d govalue.DateTime) []byte {
	t := time.UnixMicro(d.WallMicros).UTC()
	day := govalue.DateOf(t)
	packed := appendClock(appendDay(nil, day), t.Sub(day.In(time.UTC)))
	if d.Fold {
		packed[2] |= foldBit
	}
	return appendReading(appendGlobal(dst, "datetime", "datetime"), packed, d.Zone)
}

func appendDay(dst []byte, d govalue.Date) []byte {
	return append(dst, byte(d.Year>>8), byte(d.Year), byte(d.Month), byte(d.Day))
}

// appendClock appends the time of the day in six bytes.
func appendClock(dst []byte, t time.Duration) []byte {
	micros := t / time.Microsecond % 1_000_000
	return append(
		dst,
		byte(t/time.Hour),
		byte(t/time.Minute%60),
		byte(t/time.Second%60),
		byte(micros>>16),
		byte(micros>>8),
		byte(micros),
	)
}

// appendReading appends the arguments of a datetime or time and makes it. A named zone becomes one
// of its offset then, with its name: it is the same instant, and no Python is too old for it.
func appendReading(dst, packed []byte, zone govalue.Zone) []byte {
	dst = AppendBytes(dst, packed)
	if !zone.Aware {
		return append(dst, opTuple1, opReduce)
	}
	return append(appendZone(dst, zone), opTuple2, opReduce)
}

// appendZone appends a datetime.timezone.
func appendZone(dst []byte, zone govalue.Zone) []byte {
	dst = appendGlobal(dst, "datetime", "timezone")
	offset := int64(zone.Offset)
	days := offset / 86400
	if offset%86400 < 0 {
		days--
	}
	dst = appendTimeDelta(
		dst,
		govalue.TimeDelta{Days: int32(days), Seconds: uint32(offset - days*86400), Micros: zone.OffsetMicros},
	)
	if zone.Name == "" || zone.Name == "UTC" && offset == 0 {
		return append(dst, opTuple1, opReduce)
	}
	return append(AppendText(dst, strings.TrimPrefix(zone.Name, value.PlainZone)), opTuple2, opReduce)
}

func appendTimeDelta(dst []byte, d govalue.TimeDelta) []byte {
	dst = AppendInt(appendGlobal(dst, "datetime", "timedelta"), int64(d.Days))
	dst = AppendInt(AppendInt(dst, int64(d.Seconds)), int64(d.Micros))
	return append(dst, opTuple3, opReduce)
}
