// Package client is the Go client of cyberdb-fast: typed handles of a server's dicts and lists.
//
//	c, err := client.Open(ctx, "cyberdb://:password@127.0.0.1:9980", nil)
//	users := client.DictOf[string, User](c, "users")
//	err = users.Set(ctx, "bob", User{Name: "Bob", Age: 31})
//	bob, err := users.Get(ctx, "bob") // errors.Is(err, client.ErrKey) if there is none
//
// A Client has a few connections, two by default. A Dict or a List is a handle: a table's name and
// the Go types of its keys and values. Tables hold Python values; package codec/govalue describes
// how they map to Go types. In short, structs are dicts, slices are lists, and any is the natural
// type of each value. A Pipeline sends many requests at once.
//
// # Safety
//
// Client and server authenticate each other by a password. The password is never sent, and the
// handshake gives an eavesdropper nothing to test guesses against. A URL that begins with cyberdbs:
// or unixs:, or Options.Encrypt, encrypts the connection. The server must encrypt too (--encrypt);
// otherwise opening fails with ErrEncryption. The client detects an encrypted connection that was
// altered or cut on the way, and closes it.
//
// # Sharing
//
// Any number of goroutines may use a Client and its handles at the same time; only a Pipeline is
// for one goroutine. Requests made at the same time share one write, so a request costs less the
// more goroutines share the client. Make one client and keep it. Handles are free to make.
//
// # Order
//
// Every method except the iterations is one request. The server applies it as a whole or not at
// all, and the method returns afterwards. So the requests of one goroutine are applied in program
// order, on any table. The requests of a pipeline are applied in the order in which they were
// added.
//
// # Cancellation
//
// A method returns as soon as its context ends, with the context's error. A write may still have
// been applied, or may be applied later, even after the next request of the same goroutine if that
// uses another connection. With Options.Conns 1 the order stays. CompareAndSet and SetIf make
// writes that are safe to repeat.
//
// If the context has a deadline, the request carries the time that is left of it when it is
// written. The server executes no request whose time is over, so a busy server does no useless
// work; the request then has had no effect. If that reply arrives before the method
// returns, the error is ErrDeadlineExceeded. A cancellation without a deadline is not sent. Servers
// older than the client refuse requests with a deadline (ErrBadRequest): upgrade servers first.
//
// # Expiry and limits
//
// An entry whose deadline has passed is absent in every respect. SetWithTTL and the writes of a
// handle from WithTTL give entries a deadline, Expire and Persist change it, and TTL tells how much
// time is left. A plain Set or Update removes the deadline; KeepTTL makes handles that keep it. A
// time to live is a time.Duration, rounded up to milliseconds; one that is not above 0 or is above
// MaxTTL is an ErrValue before anything is sent. CreateWith and Configure set the limits of a dict:
// DictOptions.
//
// # Waiting and owning
//
// Lock and TryLock take a lock, which the client renews until Unlock; a context from IfFence makes
// the server refuse requests of an owner that has lost it. Put, Take, Ack and Nack make a queue of
// a List. GetOrCompute and Cached let one caller compute what many ask for. Publish and Subscribe
// pass messages on.
//
// A call that waits takes a place in a line on the server: first come, first served. It takes no
// goroutine but the caller's, and no connection. When its context ends, the client tells the
// server, and gives back what was granted meanwhile. If the connection is lost, the client asks
// again, and the place is lost; a grant that was made before is not. Only PopWait and PopLeftWait
// are not asked again, because that could take a second element.
//
// # Lost connections
//
// The client reconnects until it is closed, with growing random pauses. While it has no connection,
// requests wait for Options.WaitTimeout; then they fail with ErrUnsent and have changed nothing. If
// the connection of a write ends before the reply, the write fails with ErrConnectionLost: it may
// or may not have been applied, and the client does not repeat it. Reads are repeated. If nothing
// arrives for Options.SilenceTimeout while replies are due, the client closes the connection. So no
// method waits forever, even without a deadline, unless it is asked to.
//
// # Durability
//
// The server's policy (--fsync) determines when a write reaches the disk after its reply. A request
// whose context comes from Durable returns when its change is on disk, whatever the policy. Save
// writes a snapshot of all tables.
//
// # Errors
//
// Every method returns an *Error that names the request, the table and the key. errors.Is finds the
// sentinels of this package in it. ErrKey, ErrIndex, ErrType and ErrValue are Python's own
// exceptions.
package client
