package pubsub

import "sync"

// messageBytes is what a message takes besides its bytes.
const messageBytes = 96

// message is what was published once. It is in a list, from the oldest to the newest, while a queue
// has it.
type message struct {
	size int // of body, with messageBytes; constant

	// guarded by memory.mu
	body       []byte // nil: it was dropped to make room
	queues     int    // how many have it
	prev, next *message
}

// memory counts the bytes that a hub keeps, and drops the oldest messages to stay within a limit.
type memory struct {
	limit int64 // constant

	mu       sync.Mutex
	used     int64   // guarded by mu
	messages int64   // that are kept; guarded by mu
	list     message // of a ring: next is the oldest, prev the newest; guarded by mu
}

func (m *memory) init(limit int64) {
	m.limit = limit
	m.list.prev, m.list.next = &m.list, &m.list
}

// reserve counts bytes that are not those of messages. It drops messages if need be. It returns
// false, and counts nothing, if there is no room even so.
func (m *memory) reserve(bytes int) (missed int, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if missed = m.makeRoom(bytes); m.used+int64(bytes) > m.limit {
		return missed, false
	}
	m.used += int64(bytes)
	return missed, true
}

func (m *memory) unreserve(bytes int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.used -= int64(bytes)
}

// add makes a message for so many queues, of a copy of parts. It drops older ones if need be, and
// returns how many queues miss one for that. Without room even so, it returns nil.
func (m *memory) add(queues int, parts ...[]byte) (made *message, missed int) {
	size := 0
	for _, part := range parts {
		size += len(part)
	}
	body := make([]byte, 0, size)
	for _, part := range parts {
		body = append(body, part...)
	}
	size += messageBytes
	m.mu.Lock()
	defer m.mu.Unlock()
	if missed = m.makeRoom(size); m.used+int64(size) > m.limit {
		return nil, missed
	}
	made = &message{size: size, body: body, queues: queues, prev: m.list.prev, next: &m.list}
	made.prev.next, m.list.prev = made, made
	m.used += int64(size)
	m.messages++
	return made, missed
}

// makeRoom drops the oldest messages until there is room for bytes, or there are no messages. It
// returns how many queues miss one for that. The caller holds mu.
func (m *memory) makeRoom(bytes int) (missed int) {
	for m.used+int64(bytes) > m.limit && m.list.next != &m.list {
		missed += m.list.next.queues
		m.unlink(m.list.next)
	}
	return missed
}

// unlink takes a message out of the list. The caller holds mu.
func (m *memory) unlink(old *message) {
	old.prev.next, old.next.prev = old.next, old.prev
	old.prev, old.next, old.body = nil, nil, nil
	m.used -= int64(old.size)
	m.messages--
}

// leave notes that so many queues do not have the message any more, and returns its bytes, which do
// not change; nil: it was dropped.
func (m *memory) leave(left *message, queues int) (body []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	body = left.body
	if left.queues -= queues; left.queues == 0 && body != nil {
		m.unlink(left)
	}
	return body
}

// has says whether the message was not dropped.
func (m *memory) has(of *message) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return of.body != nil
}
