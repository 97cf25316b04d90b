//go:build broken

package shardmap

// Faults that prove that the view checkers work. Tests switch them on one by one; see
// faults_off.go.
var (
	brokenHandover bool
	brokenCut      bool
	brokenView     bool
	brokenRename   bool
)
