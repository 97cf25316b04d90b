//go:build !broken

package shardmap

// Faults that the checkers of views are tried on: a build with the tag "broken" has them, this one
// has not.
const (
	brokenHandover = false // writers keep and hand over nothing
	brokenCut      = false // a cut draws its number before it marks the list
	brokenRename   = false // a table is renamed while calls on it are under way
)
