// Package secure opens a connection and, where that is wanted, encrypts it.
//
// Client and Server are the handshake: the messages before the first frame, in which both sides
// prove to each other that they know the password and get keys that nobody else has. The order of
// the messages is that of PROTOCOL.md, "Opening a connection":
//
//	client  Hello                    magic, versions, options
//	server  Greeting                 version, suites, key derivation, nonce
//	client  ClientShare              suite, nonce, share
//	server  ServerShare              limits, share
//	client  ClientFin                tag over all of these
//	server  ServerFin                tag over all of these; frames follow
//
// A Refusal may stand in the place of any server message; the connection is closed after it.
//
// The exchange is CPace (draft-irtf-cfrg-cpace-21), the keys come from HKDF (RFC 5869), the tags
// are HMAC-SHA-256 (RFC 2104). Each connection allows one guess at the password, to a server that
// is a stranger as to a client, and what was recorded allows none.
//
// Sealer and Opener are the records of an encrypted connection, one of each per side: AES-256-CTR,
// then HMAC-SHA-256 over what it gave (encrypt-then-MAC), in the composition of SSH's aes256-ctr
// (RFC 4344) with hmac-sha2-256-etm.
//
// All types are pure: bytes in, bytes out. They keep no sockets and no clocks, and each is used by
// one goroutine at a time.
package secure
