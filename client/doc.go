// Package client is the Go client: typed handles of a server's dicts and lists.
//
//	c, err := client.Open(ctx, "cyberdb://:password@127.0.0.1:9980", nil)
//	users := client.DictOf[string, User](c, "users")
//	err = users.Set(ctx, "bob", User{Name: "Bob", Age: 31})
//	bob, err := users.Get(ctx, "bob") // errors.Is(err, client.ErrKey) if there is none
//
// A Client keeps a few connections (two unless Options say otherwise). Dict and List are handles: a
// table's name and the Go types that its keys and values are read as. Tables hold Python values;
// what Go types they become and come from is the business of package codec/govalue: structs are
// dicts, slices are lists, any is each value's natural type. A Pipeline sends many requests at
// once.
//
// # Safety
//
// Client and server prove to each other that they know the password; it is never sent, and nobody
// who listens can try passwords against what he recorded. A URL that begins with cyberdbs: or
// unixs:, or Options.Encrypt, encrypts what follows; the server must do so too (--encrypt), or
// opening fails with ErrEncryption. A connection that somebody changed or cut on the way is found
// out and given up.
//
// # Sharing
//
// Everything but a Pipeline may be used by any number of goroutines, and is meant to be: requests
// that are made at the same time travel in one write, so a client gets faster per request the more
// goroutines share it. Make one client and keep it. Handles cost nothing.
//
// # Order
//
// Every method but the iterations is one request, applied by the server whole or not at all, and
// returns when it has been. So the requests of one goroutine take effect in the order of its
// program, on any table. The requests of a pipeline take effect in the order in which they were
// added.
//
// # Giving up
//
// When its context ends a method returns at once, with the context's error. A read is then simply
// without a result. A write may have been applied, or may still be a moment later, even after the
// next request of the same goroutine when that takes another connection; with Options.Conns 1 it
// does not. CompareAndSet and SetIf make writes that are safe to repeat.
//
// # Lost connections
//
// Connections are made anew, with growing and random pauses, for as long as the client is open.
// While there is none, requests wait for Options.WaitTimeout, then fail with ErrUnsent: they have
// changed nothing. A write whose connection ends before its reply fails with ErrConnectionLost: it
// may or may not have been applied, and is never repeated by itself. Reads are repeated. A server
// that is silent while replies are due is given up after Options.SilenceTimeout, so no method waits
// for ever, even without a deadline of its own.
//
// # On disk
//
// When a write is on disk, after its reply, is the server's policy to say (--fsync); Save puts all
// there is into the server's file. A request whose context is of Durable returns when its change is
// on disk, whatever the policy.
//
// # Errors
//
// Every method returns an *Error that names request, table and key; errors.Is finds the package's
// sentinels in it, of which ErrKey, ErrIndex, ErrType and ErrValue are Python's own.
package client
