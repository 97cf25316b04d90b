package govalue

import (
	"encoding/binary"
	"fmt"
	"time"

	"cyberdb-fast/codec/value"
)

func appendGoTime(dst []byte, t time.Time) ([]byte, error) {
	d, err := DateTimeOf(t)
	if err != nil {
		return dst, err
	}
	return appendDateTime(dst, d)
}

func appendDateTime(dst []byte, d DateTime) ([]byte, error) {
	if d.WallMicros < value.MinWallMicros || d.WallMicros > value.MaxWallMicros {
		return dst, fmt.Errorf("%w: datetime %d microseconds from 1970", ErrOutOfRange, d.WallMicros)
	}
	return appendClock(dst, value.ExtDateTime, d.WallMicros, d.Fold, d.Zone)
}

func appendTimeOfDay(dst []byte, t Time) ([]byte, error) {
	if t.SinceMidnight < 0 || t.SinceMidnight >= 24*time.Hour {
		return dst, fmt.Errorf("%w: time %v after midnight", ErrOutOfRange, t.SinceMidnight)
	}
	return appendClock(dst, value.ExtTime, t.SinceMidnight.Microseconds(), t.Fold, t.Zone)
}

// appendClock appends what datetime and time have in common: microseconds, flags, zone.
func appendClock(dst []byte, code int8, micros int64, fold bool, z Zone) ([]byte, error) {
	if err := z.check(); err != nil {
		return dst, err
	}
	n := 9
	if z.Aware {
		n += 8 + len(z.Name)
	}
	dst = binary.BigEndian.AppendUint64(value.AppendExtHeader(dst, code, n), uint64(micros))
	var flags byte
	if fold {
		flags = value.FlagFold
	}
	if !z.Aware {
		return append(dst, flags), nil
	}
	dst = append(dst, flags|value.FlagAware)
	dst = binary.BigEndian.AppendUint32(dst, uint32(z.Offset))
	dst = binary.BigEndian.AppendUint32(dst, z.OffsetMicros)
	return append(dst, z.Name...), nil
}

// check holds z to Python's rules: an offset strictly within a day.
func (z Zone) check() error {
	const day = secondsPerDay * microsPerSecond
	switch micros := z.micros(); {
	case !z.Aware && z != Zone{}:
		return fmt.Errorf("%w: a zone that is not Aware has an offset or a name", ErrOutOfRange)
	case z.OffsetMicros >= microsPerSecond || micros <= -day || micros >= day:
		return fmt.Errorf("%w: offset of %d seconds and %d microseconds", ErrOutOfRange, z.Offset, z.OffsetMicros)
	case !validText(z.Name):
		return ErrNotUTF8
	case !value.IsZoneName(z.Name):
		return fmt.Errorf("%w: %.40q is no name of a time zone", ErrOutOfRange, z.Name)
	}
	return nil
}

func appendDate(dst []byte, d Date) ([]byte, error) {
	n, err := d.ordinal()
	if err != nil {
		return dst, err
	}
	return binary.BigEndian.AppendUint32(value.AppendExtHeader(dst, value.ExtDate, 4), uint32(n)), nil
}

func appendTimeDelta(dst []byte, t TimeDelta) ([]byte, error) {
	if err := t.check(); err != nil {
		return dst, err
	}
	dst = binary.BigEndian.AppendUint32(value.AppendExtHeader(dst, value.ExtTimeDelta, 12), uint32(t.Days))
	dst = binary.BigEndian.AppendUint32(dst, t.Seconds)
	return binary.BigEndian.AppendUint32(dst, t.Micros), nil
}
