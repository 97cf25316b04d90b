package page

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"cyberdb-fast/bench"
)

// origin says where, by which generators and when results were measured.
type origin struct{ Machines, Generators, Days []string }

func (o *origin) add(results *bench.Results) {
	for _, r := range results.Runs {
		o.addMachine(&r.Machine, r.Machine.Go)
		o.addDay(r.Time)
	}
	for _, r := range results.Loads {
		o.addMachine(&r.Machine, r.Machine.Go)
	}
	for _, r := range results.Idles {
		o.addMachine(&r.Machine, r.Machine.Go)
	}
	for _, r := range results.Python {
		o.addMachine(&r.Machine, r.Python)
		o.addDay(r.Time)
	}
}

func (o *origin) addMachine(m *bench.Machine, language string) {
	kernel, _, _ := strings.Cut(m.Kernel, "-") // without the name of its build
	o.Machines = addNew(o.Machines, fmt.Sprintf(
		"%s, %d CPUs, %g GiB, %s", cmp.Or(m.Processor, "unknown processor"), m.CPUs, m.MemoryGiB, kernel,
	))
	o.Generators = addNew(o.Generators, language)
}

func (o *origin) addDay(t time.Time) { o.Days = addNew(o.Days, t.Format(time.DateOnly)) }

// originOf is the origin of all sections.
func originOf(sections []Section) (o origin) {
	for i := range sections {
		o.add(&sections[i].Results)
	}
	return o
}
