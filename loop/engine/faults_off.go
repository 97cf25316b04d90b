//go:build !broken

package engine

// Faults that prove that the checkers of locks work. Only a build with the tag "broken" has them.
const (
	brokenRelease = false // UNLOCK does not look at the owner
	brokenFence   = false // IF FENCE accepts every fence of a lock that is held
	brokenLease   = false // a replay grants leases anew, from its own time on

	replayTime = 0
)
