package persist

import (
	"sync"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
)

// compress compresses raw into dst. It returns raw itself if that does not save an eighth, and the
// codec of the result.
func compress(dst, raw []byte, codec Codec) ([]byte, Codec) {
	switch codec {
	case S2:
		dst = s2.Encode(dst[:cap(dst)], raw)
	case Zstd:
		dst = zstdEncoder().EncodeAll(raw, dst[:0])
	default:
		return raw, Raw
	}
	if len(dst) >= len(raw)-len(raw)/8 {
		return raw, Raw
	}
	return dst, codec
}

// decompress decompresses stored into dst, or into a new slice. ok is false unless the result has
// rawBytes bytes.
func decompress(dst, stored []byte, codec Codec, rawBytes int) (raw []byte, ok bool) {
	if cap(dst) < rawBytes {
		dst = make([]byte, rawBytes)
	}
	var err error
	switch codec {
	case S2:
		if n, problem := s2.DecodedLen(stored); problem != nil || n != rawBytes {
			return nil, false
		}
		raw, err = s2.Decode(dst[:rawBytes], stored)
	case Zstd:
		raw, err = zstdDecoder().DecodeAll(stored, dst[:0])
	default:
		raw = stored
	}
	return raw, err == nil && len(raw) == rawBytes
}

var zstdEncoder = sync.OnceValue(func() *zstd.Encoder {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false))
	if err != nil {
		panic(err) // the options are constants
	}
	return e
})

var zstdDecoder = sync.OnceValue(func() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(maxBlockBytes))
	if err != nil {
		panic(err) // the options are constants
	}
	return d
})
