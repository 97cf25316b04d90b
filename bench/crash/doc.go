// Command crash ends a server, again and again, in the middle of its work, and checks that the
// acknowledged writes are still there.
//
// A campaign is a number of cycles over one database. Each cycle has these steps:
//
//  1. It starts the real server, in a process of its own, on the files of the previous cycle.
//  2. It compares the tables with the acknowledged writes.
//  3. Several clients write as fast as they can, while others save.
//  4. It ends the server.
//
// The server ends in one of these ways:
//
//   - In two cycles of three by SIGKILL, now and then within its last save or while it still
//     loads.
//   - In one of three in order. The cause is SIGTERM, SIGINT, SIGHUP or SIGQUIT to the process or
//     to its group, the end of its standard input, a hang-up of its terminal, or two of these up to
//     two seconds apart.
//   - With -ext4, by a power cut instead of most kills, and after each end in order. The database
//     is then on an ext4 of its own, which drops all that is not on disk (FS_IOC_GOINGDOWN).
//
// Each client has tables of its own. They must hold what they held after one of its writes, the
// last acknowledged one or a later one: none applied by half, none out of order. All clients share
// a counter, a queue and a dict whose keys are always set together; a dict whose entries expire, of
// which none is shown after its deadline and none is missing before it; a dict with a limit, which
// is full once it was full; jobs, of which none is lost, none is delivered after it was
// acknowledged, and none twice within a lease, also over restarts; and locks, which never have two
// owners, whose fences grow for ever, and with whose fences only owners write.
//
// What may be lost is what docs/RELIABILITY.md says. An end in order loses nothing under any
// policy. A kill loses nothing under always. Under everysec and no it loses what was acknowledged
// within the window before the end, without a journal what came after the last save.
//
// With -break the campaign must find losses: the server runs under no and is checked as if under
// always, and a kill that follows the first signal immediately is checked as a clean shutdown, as
// if the server did not flush.
//
// With -fault and a server that is built with the tag "broken" the campaign must fail: "release" is
// an UNLOCK that does not look at the owner, "fence" an IF FENCE that accepts all fences of a lock
// that is held, "ack" an acknowledgement that does not look at the lease, "lease" and "due" a
// replay that lets the leases of locks, and of items, begin anew.
//
// Everything random comes from one seed, which is printed. It repeats the choices, not the moments:
// these are the machine's.
package main
