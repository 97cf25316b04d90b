package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"cyberdb-fast/client"
)

// The tables that all clients write.
const (
	counterTable = "shared counter" // one key, to which each adds 1
	queueTable   = "shared queue"   // each appends, each takes from the front
	togetherName = "shared keys"    // a dict whose keys are always set together, to one value

	togetherKeys = 8
	mostQueue    = 60
)

// shared records what the clients did to the shared tables.
type shared struct {
	mu       sync.Mutex
	sum      int64 // when the cycle began
	sums     map[int64]time.Time
	adding   int // unknown whether applied
	queue    []string
	pushed   map[string]time.Time // zero: unknown
	popped   map[string]time.Time
	popping  int // unknown whether applied
	together string
	updates  []update                  // in the order in which they began
	length   int                       // of the queue, about
	given    map[client.Version]string // what was written with a version, ever
	mortals  map[string][]mortal       // by key; the first is what was there when the cycle began
	checked  time.Time                 // when that was
	filled   []time.Time               // when a key of fullName was acknowledged
	full     int                       // entries of fullName when the cycle began
	jobs     map[string]*job           // of jobsName, by value
	locks    map[string]*grant         // by name
}

// update is one that sets all keys of togetherName.
type update struct {
	client       int
	value        string
	began, acked time.Time
}

func newShared() *shared {
	s := &shared{
		given: map[client.Version]string{}, mortals: map[string][]mortal{},
		jobs: map[string]*job{}, locks: map[string]*grant{},
	}
	s.begin(0, nil, "")
	return s
}

// begin records what the tables hold now.
func (s *shared) begin(sum int64, queue []string, together string) {
	s.sum, s.sums, s.adding = sum, map[int64]time.Time{}, 0
	s.queue, s.pushed, s.popped, s.popping = queue, map[string]time.Time{}, map[string]time.Time{}, 0
	s.together, s.updates, s.length = together, nil, len(queue)
}

// furnish creates the tables if they do not exist.
func (s *shared) furnish(ctx context.Context, c *client.Client) error {
	for _, name := range []string{counterTable, togetherName, versionedName, mortalName, fencedName} {
		if _, err := c.Dict(name).Ensure(ctx); err != nil {
			return err
		}
	}
	if _, err := c.Dict(fullName).EnsureWith(ctx, client.DictOptions{MaxEntries: mostFull}); err != nil {
		return err
	}
	for _, name := range []string{queueTable, jobsName} {
		if _, err := c.List(name).Ensure(ctx); err != nil {
			return err
		}
	}
	return nil
}

// step is one write of a client.
func (s *shared) step(c *client.Client, w *writer) error {
	switch w.rng.IntN(12) {
	case 8, 9, 10:
		return s.work(c, w)
	case 11:
		return s.own(c, w)
	case 5, 6:
		return s.setMortal(c, w)
	case 7:
		return s.fill(c, w)
	case 0:
		return s.add(c)
	case 1:
		return s.set(c, w)
	case 2:
		return s.setVersioned(c, w)
	case 3:
		s.mu.Lock()
		full := s.length >= mostQueue
		s.mu.Unlock()
		if !full {
			return s.push(c, w)
		}
	}
	return s.pop(c)
}

func (s *shared) add(c *client.Client) error {
	sum, err := client.DictOf[string, int64](c, counterTable).Increment(context.Background(), "sum", 1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.adding++
		return err
	}
	if _, twice := s.sums[sum]; twice {
		return fmt.Errorf("two increments were answered %d", sum)
	}
	s.sums[sum] = time.Now()
	return nil
}

func (s *shared) push(c *client.Client, w *writer) error {
	w.count++
	val := fmt.Sprintf("%d %d", w.number, w.count)
	s.mu.Lock()
	s.pushed[val] = time.Time{}
	s.length++
	s.mu.Unlock()
	err := client.ListOf[string](c, queueTable).Append(context.Background(), val)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.pushed[val] = time.Now()
	}
	return err
}

func (s *shared) pop(c *client.Client) error {
	val, err := client.ListOf[string](c, queueTable).PopLeft(context.Background())
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case errors.Is(err, client.ErrIndex):
		return nil
	case err != nil:
		s.popping++
		return err
	}
	if _, twice := s.popped[val]; twice {
		return fmt.Errorf("%q was taken from the queue twice", val)
	}
	s.popped[val] = time.Now()
	s.length--
	return nil
}

func (s *shared) set(c *client.Client, w *writer) error {
	w.count++
	u := update{client: w.number, value: fmt.Sprintf("%d %d", w.number, w.count), began: time.Now()}
	s.mu.Lock()
	at := len(s.updates)
	s.updates = append(s.updates, u)
	s.mu.Unlock()
	items := map[int]string{}
	for k := range togetherKeys {
		items[k] = u.value
	}
	err := client.DictOf[int, string](c, togetherName).Update(context.Background(), maps.All(items))
	if err == nil {
		s.mu.Lock()
		s.updates[at].acked = time.Now()
		s.mu.Unlock()
	}
	return err
}

// check compares the tables with the recorded writes and continues from their contents.
func (s *shared) check(ctx context.Context, c *client.Client, v *verdict) error {
	if err := s.furnish(ctx, c); err != nil {
		return err
	}
	sum, err := client.DictOf[string, int64](c, counterTable).GetOr(ctx, "sum", 0)
	if err != nil {
		return err
	}
	queue, err := client.ListOf[string](c, queueTable).Values(ctx)
	if err != nil {
		return err
	}
	vals, err := client.DictOf[int, string](c, togetherName).Values(ctx)
	if err != nil {
		return err
	}
	if err := s.checkSum(sum, v); err != nil {
		return err
	}
	if err := s.checkQueue(queue, v); err != nil {
		return err
	}
	together, err := s.checkTogether(vals, v)
	s.begin(sum, queue, together)
	if err != nil {
		return err
	}
	if err := s.checkMortals(ctx, c, v); err != nil {
		return err
	}
	if err := s.checkFull(ctx, c, v); err != nil {
		return err
	}
	s.forgetGrants(v)
	return errors.Join(s.checkGrants(ctx, c), s.checkJobs(ctx, c, v))
}

func (s *shared) checkSum(sum int64, v *verdict) error {
	v.acked += len(s.sums)
	if most := s.sum + int64(len(s.sums)+s.adding); sum > most {
		return fmt.Errorf("wrong data: the counter is %d, and can be %d at most", sum, most)
	}
	for answered, acked := range s.sums {
		if answered > sum {
			v.lose(acked)
		}
	}
	if missing := s.sum - sum; missing > 0 { // increments of earlier cycles
		v.lost += int(missing)
		v.note("the counter was %d when the cycle began, and is %d", s.sum, sum)
	}
	return nil
}

// checkQueue: each element of the queue was appended, is in the order of its client, and was not
// popped. Each other element was popped.
func (s *shared) checkQueue(queue []string, v *verdict) error {
	at := map[string]int{} // places in the order in which they were appended, per client
	for i, val := range s.queue {
		at[val] = i
	}
	last := map[string]int{}
	there := map[string]bool{}
	old := -1
	for _, val := range queue {
		i, before := at[val]
		_, new := s.pushed[val]
		var client string
		var number int
		if _, err := fmt.Sscan(val, &client, &number); err != nil || there[val] || !before && !new {
			return fmt.Errorf("wrong data: the queue holds %q twice, or nothing appended it", val)
		}
		if number <= last[client] || before && (i <= old || len(there) != i-at[queue[0]]) {
			return fmt.Errorf("wrong data: the queue holds %q out of order: %s", val, strings.Join(queue, ", "))
		}
		last[client], there[val] = number, true
		if before {
			old = i
		}
	}
	v.acked += len(s.popped)
	for val, acked := range s.popped {
		if there[val] {
			v.lose(acked)
		}
	}
	var missing []time.Time // neither in the queue nor known to be popped
	miss := func(val string, acked time.Time) {
		if _, popped := s.popped[val]; !popped && !there[val] {
			missing = append(missing, acked)
		}
	}
	for _, val := range s.queue {
		miss(val, time.Time{})
	}
	for val, acked := range s.pushed {
		if !acked.IsZero() {
			v.acked++
			miss(val, acked)
		}
	}
	slices.SortFunc(missing, time.Time.Compare)
	// a pop without a reply took the oldest
	for _, acked := range missing[min(len(missing), s.popping):] {
		v.lose(acked)
	}
	return nil
}

// checkTogether: all keys hold one value, and no update came after the one that set it.
func (s *shared) checkTogether(vals []string, v *verdict) (string, error) {
	value := ""
	if len(vals) > 0 {
		value = vals[0]
	}
	if len(vals) != 0 && len(vals) != togetherKeys ||
		slices.ContainsFunc(vals, func(o string) bool { return o != value }) {
		return "", fmt.Errorf("wrong data: an update was applied by half: %q", vals)
	}
	at := slices.IndexFunc(s.updates, func(u update) bool { return u.value == value })
	if at < 0 && value != s.together {
		return "", fmt.Errorf("wrong data: the keys hold %q, which was never set", value)
	}
	for i, u := range s.updates {
		if u.acked.IsZero() {
			continue
		}
		v.acked++
		if at < 0 || i > at && u.client == s.updates[at].client ||
			!s.updates[at].acked.IsZero() && u.began.After(s.updates[at].acked) {
			v.lose(u.acked)
		}
	}
	return value, nil
}
