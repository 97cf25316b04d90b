package requestlog

import (
	"fmt"
	"unicode/utf8"

	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/value"
)

const (
	// maxKeptBytes is how much of a key is kept: enough for the text that is shown.
	maxKeptBytes = 256
	// maxKeyRunes is how many characters of a key are shown.
	maxKeyRunes = 64
)

// AppendKey appends what is kept of an encoded key, in little time whatever its size: the key, the
// beginning of a long str or bytes, or, after the byte codec.Absent, a text about another long key.
func AppendKey(dst, key []byte) []byte {
	if len(key) <= maxKeptBytes {
		return append(dst, key...)
	}
	switch msgp.NextType(key) {
	case msgp.StrType:
		text, _, _ := msgp.ReadStringZC(key)
		end := maxKeptBytes
		for end > 0 && text[end]&0xC0 == 0x80 { // within a character
			end--
		}
		return msgp.AppendStringFromBytes(dst, text[:end])
	case msgp.BinType:
		b, _, _ := msgp.ReadBytesZC(key)
		return msgp.AppendBytes(dst, b[:maxKeptBytes])
	}
	return fmt.Appendf(append(dst, codec.Absent), "<%s of %d bytes>", value.TypeName(key), len(key))
}

// KeyText returns Python's repr of what AppendKey has kept, shortened to 64 characters; "" of
// nothing.
func KeyText(kept []byte) string {
	if len(kept) == 0 {
		return ""
	}
	if kept[0] == codec.Absent {
		return string(kept[1:])
	}
	text, err := value.Repr(kept)
	if err != nil {
		return fmt.Sprintf("<%s of %d bytes>", value.TypeName(kept), len(kept))
	}
	return shortened(text)
}

// shortened returns the beginning of a text and dots, if it has more than maxKeyRunes characters.
func shortened(text string) string {
	const dots = "..."
	if utf8.RuneCountInString(text) <= maxKeyRunes {
		return text
	}
	n := 0
	for i := range text {
		if n == maxKeyRunes-len(dots) {
			return text[:i] + dots
		}
		n++
	}
	return text
}
