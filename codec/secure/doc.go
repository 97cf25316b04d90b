// Package secure authenticates a connection and, optionally, encrypts it.
//
// Client and Server are the two sides of the handshake, the messages before the first frame. Both
// sides prove to each other that they know the password, and derive keys that no third party has.
// PROTOCOL.md, "Opening a connection", specifies the messages:
//
//	client  Hello                    magic, versions, options
//	server  Greeting                 version, suites, key derivation, nonce
//	client  ClientShare              suite, nonce, share
//	server  ServerShare              limits, share
//	client  ClientFin                tag over all of these
//	server  ServerFin                tag over all of these; frames follow
//
// A Refusal may replace any server message; the connection is closed after it.
//
// The exchange is CPace (draft-irtf-cfrg-cpace-21), the keys come from HKDF (RFC 5869), the tags
// are HMAC-SHA-256 (RFC 2104). An attacker can test one password per connection, in the role of the
// client or of the server. A recorded connection does not allow testing passwords.
//
// Sealer and Opener write and read the records of an encrypted connection; each side has one of
// each: AES-256-CTR, then HMAC-SHA-256 over the ciphertext (encrypt-then-MAC), in the composition
// of SSH's aes256-ctr (RFC 4344) with hmac-sha2-256-etm.
//
// All types are pure: bytes in, bytes out. They use no sockets and no clocks. None is safe for
// concurrent use.
package secure
