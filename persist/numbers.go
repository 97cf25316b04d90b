package persist

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"sync/atomic"
	"time"
)

const (
	numbersSuffix = ".numbers"

	defaultNumbersRange = 1 << 26
	numbersRetry        = time.Second // between two attempts to renew a reservation
	// spareRanges is the least number of ranges that a start skips if no file says what was
	// reserved.
	spareRanges = 64
)

// NumbersName returns the name of the file with the reserved LSNs of a data file's database.
func NumbersName(name string) string { return name + numbersSuffix }

// NumbersOptions are the settings of Numbers. The zero value is ready for use.
type NumbersOptions struct {
	// Range is how many LSNs are reserved at a time; 0: 2^26. Half of them must last for one write
	// to the disk.
	Range    uint64
	InFlight uint64 // most LSNs that are assigned between two calls of Allow

	// OnRenew, if not nil, is called once when a range cannot be reserved, and with nil when it can
	// again. It must not block.
	OnRenew func(err error)
}

// Numbers are the LSNs that a database may assign. They are reserved on disk, one range at a time,
// before they are used. A later start begins after them, so no LSN is assigned twice, whatever was
// lost.
//
// Recover opens them; Start them; call Allow before each change. A goroutine reserves the next
// range while half of the current one is left. Once Start has returned, methods are safe for
// concurrent use.
type Numbers struct {
	// constant after Start
	fs       FS
	name     string
	database ID
	opt      NumbersOptions
	clock    func() uint64
	stored   reservation
	kick     chan struct{}
	stop     chan struct{}
	ended    chan struct{}

	limit   atomic.Uint64 // the last LSN that is reserved on disk; 0 once the file is lost
	renewAt atomic.Uint64 // a clock above it requests the next range

	// problem is why the last range could not be reserved. Written under mu, read by event loops.
	problem atomic.Pointer[error]

	mu     sync.Mutex // held while waiting for the disk
	file   FileID     // guarded by mu
	lost   bool       // the file is no longer in place: problem is final; guarded by mu
	closed bool       // guarded by mu
}

// readNumbers reads what was reserved. A missing or damaged file is not an error: see
// reservation.problem.
//
// Errors: ErrVersion, ErrForeign; those of the file system.
func readNumbers(fsys FS, name string, opt NumbersOptions) (*Numbers, error) {
	if opt.Range == 0 {
		opt.Range = defaultNumbersRange
	}
	opt.Range = max(opt.Range, 4*opt.InFlight)
	n := &Numbers{
		fs:    fsys,
		name:  name,
		opt:   opt,
		kick:  make(chan struct{}, 1),
		stop:  make(chan struct{}),
		ended: make(chan struct{}),
	}
	var err error
	n.stored, err = readReservation(fsys, name)
	return n, err
}

// NewClock returns the first clock of a new database. It is random, because a client of an earlier
// database at the same place may still hold versions of that one. It is small enough to leave
// nearly all of the 48 bits, and for a journal to skip it in a few operations.
func NewClock() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return binary.LittleEndian.Uint64(b[:]) >> 24
}

// firstClock returns the clock of a start: at least last, the last LSN in the files, and above all
// LSNs that may have been assigned.
func (n *Numbers) firstClock(last uint64) uint64 {
	switch {
	case n.stored.problem == nil:
		return max(last, n.stored.limit)
	case last == 0 && errors.Is(n.stored.problem, fs.ErrNotExist):
		return NewClock()
	}
	// The random part is for another start in the same situation before an operation is on disk,
	// and for other copies of the file.
	last = max(last, n.stored.limit)
	return last + min(spareRanges*n.opt.Range+NewClock()>>4, (maxLSN-last)/2)
}

// Start reserves the first range after clock's LSN on disk, and starts the goroutine that reserves
// the next ones.
//
// Errors: those of the file system. If NoRoom is true for the error, call Fail.
func (n *Numbers) Start(clock func() uint64) error {
	if err := n.prepare(clock); err != nil {
		return err
	}
	go n.run()
	return nil
}

// prepare is Start without the goroutine.
func (n *Numbers) prepare(clock func() uint64) error {
	n.clock = clock
	if err := n.extend(clock() + n.opt.Range); err != nil {
		return fmt.Errorf("reserving numbers: %w", err)
	}
	return nil
}

// Fail is for Numbers that cannot be started because the disk is full, or that are closed. Allow
// returns false from then on, and Err returns why.
func (n *Numbers) Fail(why error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
	n.limit.Store(0)
	n.problem.Store(&why)
}

// Allow reports whether a change may be made at this clock: the LSNs that it will take are
// reserved. It does not block.
func (n *Numbers) Allow(clock uint64) bool {
	if clock > n.renewAt.Load() {
		n.renewSoon()
	}
	return clock+n.opt.InFlight <= n.limit.Load()
}

// renewSoon requests the next range. It is separate so that Allow is inlined.
func (n *Numbers) renewSoon() { signal(n.kick) }

// Reserve reserves all LSNs up to last on disk, for a caller that assigns many at once. It blocks.
func (n *Numbers) Reserve(last uint64) error {
	if last+n.opt.InFlight <= n.limit.Load() {
		return nil
	}
	return n.extend(last + n.opt.Range)
}

// Err returns why the next range could not be reserved, nil if it could. It does not block.
func (n *Numbers) Err() error {
	if p := n.problem.Load(); p != nil {
		return *p
	}
	return nil
}

// run reserves ranges until Close.
func (n *Numbers) run() {
	defer close(n.ended)
	for {
		select {
		case <-n.stop:
			return
		case <-n.kick:
		}
		if n.Renew() == nil {
			continue
		}
		select {
		case <-n.stop:
			return
		case <-time.After(numbersRetry):
			signal(n.kick)
		}
	}
}

// Renew reserves the next range if half of the current one is used.
func (n *Numbers) Renew() error {
	clock := n.clock()
	if clock <= n.renewAt.Load() {
		return nil
	}
	return n.extend(clock + n.opt.Range)
}

// extend reserves all LSNs up to limit.
func (n *Numbers) extend(limit uint64) error {
	n.mu.Lock()
	if n.lost || n.closed {
		defer n.mu.Unlock()
		return n.Err()
	}
	limit = min(limit, maxLSN)
	err := n.checkFile()
	if err == nil && limit > n.limit.Load() {
		err = n.write(reservation{database: n.database, limit: limit})
	}
	if err == nil {
		n.limit.Store(max(limit, n.limit.Load()))
		n.renewAt.Store(n.limit.Load() - n.opt.Range/2)
	}
	reported := (n.Err() == nil) != (err == nil)
	n.problem.Store(&err)
	n.mu.Unlock()
	if reported && n.opt.OnRenew != nil {
		n.opt.OnRenew(err)
	}
	return err
}

// write writes a reservation to the file, which it makes anew if the start found none, or one that
// a power cut has damaged. The caller holds mu.
func (n *Numbers) write(r reservation) (err error) {
	if n.limit.Load() == 0 && (n.stored.problem != nil || n.stored.torn) {
		err = createReservation(n.fs, n.name, &r)
	} else {
		err = overwriteReservation(n.fs, n.name, &r)
	}
	if err == nil && n.limit.Load() == 0 {
		n.file, _, err = n.fs.Identify(n.name)
	}
	return err
}

// Check returns an error if the file is no longer in place because its directory was removed, moved
// or replaced. From then on Allow returns false.
func (n *Numbers) Check() error {
	if !n.mu.TryLock() { // a range is being reserved, which includes this check: do not wait for it
		return nil
	}
	defer n.mu.Unlock()
	err := n.checkFile()
	if err != nil {
		n.problem.Store(&err)
	}
	return err
}

// checkFile is Check without setting the error of Err. The caller holds mu.
func (n *Numbers) checkFile() error {
	switch {
	case n.lost:
		return n.Err()
	case n.limit.Load() == 0: // not created yet
		return nil
	}
	err := inPlace(n.fs, n.name, n.file, numbersFileBytes)
	if err != nil {
		n.lost = true
		n.limit.Store(0)
	}
	return err
}

// Close ends the reservation. last is the LSN of the last operation in the files if they hold all
// operations, otherwise 0.
func (n *Numbers) Close(last uint64) error {
	close(n.stop)
	<-n.ended
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
	if last == 0 {
		return nil
	}
	if err := n.checkFile(); err != nil {
		return err
	}
	return n.write(reservation{database: n.database, limit: max(n.clock(), last), ended: last})
}

func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
