// Package stats counts what event loops execute: requests by command and status, their bytes and
// latencies, and the use of each table.
//
// Each event loop has a Recorder, which it alone touches: recording takes no locks and no atomics,
// and allocates nothing once a command was used. To read, an event loop copies its recorder, and
// Merge adds the copies up.
//
// Tables have places in recorders by their tags. There are MaxTables of them; the uses of further
// tables are counted together.
package stats
