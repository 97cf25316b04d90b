package bench

import (
	"bufio"
	"fmt"
	"io"
	"slices"
)

// HitWorkload is a stream of keys that a cache is asked for.
type HitWorkload struct {
	Name string
	Help string
	new  func(keys, entries int, random *stream) func() uint32
}

// Shape of the workload with a hot set: so many of all requests go evenly to half as many keys as
// the cache has room for, the rest evenly to all keys. After every hotStep requests the hot set
// loses its oldest key and gets a new one.
const (
	hotShare = 5 // all but one of so many
	hotStep  = 10
)

// HitWorkloads returns the workloads in the order of the report.
func HitWorkloads() []HitWorkload {
	return []HitWorkload{
		zipfHits("zipf-0.8", 0.8),
		zipfHits("zipf-1.0", 1),
		zipfHits("zipf-1.2", 1.2),
		{
			Name: "scans",
			Help: "two thirds as zipf-1.0, one third keys that come once",
			new:  scanHits,
		},
		{
			Name: "moving",
			Help: "four fifths to a hot set of half the entries, which gets a new key each 10 requests",
			new:  movingHits,
		},
		{
			Name: "loop",
			Help: "1.2 keys for each entry, in turn",
			new: func(_, entries int, _ *stream) func() uint32 {
				next, length := uint32(0), uint32(entries+entries/5)
				return func() uint32 {
					next = (next + 1) % length
					return next
				}
			},
		},
	}
}

// PickHitWorkloads returns the workloads of these names, in that order. Errors: *UsageError.
func PickHitWorkloads(names []string) (picked []HitWorkload, err error) {
	all := HitWorkloads()
	for _, name := range names {
		i := slices.IndexFunc(all, func(w HitWorkload) bool { return w.Name == name })
		if i < 0 {
			return nil, &UsageError{fmt.Sprintf("--workload %q is unknown: see --help", name)}
		}
		picked = append(picked, all[i])
	}
	return picked, nil
}

func zipfHits(name string, exponent float64) HitWorkload {
	return HitWorkload{
		Name: name,
		Help: fmt.Sprintf("Zipf's distribution with exponent %.1f", exponent),
		new: func(keys, _ int, random *stream) func() uint32 {
			z := newZipf(keys, exponent)
			return func() uint32 { return z.draw(random.random) }
		},
	}
}

func scanHits(keys, _ int, random *stream) func() uint32 {
	z, once := newZipf(keys, 1), uint32(keys)
	return func() uint32 {
		if random.random()%3 == 0 {
			once++
			return once
		}
		return z.draw(random.random)
	}
}

func movingHits(keys, entries int, random *stream) func() uint32 {
	all, hot := uint64(keys), uint64(max(entries/2, 1))
	made := uint64(0)
	return func() uint32 {
		made++
		if random.random()%hotShare == 0 {
			return uint32(random.random() % all)
		}
		return uint32((made/hotStep + random.random()%hot) % all)
	}
}

// TraceWorkload returns a recorded workload: one key a line. keys is the number of different keys,
// requests that of all lines.
func TraceWorkload(name string, from io.Reader) (w HitWorkload, keys, requests int, err error) {
	numbers := map[string]uint32{}
	var trace []uint32
	lines := bufio.NewScanner(from)
	for lines.Scan() {
		number, known := numbers[lines.Text()]
		if !known {
			number = uint32(len(numbers))
			numbers[lines.Text()] = number
		}
		trace = append(trace, number)
	}
	if err := lines.Err(); err != nil {
		return HitWorkload{}, 0, 0, err
	}
	w = HitWorkload{Name: name, new: func(int, int, *stream) func() uint32 {
		next := -1
		return func() uint32 {
			next = (next + 1) % len(trace)
			return trace[next]
		}
	}}
	return w, len(numbers), len(trace), nil
}

// stream returns the workload's keys. They follow from the seed.
func (w *HitWorkload) stream(keys, entries int, seed uint64) func() uint32 {
	return w.new(keys, entries, &stream{state: mix(seed + gamma)})
}

// fillFrom is the first item that a cache is filled with before it is measured: no workload asks
// for it.
const fillFrom = 1 << 31
