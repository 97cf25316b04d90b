// Command abuse does to a server what clients without a password, guessers and careless or hostile
// clients may do, and checks that the server withstands it.
//
// A campaign is a list of scenarios. Each scenario has its own server, the real binary in its own
// process. Meanwhile a witness, in a third process, is an ordinary client: it has some permanent
// connections and opens new ones all the time, and it checks and times every reply. A scenario
// passes if
//
//   - the abuser gets the expected result: an error reply, a refusal with its reason, the end of
//     the connection;
//   - the witness is served all the time, each request and each login within a bound;
//   - the server counts no panic, and its log stays short;
//   - the server soon releases connections, descriptors, goroutines and memory;
//   - the server shuts down in order on request.
//
// A campaign runs in its own network, if the kernel permits that: there it has addresses of other
// machines.
//
// Everything random comes from one seed, which is printed: -seed and -only repeat a scenario.
package main
