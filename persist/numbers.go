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
	numbersRetry        = time.Second // between two tries to renew a reservation
	// spareRanges is how many ranges a start leaves out, at least, if no file says what was
	// reserved.
	spareRanges = 64
)

// NumbersName returns the name of the file with the reserved numbers of the database in a .cdb
// file.
func NumbersName(name string) string { return name + numbersSuffix }

// NumbersOptions are the settings of Numbers. The zero value is ready.
type NumbersOptions struct {
	// how many numbers are reserved at once; 0 is 2^26. Half of them must last while one write to
	// the disk does
	Range    uint64
	InFlight uint64 // at most as many numbers are assigned between Allow and the next Allow

	// OnRenew, if not nil, is called when a range cannot be reserved, once, and with nil when that
	// can be done again. It must not block.
	OnRenew func(err error)
}

// Numbers are the LSNs that a database may assign. They are reserved on disk, a range at a time,
// before they are used: a later start begins behind them, so no number is assigned twice, whatever
// was lost.
//
// Open them by Recover, Start them, ask Allow before each change. A goroutine reserves the next
// range while half of the one before is left. Methods may be called from any goroutine once Start
// has returned.
type Numbers struct {
	// constant after Start
	fs       FS
	name     string
	database ID
	opt      NumbersOptions
	clock    func() uint64
	found    reservation
	kick     chan struct{}
	stop     chan struct{}
	ended    chan struct{}

	limit   atomic.Uint64 // the last number that is reserved on disk; 0 once the file is lost
	renewAt atomic.Uint64 // a clock above it asks for the next range

	// why the last range could not be reserved; written under mu, read by event loops
	problem atomic.Pointer[error]

	mu     sync.Mutex // held while the disk is waited for
	file   FileID     // guarded by mu
	lost   bool       // the file is not where it was: problem is final; guarded by mu
	closed bool       // guarded by mu
}

// readNumbers reads what was reserved. A missing or damaged file is no error: see
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
	n.found, err = readReservation(fsys, name)
	return n, err
}

// NewClock returns the number that a new database begins behind. It is random: a client of an
// earlier database at the same place may still hold versions of that one. It leaves nearly all of
// the 48 bits, and a journal can skip it in a few operations.
func NewClock() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return binary.LittleEndian.Uint64(b[:]) >> 24
}

// begin returns the number that the clock goes on from: at least last, the last in the files, and
// behind all that may have been assigned.
func (n *Numbers) begin(last uint64) uint64 {
	switch {
	case n.found.problem == nil:
		return max(last, n.found.limit)
	case last == 0 && errors.Is(n.found.problem, fs.ErrNotExist):
		return NewClock()
	}
	// The random part is for a start that meets this again before any of its operations is on disk,
	// and for other copies of the file.
	last = max(last, n.found.limit)
	return last + min(spareRanges*n.opt.Range+NewClock()>>4, (maxLSN-last)/2)
}

// Start reserves the first range behind clock's number on disk, and starts the goroutine that
// reserves the next ones.
//
// Errors: those of the file system. NoRoom finds that there is no room; Refuse is for that.
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

// Fail is for numbers that cannot be started, since there is no room, or that are closed. Nothing
// is allowed, and Err returns why.
func (n *Numbers) Fail(why error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
	n.limit.Store(0)
	n.problem.Store(&why)
}

// Allow says whether a change may be made while the clock is at a number: what it assigns is
// reserved. It does not block.
func (n *Numbers) Allow(clock uint64) bool {
	if clock > n.renewAt.Load() {
		n.renewSoon()
	}
	return clock+n.opt.InFlight <= n.limit.Load()
}

// renewSoon asks for the next range. It is apart so that Allow is inlined.
func (n *Numbers) renewSoon() { signal(n.kick) }

// Reserve reserves all numbers up to last on disk, for a caller that assigns many at once. It
// blocks.
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

// Renew reserves the next range if half of the one before is used.
func (n *Numbers) Renew() error {
	clock := n.clock()
	if clock <= n.renewAt.Load() {
		return nil
	}
	return n.extend(clock + n.opt.Range)
}

// extend reserves all up to a number.
func (n *Numbers) extend(limit uint64) error {
	n.mu.Lock()
	if n.lost || n.closed {
		defer n.mu.Unlock()
		return n.Err()
	}
	limit = min(limit, maxLSN)
	err := n.place()
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

// write writes a reservation to the file, which is made if a start finds none. The caller holds mu.
func (n *Numbers) write(r reservation) (err error) {
	if n.limit.Load() == 0 && n.found.problem != nil {
		err = createReservation(n.fs, n.name, &r)
	} else {
		err = overwriteReservation(n.fs, n.name, &r)
	}
	if err == nil && n.limit.Load() == 0 {
		n.file, _, err = n.fs.Identify(n.name)
	}
	return err
}

// Check returns an error if the file is not where it was: its directory was removed, moved or
// replaced. From then on nothing is allowed.
func (n *Numbers) Check() error {
	if !n.mu.TryLock() { // a range is being reserved, which looks itself: the caller does not wait for that
		return nil
	}
	defer n.mu.Unlock()
	err := n.place()
	if err != nil {
		n.problem.Store(&err)
	}
	return err
}

// place is Check, but for Err. The caller holds mu.
func (n *Numbers) place() error {
	switch {
	case n.lost:
		return n.Err()
	case n.limit.Load() == 0: // not made yet
		return nil
	}
	err := inPlace(n.fs, n.name, n.file, numbersFileBytes)
	if err != nil {
		n.lost = true
		n.limit.Store(0)
	}
	return err
}

// Close ends the reservation. last is the number of the last operation in the files, if they hold
// all operations, and 0 if not.
func (n *Numbers) Close(last uint64) error {
	close(n.stop)
	<-n.ended
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
	if last == 0 {
		return nil
	}
	if err := n.place(); err != nil {
		return err
	}
	return n.write(reservation{database: n.database, limit: max(n.clock(), last), ended: last})
}
