//go:build !broken

package shardmap

// Faults that prove that the checkers of views and of queues work. Only a build with the tag
// "broken" has them.
const (
	brokenHandover = false // writers save and hand over nothing
	brokenCut      = false // a cut reads the clock before it marks the list of views as busy
	brokenView     = false // a cut assigns an LSN
	brokenRename   = false // a table is renamed without its locks
	brokenAck      = false // an acknowledgement does not look whether its lease goes on
	brokenDue      = false // a replay lets leases and delays of items begin anew, from its own time on

	replayTime = 0
)
