//go:build broken

package shardmap

// Faults that the checkers of views are tried on, each switched on by a test: see faults_off.go.
var (
	brokenHandover bool
	brokenCut      bool
	brokenRename   bool
)
