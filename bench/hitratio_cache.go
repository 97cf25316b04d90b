package bench

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/codec"
)

// HitCache is a cache to measure: a server, and how it chooses what to evict.
type HitCache struct {
	Target Target
	Policy string // of Redis: maxmemory-policy; of cyberdb-fast: the dict's policy; of memcached: ""
}

// HitCaches returns the caches that the targets make: a Redis makes one for each policy of LRU and
// LFU. Errors: *UsageError for a target that is no cache.
func HitCaches(targets []Target) (caches []HitCache, err error) {
	for _, t := range targets {
		switch t.Scheme {
		case SchemeNative:
			caches = append(caches, HitCache{t, "s3fifo"})
		case SchemeRedis:
			caches = append(caches, HitCache{t, "allkeys-lru"}, HitCache{t, "allkeys-lfu"})
		case SchemeMemcached:
			caches = append(caches, HitCache{t, ""})
		default:
			return nil, &UsageError{fmt.Sprintf("hitratio takes no target of protocol %s", t.Scheme)}
		}
	}
	return caches, nil
}

// Name returns the protocol and the policy.
func (c HitCache) Name() string { return strings.TrimSpace(c.Target.Scheme + " " + c.Policy) }

// limiter limits a server's entries and counts them.
type limiter interface {
	// empty removes all entries. The limit stays, if there was one.
	empty(ask asker) error
	// adjust changes the limit of a server that is full of so many entries and should have others.
	// It returns false if it cannot: the limit is exact, or it was fixed when the server started.
	adjust(ask asker, has, want int) (bool, error)
	// count returns how many entries the server has.
	count(ask asker) (int, error)
}

// limiter returns what limits the cache to entries of so many bytes of key and value.
func (c HitCache) limiter(table string, entries, bytes int) limiter {
	switch c.Target.Scheme {
	case SchemeRedis:
		const overhead, base = 120, 2 << 20 // estimates to begin with
		each := bytes + overhead
		return &redisLimit{policy: c.Policy, each: each, limit: base + entries*each}
	case SchemeMemcached:
		return memcachedLimit{}
	default:
		return nativeLimit{table, c.Policy, entries}
	}
}

// nativeLimit limits a dict by its option max_entries.
type nativeLimit struct {
	table, policy string
	entries       int
}

func (l nativeLimit) request(op codec.Opcode, arguments []byte) []byte {
	args := append(msgp.AppendString(nil, l.table), arguments...)
	return codec.AppendRequest(nil, &codec.Request{ID: controlID, Op: op, Args: args})
}

func (l nativeLimit) empty(ask asker) error {
	there, err := ask(l.request(codec.OpExists, nil))
	if err != nil {
		return err
	}
	if there.kind == replyTrue {
		if _, err := ask(l.request(codec.OpDrop, nil)); err != nil {
			return err
		}
	}
	options := msgp.AppendMapHeader(nil, 2)
	options = msgp.AppendInt(msgp.AppendString(options, "max_entries"), l.entries)
	options = msgp.AppendString(msgp.AppendString(options, "policy"), l.policy)
	_, err = ask(l.request(codec.OpCreateDict, options))
	return err
}

func (nativeLimit) adjust(asker, int, int) (bool, error) { return false, nil }

func (l nativeLimit) count(ask asker) (int, error) {
	r, err := ask(l.request(codec.OpDictLen, nil))
	return int(r.number), err
}

// redisLimit limits a Redis by maxmemory, which counts bytes.
type redisLimit struct {
	policy string
	each   int // estimated bytes of an entry
	limit  int
}

func (l *redisLimit) set(ask asker) error {
	_, err := ask(respCommand("CONFIG", "SET", "maxmemory", strconv.Itoa(l.limit), "maxmemory-policy", l.policy))
	return err
}

func (l *redisLimit) empty(ask asker) error {
	if _, err := ask(respCommand("FLUSHALL", "SYNC")); err != nil {
		return err
	}
	return l.set(ask)
}

func (l *redisLimit) adjust(ask asker, has, want int) (bool, error) {
	l.limit += (want - has) * l.each
	return true, l.set(ask)
}

func (l *redisLimit) count(ask asker) (int, error) {
	r, err := ask(respCommand("DBSIZE"))
	return int(r.number), err
}

// memcachedLimit counts what a memcached has. Its limit, -m, is fixed when it starts.
type memcachedLimit struct{}

func (memcachedLimit) empty(ask asker) error {
	_, err := ask([]byte("flush_all\r\n"))
	time.Sleep(2 * time.Second) // it takes effect with the server's clock of seconds
	return err
}

func (memcachedLimit) adjust(asker, int, int) (bool, error) { return false, nil }

func (memcachedLimit) count(ask asker) (int, error) {
	r, err := ask([]byte("stats\r\n"))
	if err != nil {
		return 0, err
	}
	_, rest, found := bytes.Cut(r.text, []byte("STAT curr_items "))
	line, _, _ := bytes.Cut(rest, []byte("\r\n"))
	n, ok := parseDecimal(line)
	if !found || !ok {
		return 0, errors.New("memcached's stats have no curr_items")
	}
	return int(n), nil
}
