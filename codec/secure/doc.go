// Package secure opens a connection: the messages before the first frame, in which client and server prove to each other that
// they know the password without sending it.
//
// Client and Server are pure state machines: bytes in, bytes out. They keep no sockets and no clocks and are used by one
// goroutine at a time. The order of the messages is that of PROTOCOL.md, "Opening a connection":
//
//	client  Hello                    magic, versions, options
//	server  Greeting                 version, suites, key derivation, salt, nonce
//	client  ClientShare              suite, nonce, share
//	server  ServerShare              share, limits
//	client  ClientFin                proof
//	server  ServerFin                proof; frames follow
//
// A Refusal may stand in the place of any server message; the connection is closed after it.
//
// Suite 1 proves the password by HMAC over the transcript, under a key that scrypt makes from it. It is for networks that are not listened to: who
// records such a handshake can try passwords against it offline, at scrypt's price each.
package secure
