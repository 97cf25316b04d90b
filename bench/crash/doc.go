// Command crash ends a server, again and again, in the middle of its work, and looks for what it
// had acknowledged.
//
// A campaign is a number of cycles over one database. In each the real server, a process of its
// own, is started on what the cycle before has left, what it holds is compared with what was
// acknowledged, several clients write as fast as they can while others save, and then it is ended:
//
//   - in two cycles of three by SIGKILL, now and then within its last save or while it still loads;
//   - in one of three in order: by SIGTERM, SIGINT, SIGHUP or SIGQUIT to the process or to its
//     group, by the end of its standard input, by a hang-up of its terminal, or by two of these up
//     to two seconds apart;
//   - with -ext4, by a power cut instead of most kills, and after each end in order: the database
//     is on a separate ext4, which drops all that is not on disk (FS_IOC_GOINGDOWN).
//
// Each client has its own tables, and what these hold must be what they held after one of its
// writes: none applied by half, none out of order, the last that was acknowledged among them. All
// clients share a counter, a queue and a dict whose keys are always set together.
//
// What may be lost is what docs/RELIABILITY.md says. An end in order loses nothing under any
// policy. A kill loses nothing under always; under everysec and no what was acknowledged within the
// window before the end; without a journal what came after the last save.
//
// With -break the campaign must find losses: the server runs under no and is checked as if under
// always, and a kill that follows the first signal immediately is checked as a clean shutdown, as
// if the server did not flush.
//
// Everything random comes from one seed, which is printed. It repeats the choices, not the moments:
// these are the machine's.
package main
