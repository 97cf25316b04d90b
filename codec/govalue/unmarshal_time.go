package govalue

import (
	"encoding/binary"
	"fmt"
	"time"

	"cyberdb-fast/codec/value"
)

func decodeDateTime(payload []byte) (d DateTime, err error) {
	if d.WallMicros, d.Fold, d.Zone, err = readClock(payload); err != nil {
		return DateTime{}, err
	}
	if d.WallMicros < value.MinWallMicros || d.WallMicros > value.MaxWallMicros {
		return DateTime{}, fmt.Errorf("%w: datetime %d microseconds from 1970", ErrMalformed, d.WallMicros)
	}
	return d, nil
}

func decodeTimeOfDay(payload []byte) (any, error) {
	micros, fold, zone, err := readClock(payload)
	if err != nil {
		return nil, err
	}
	if micros < 0 || micros >= secondsPerDay*microsPerSecond {
		return nil, fmt.Errorf("%w: time %d microseconds after midnight", ErrMalformed, micros)
	}
	return Time{time.Duration(micros) * time.Microsecond, fold, zone}, nil
}

// readClock reads what datetime and time have in common: microseconds, flags, zone.
func readClock(payload []byte) (micros int64, fold bool, z Zone, err error) {
	if len(payload) < 9 {
		return 0, false, z, wrongSize("datetime or time", payload)
	}
	flags, rest := payload[8], payload[9:]
	switch {
	case flags > value.FlagFold|value.FlagAware:
		return 0, false, z, fmt.Errorf("%w: flags 0x%02X of a datetime or time", ErrMalformed, flags)
	case flags&value.FlagAware != 0 && len(rest) >= 8:
		z = Zone{true, int32(binary.BigEndian.Uint32(rest)), binary.BigEndian.Uint32(rest[4:]), zoneName(rest[8:])}
	case flags&value.FlagAware != 0 || len(rest) > 0:
		return 0, false, z, wrongSize("datetime or time", payload)
	}
	return int64(binary.BigEndian.Uint64(payload)), flags&value.FlagFold != 0, z, malformed(z.check())
}

// zoneName copies the name, except the most common one. A name that no zone has, which earlier
// servers accepted, becomes empty: the offset stays.
func zoneName(b []byte) string {
	switch {
	case string(b) == "UTC":
		return "UTC"
	case value.ValidStr(b) && !value.IsZoneName(string(b)):
		return ""
	}
	return string(b)
}

func decodeDate(payload []byte) (any, error) {
	if len(payload) != 4 {
		return nil, wrongSize("date", payload)
	}
	d, err := dateOfOrdinal(int32(binary.BigEndian.Uint32(payload)))
	return d, malformed(err)
}

func decodeTimeDelta(payload []byte) (any, error) {
	if len(payload) != 12 {
		return nil, wrongSize("timedelta", payload)
	}
	t := TimeDelta{
		Days: int32(binary.BigEndian.Uint32(payload)), Seconds: binary.BigEndian.Uint32(payload[4:]),
		Micros: binary.BigEndian.Uint32(payload[8:]),
	}
	return t, malformed(t.check())
}
