package loop

import "time"

const (
	// maxInputBytes is the request-memory budget: how many bytes of requests the server buffers for
	// all clients together. These are partial frames, requests that wait for earlier ones, and
	// those that wait for a goroutine in the background.
	maxInputBytes = 256 << 20
	// maxInputTime is how old a client's input may be while more than half of the budget is in use.
	maxInputTime = 30 * time.Second
	// maxOutputBytes is how many bytes of replies may be unsent for all clients together before
	// each may have fewer.
	maxOutputBytes = 256 << 20
	// maxUnauthenticatedBytes is what all connections of CyberDB's wire together may have sent
	// before they have authenticated.
	maxUnauthenticatedBytes = 128 << 20
	// maxMessageBytes is how many bytes the messages that wait for subscribers may have, with what
	// is kept for the subscriptions of all clients together.
	maxMessageBytes = 128 << 20
	// maxBacklogBytes is how much may wait in memory for the journal to be written before requests
	// that change anything are refused.
	maxBacklogBytes = 256 << 20
)

// limits bound what all clients together make the server keep in memory. They come with the wall
// clock that the server reads.
type limits struct {
	inputBytes, outputBytes, messageBytes, unauthenticatedBytes, backlogBytes int64

	inputTime time.Duration
	waiters   int64                         // how many requests may wait
	wall      func(now time.Time) time.Time // see storeTime
}

// limits returns those that follow from the Config.
func (cfg *Config) limits() limits {
	return limits{
		inputBytes:           cfg.partOfMemory(maxInputBytes, 2),
		inputTime:            maxInputTime,
		outputBytes:          cfg.partOfMemory(maxOutputBytes, 4),
		messageBytes:         cfg.partOfMemory(maxMessageBytes, 8),
		unauthenticatedBytes: maxUnauthenticatedBytes,
		backlogBytes:         maxBacklogBytes,
		waiters:              maxAllWaiters,
	}
}

// partOfMemory returns bytes or, if that is less, the n-th part of the memory that the server may
// use.
func (cfg *Config) partOfMemory(bytes, n int64) int64 {
	if cfg.MaxMemoryBytes > 0 {
		return min(bytes, cfg.MaxMemoryBytes/n)
	}
	return bytes
}
