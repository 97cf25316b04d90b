// Command abuse does to a server what strangers, guessers and careless or hostile clients may do to
// it, and watches whether it minds.
//
// A campaign is a list of scenarios. Each has a server of its own, the real binary in a process of
// its own, and runs against it while a witness, in a third process, is an ordinary user:
// connections that stay, and new ones all the time, whose every reply is checked and timed. A
// scenario passes if
//
//   - the abuser gets what he is to get: an error reply, a refusal with its reason, the end of his
//     connection;
//   - the witness is served all the time, each request and each login within a bound;
//   - the server counts no panic, and its log stays short;
//   - connections, descriptors, goroutines and memory are back soon after;
//   - the server ends in order when it is told to.
//
// A campaign runs in a network of its own, where the kernel permits that: there it has addresses of
// other machines.
//
// Everything random comes from one seed, which is printed: -seed and -only repeat a scenario.
package main
