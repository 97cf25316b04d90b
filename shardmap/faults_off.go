//go:build !broken

package shardmap

// Faults that prove that the view checkers work. Only a build with the tag "broken" has them.
const (
	brokenHandover = false // writers save and hand over nothing
	brokenCut      = false // a cut takes its LSN before it marks the list of views as busy
	brokenRename   = false // a table is renamed without its locks
)
