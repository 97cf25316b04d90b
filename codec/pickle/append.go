package pickle

import "encoding/binary"

// writtenProtocol is the protocol of the pickles that are made: every CPython from 3.4 on reads it.
const writtenProtocol = 4

// Begin appends what a pickle begins with. The caller appends one object's opcodes and calls End.
func Begin(dst []byte) []byte { return append(dst, opProto, writtenProtocol) }

// End appends what a pickle ends with.
func End(dst []byte) []byte { return append(dst, opStop) }

// AppendPickle appends a complete pickle of a value. Errors: as AppendValue's.
func AppendPickle(dst, val []byte) ([]byte, error) {
	dst, err := AppendValue(Begin(dst), val)
	return End(dst), err
}

// AppendInt appends the opcodes of an int.
func AppendInt(dst []byte, n int64) []byte {
	switch {
	case n >= 0 && n < 1<<8:
		return append(dst, opBinInt1, byte(n))
	case n >= 0 && n < 1<<16:
		return binary.LittleEndian.AppendUint16(append(dst, opBinInt2), uint16(n))
	case n == int64(int32(n)):
		return binary.LittleEndian.AppendUint32(append(dst, opBinInt), uint32(n))
	}
	return binary.LittleEndian.AppendUint64(append(dst, opLong1, 8), uint64(n))
}

// AppendText appends the opcodes of a str.
func AppendText[T string | []byte](dst []byte, text T) []byte {
	return append(AppendTextHeader(dst, len(text)), text...)
}

// AppendTextHeader appends what stands before the n bytes of a str.
func AppendTextHeader(dst []byte, n int) []byte {
	if n < 1<<8 {
		return append(dst, opShortBinUnicode, byte(n))
	}
	return binary.LittleEndian.AppendUint32(append(dst, opBinUnicode), uint32(n))
}

// AppendBytes appends the opcodes of bytes.
func AppendBytes(dst, b []byte) []byte { return append(AppendBytesHeader(dst, len(b)), b...) }

// AppendBytesHeader appends what stands before n bytes of bytes.
func AppendBytesHeader(dst []byte, n int) []byte {
	if n < 1<<8 {
		return append(dst, opShortBinBytes, byte(n))
	}
	return binary.LittleEndian.AppendUint32(append(dst, opBinBytes), uint32(n))
}

// AppendDict appends the opcodes of an empty dict, and a mark: keys and values follow, then
// EndDict.
func AppendDict(dst []byte) []byte { return append(dst, opEmptyDict, opMark) }

// EndDict ends what AppendDict began.
func EndDict(dst []byte) []byte { return append(dst, opSetItems) }

// AppendList appends the opcodes of an empty list, and a mark: elements follow, then EndList.
func AppendList(dst []byte) []byte { return append(dst, opEmptyList, opMark) }

// EndList ends what AppendList began.
func EndList(dst []byte) []byte { return append(dst, opAppends) }

// EndPair makes a tuple of the last two objects.
func EndPair(dst []byte) []byte { return append(dst, opTuple2) }

// AppendException appends the opcodes of one of Python's exceptions with one argument, whose
// opcodes are given.
func AppendException(dst []byte, class string, argument []byte) []byte {
	dst = append(appendGlobal(dst, "builtins", class), argument...)
	return append(dst, opTuple1, opReduce)
}

func appendGlobal(dst []byte, module, name string) []byte {
	return append(AppendText(AppendText(dst, module), name), opStackGlobal)
}

// AppendValues appends the opcodes of checked values that are back to back. Errors: as
// AppendValue's; so are those of the three below.
func AppendValues(dst, values []byte) ([]byte, error) {
	var err error
	for len(values) > 0 && err == nil {
		dst, values, err = appendValue(dst, values)
	}
	return dst, err
}

// AppendListOf appends the opcodes of a list of checked values that are back to back.
func AppendListOf(dst, values []byte) ([]byte, error) {
	dst, err := AppendValues(AppendList(dst), values)
	return EndList(dst), err
}

// AppendDictOf appends the opcodes of a dict of keys and values that are back to back.
func AppendDictOf(dst, items []byte) ([]byte, error) {
	dst, err := AppendValues(AppendDict(dst), items)
	return EndDict(dst), err
}

// AppendPairsOf appends the opcodes of a list of tuples, each of the next two values.
func AppendPairsOf(dst, items []byte) ([]byte, error) {
	dst = AppendList(dst)
	var err error
	for len(items) > 0 {
		for range 2 {
			if dst, items, err = appendValue(dst, items); err != nil {
				return dst, err
			}
		}
		dst = EndPair(dst)
	}
	return EndList(dst), nil
}
