package value

import (
	"unicode"
	"unicode/utf8"
)

// Lower returns text in lower case as Python's str.lower makes it: letter by letter, but a capital
// sigma at the end of a word becomes U+03C2, and U+0130 becomes two code points. Lone surrogates
// stay as they are. Source: Unicode, SpecialCasing.txt and section 3.13.
func Lower(text string) string { return string(appendLower(nil, []byte(text))) }

func appendLower(dst, text []byte) []byte {
	const capitalSigma, finalSigma, dottedI = 'Σ', 'ς', 'İ'
	for i := 0; i < len(text); {
		c := text[i]
		if c < utf8.RuneSelf {
			if 'A' <= c && c <= 'Z' {
				c += 'a' - 'A'
			}
			dst = append(dst, c)
			i++
			continue
		}
		r, n := utf8.DecodeRune(text[i:])
		switch {
		case r == utf8.RuneError: // itself, or a byte of a lone surrogate
			dst = append(dst, text[i:i+n]...)
		case r == capitalSigma && endsWord(text[:i], text[i+n:]):
			dst = utf8.AppendRune(dst, finalSigma)
		case r == dottedI:
			dst = append(dst, "i\u0307"...)
		default:
			dst = utf8.AppendRune(dst, unicode.ToLower(r))
		}
		i += n
	}
	return dst
}

// endsWord reports whether a letter stands before and none after, passing over what does not part
// words.
func endsWord(before, after []byte) bool {
	r, n := utf8.DecodeLastRune(before)
	for n > 0 && isCaseIgnorable(r) {
		before = before[:len(before)-n]
		r, n = utf8.DecodeLastRune(before)
	}
	if n == 0 || !isCased(r) {
		return false
	}
	r, n = utf8.DecodeRune(after)
	for n > 0 && isCaseIgnorable(r) {
		after = after[n:]
		r, n = utf8.DecodeRune(after)
	}
	return n == 0 || !isCased(r)
}

// isCased is Unicode's derived property Cased.
func isCased(r rune) bool {
	return unicode.In(r, unicode.Lower, unicode.Upper, unicode.Title, unicode.Other_Lowercase, unicode.Other_Uppercase)
}

// isCaseIgnorable is Unicode's derived property Case_Ignorable: marks, modifiers, and the
// punctuation that stands inside words.
func isCaseIgnorable(r rune) bool {
	switch r {
	case '\'',
		'.',
		':',
		0xB7,
		0x387,
		0x55F,
		0x5F4,
		0x2018,
		0x2019,
		0x2024,
		0x2027,
		0xFE13,
		0xFE52,
		0xFE55,
		0xFF07,
		0xFF0E,
		0xFF1A:
		return true
	}
	return unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf, unicode.Lm, unicode.Sk)
}
