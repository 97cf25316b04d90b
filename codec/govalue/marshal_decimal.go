package govalue

import (
	"fmt"

	"cyberdb-fast/codec/value"
)

func appendDecimal(dst []byte, d Decimal) ([]byte, error) {
	if err := d.check(); err != nil {
		return dst, err
	}
	return value.AppendExt(dst, value.ExtDecimal, []byte(d)), nil
}

func (d Decimal) check() error {
	if len(d) > value.MaxNumberBytes {
		return fmt.Errorf("%w: Decimal of %d bytes", value.ErrTooLarge, len(d))
	}
	if !value.IsDecimal([]byte(d)) {
		return fmt.Errorf("%w: %.40q is no Decimal", ErrOutOfRange, string(d))
	}
	return nil
}
