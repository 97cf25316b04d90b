package secure

import (
	"crypto/ecdh"
	"crypto/sha512"
	"encoding/binary"
	"errors"

	"filippo.io/edwards25519/field"
)

// CPACE-X25519-SHA512 of draft-irtf-cfrg-cpace-21, a password-authenticated key exchange: both
// sides map the password to a generator of Curve25519, send each other a multiple of it, and arrive
// at the same key if the password was the same. An eavesdropper cannot test passwords; an active
// attacker can test one password per exchange.

const (
	cpaceDSI    = "CPace255"
	cpaceISKDSI = "CPace255_ISK"
	shareBytes  = 32
	scalarBytes = 32

	curveA = 486662 // y^2 = x^3 + curveA x^2 + x
)

// errShare is returned for a share of low order, which would make the key independent of the
// password.
var errShare = errors.New("the other side's share is of low order")

// cpaceGenerator maps the password-related string, the channel identifier and the session
// identifier to a generator, in time that does not depend on them. Source: calculate_generator of
// the draft.
func cpaceGenerator(prs, ci, sid []byte) []byte {
	zeros := max(0, sha512.BlockSize-1-prefixedBytes(len(prs))-prefixedBytes(len(cpaceDSI)))
	sum := sha512.Sum512(appendPrefixed(nil, []byte(cpaceDSI), prs, make([]byte, zeros), ci, sid))
	// ignore bit 255, as decodeUCoordinate of RFC 7748 does
	u, err := new(field.Element).SetBytes(sum[:shareBytes])
	if err != nil {
		panic(err) // only for another length
	}
	return elligator2(u).Bytes()
}

// elligator2 maps u to the x-coordinate of a point of the curve. Source: RFC 9380, section 6.7.1,
// with Z = 2.
func elligator2(u *field.Element) *field.Element {
	var a, one, x1, x2, gx, root field.Element
	one.One()
	a.Mult32(&one, curveA)
	x1.Square(u)
	x1.Add(&x1, &x1)
	x1.Add(&x1, &one) // 1 + 2 u^2, which is never 0: -1/2 has no root
	x1.Invert(&x1)
	x1.Multiply(&x1, &a)
	x1.Negate(&x1) // -A / (1 + 2 u^2)
	x2.Negate(&x1)
	x2.Subtract(&x2, &a) // -x1 - A
	gx.Add(&x1, &a)
	gx.Multiply(&gx, &x1)
	gx.Add(&gx, &one)
	gx.Multiply(&gx, &x1) // x1^3 + A x1^2 + x1
	_, square := root.SqrtRatio(&gx, &one)
	return x1.Select(&x1, &x2, square)
}

// cpaceKey returns the intermediate session key, 64 bytes. peer is the other side's share:
// initiator or responder. Errors: errShare.
func cpaceKey(
	scalar *ecdh.PrivateKey,
	sid, peer, initiator, initiatorData, responder, responderData []byte,
) ([]byte, error) {
	k, err := multiply(scalar, peer)
	if err != nil {
		return nil, err
	}
	isk := sha512.Sum512(
		appendPrefixed(nil, []byte(cpaceISKDSI), sid, k, initiator, initiatorData, responder, responderData),
	)
	return isk[:], nil
}

// multiply is X25519 of RFC 7748: of a generator it makes a share, of a share the common secret.
// Errors: errShare if the result is the neutral element.
func multiply(scalar *ecdh.PrivateKey, point []byte) ([]byte, error) {
	p, err := ecdh.X25519().NewPublicKey(point)
	if err != nil {
		return nil, errShare
	}
	product, err := scalar.ECDH(p)
	if err != nil {
		return nil, errShare
	}
	return product, nil
}

func prefixedBytes(n int) int { return len(binary.AppendUvarint(nil, uint64(n))) + n }

// appendPrefixed appends each part after its length in LEB128: lv_cat of the draft.
func appendPrefixed(dst []byte, parts ...[]byte) []byte {
	for _, part := range parts {
		dst = binary.AppendUvarint(dst, uint64(len(part)))
		dst = append(dst, part...)
	}
	return dst
}
