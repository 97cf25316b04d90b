package shardmap

// Found is what Dict.Find tells of an entry.
type Found struct {
	Val      []byte // appended to dst
	Place    uint64 // LSN of the insertion
	Version  uint64 // of the last change
	Deadline int64  // in milliseconds since 1970 UTC, with the table's default put in; 0: none
}

// Find appends the value of key, and tells when it was inserted and when it expires. It ignores
// Call.HasIf. Errors: ErrNoKey; ErrLong as Get.
func (d *Dict) Find(c *Call, dst, given []byte) (f Found, err error) {
	var k key
	if err := d.resolve(c, given, &k); err != nil {
		return f, err
	}
	s, err := d.lock(c, k.hash)
	if err != nil {
		return f, err
	}
	num := s.find(k.hash, k.canonical)
	if num < 0 || s.expired(c, num) {
		c.unlock()
		return f, ErrNoKey
	}
	s.touch(num)
	f = Found{Place: s.place(num), Version: s.entry(num).version()}
	f.Deadline = d.deadlineAt(s.deadline(num), f.Version)
	f.Val, err = d.readLocked(c, s, dst, num)
	return f, err
}
