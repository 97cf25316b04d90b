// Command crash ends a server, again and again, in the middle of its work, and looks for what it had acknowledged.
//
// A campaign is a number of cycles over one database. In each the real server, a process of its own, is started on what the cycle before has left,
// what it holds is compared with what was acknowledged, several clients write as fast as they can while others save, and then it is ended:
//
//   - by SIGKILL, most often; now and then within its last save after SIGTERM, while it still loads, or in order;
//   - with -ext4, by a power cut: the database is on an ext4 of its own, which drops all that is not on disk (FS_IOC_GOINGDOWN),
//     and now and then by a kill alone.
//
// Each client has tables of its own, and what these hold must be what they held after one of its writes: none applied by half, none out of order,
// the last that was acknowledged among them. All clients share a counter, a queue and a dict whose keys are always set together.
//
// What may be lost is what docs/RELIABILITY.md says: nothing under always; under everysec and no what was acknowledged within the window before the end.
// With -break the server runs under no, and is judged as if under always: the campaign must find losses.
//
// Everything random comes from one seed, which is printed. It repeats the choices, not the moments: these are the machine's.
package main
