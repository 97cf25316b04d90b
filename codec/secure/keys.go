package secure

import (
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"hash"
)

// Labels of the derived keys. On the wire: do not change.
const (
	identityClient = "cyberdb-fast 1 client"
	identityServer = "cyberdb-fast 1 server"

	labelClientFin    = "cyberdb-fast 1 client finished"
	labelServerFin    = "cyberdb-fast 1 server finished"
	labelClientStream = "cyberdb-fast 1 client stream"
	labelServerStream = "cyberdb-fast 1 server stream"
	labelKeys         = "cyberdb-fast 1 record keys"
	labelNext         = "cyberdb-fast 1 next stream"

	secretBytes = sha256.Size
)

// channel is CPace's channel identifier: the protocol, and which side has which role.
var channel = appendPrefixed(nil, []byte(identityClient), []byte(identityServer))

// Ephemeral has the random values of one side for one handshake. They must not be reused.
type Ephemeral struct {
	Nonce  [nonceBytes]byte
	Scalar [scalarBytes]byte
}

// NewEphemeral returns new random values.
func NewEphemeral() (f Ephemeral) {
	_, _ = rand.Read(f.Nonce[:]) // never fails: crypto/rand ends the process instead
	_, _ = rand.Read(f.Scalar[:])
	return f
}

// scalar returns the key whose arithmetic is X25519.
func (f *Ephemeral) scalar() (*ecdh.PrivateKey, error) {
	return ecdh.X25519().NewPrivateKey(f.Scalar[:])
}

// sessionID is CPace's: the client's nonce, then the server's.
func sessionID(client, server *[nonceBytes]byte) []byte {
	return append(append(make([]byte, 0, 2*nonceBytes), client[:]...), server[:]...)
}

// schedule is what both sides derive once the shares are exchanged.
type schedule struct {
	clientFin, serverFin       []byte // tags
	clientStream, serverStream []byte // secrets of the two directions' records
}

// newSchedule derives everything from CPace's key and the hash over the first four messages.
// Source: RFC 5869, HKDF-SHA-256 with the hash as its salt.
func newSchedule(isk, transcript []byte) (*schedule, error) {
	prk, err := hkdf.Extract(sha256.New, isk, transcript)
	if err != nil {
		return nil, err
	}
	s := new(schedule)
	for _, part := range []struct {
		label string
		into  *[]byte
	}{
		{labelClientFin, &s.clientFin},
		{labelServerFin, &s.serverFin},
		{labelClientStream, &s.clientStream},
		{labelServerStream, &s.serverStream},
	} {
		if *part.into, err = hkdf.Expand(sha256.New, prk, part.label, secretBytes); err != nil {
			return nil, err
		}
	}
	s.clientFin = finishedTag(s.clientFin, transcript)
	s.serverFin = finishedTag(s.serverFin, transcript)
	return s, nil
}

// finishedTag is the proof of knowing key: HMAC-SHA-256 over the transcript's hash.
func finishedTag(key, transcript []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write(transcript)
	return mac.Sum(nil)
}

// transcript hashes every message before the finished ones completely.
type transcript struct{ hash.Hash }

func newTranscript() transcript { return transcript{sha256.New()} }
