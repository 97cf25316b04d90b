package govalue

import (
	"bytes"

	"cyberdb-fast/codec/value"
)

// Encoded is a value of any type as its encoding, so that nothing of it is lost on the way: a
// client that passes values on, or prints them, need not decode them.
type Encoded []byte

// AppendCyberDB implements Marshaler. An empty Encoded is None.
func (e Encoded) AppendCyberDB(dst []byte) ([]byte, error) {
	if len(e) == 0 {
		return Append(dst, nil)
	}
	return append(dst, e...), nil
}

// UnmarshalCyberDB implements Unmarshaler. Errors: those of value.CheckStored.
func (e *Encoded) UnmarshalCyberDB(b []byte) error {
	if _, err := value.CheckStored(b); err != nil {
		return err
	}
	*e = bytes.Clone(b)
	return nil
}
