package value

import "fmt"

func appendDecimal(dst []byte, d Decimal) ([]byte, error) {
	if err := d.check(); err != nil {
		return dst, err
	}
	return appendExtBytes(dst, ExtDecimal, []byte(d)), nil
}

func (d Decimal) check() error {
	if len(d) > maxNumberBytes {
		return fmt.Errorf("%w: Decimal of %d bytes", ErrTooLarge, len(d))
	}
	if _, ok := parseDecimal([]byte(d)); !ok {
		return fmt.Errorf("%w: %.40q is no Decimal", ErrOutOfRange, string(d))
	}
	return nil
}
