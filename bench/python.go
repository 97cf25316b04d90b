package bench

import (
	"fmt"
	"time"
)

// PythonRun is one measurement of client/python/bench.py: a client library of Python's, called in
// one process. The keys of the JSON form stay as they are.
type PythonRun struct {
	CallsPerSecond float64   `json:"calls_per_s"`
	Client         string    `json:"client"`
	Server         string    `json:"server"`
	Op             string    `json:"op"`
	Pipeline       int       `json:"pipeline"`
	Caller         string    `json:"caller"` // thread, greenlet or task
	Callers        int       `json:"callers"`
	Ops            uint64    `json:"ops"`
	Seconds        float64   `json:"duration_s"`
	ClientCPU      float64   `json:"client_cpu_us_per_op"`
	Keys           int       `json:"keys"`
	KeyBytes       int       `json:"key_size"`
	ValueBytes     int       `json:"value_size"`
	Python         string    `json:"python"`
	Machine        Machine   `json:"machine"` // of no Go; the commit is that of the client
	Command        string    `json:"command"`
	Time           time.Time `json:"time"`
}

// PythonSummary is what several runs of one way to call one client have in common: medians, and how
// they compare with the first client called so.
type PythonSummary struct {
	Workload    string
	way         pythonWay
	client      string
	runs        []*PythonRun
	median      float64
	least, most float64
	ratio       float64
	cpu         float64
}

// pythonWay is what runs must share to be comparable.
type pythonWay struct {
	workload, caller  string
	callers, pipeline int
}

// SummarizePython returns one summary for each way to call and client, in the order in which they
// come first.
func SummarizePython(runs []*PythonRun) (all []*PythonSummary) {
	type group struct {
		way    pythonWay
		client string
	}
	known := map[group]*PythonSummary{}
	for _, r := range runs {
		workload := fmt.Sprintf(
			"%s, %d keys of %d bytes, values of %d bytes, %s",
			r.Op,
			r.Keys,
			r.KeyBytes,
			r.ValueBytes,
			r.Python,
		)
		g := group{pythonWay{workload, r.Caller, r.Callers, r.Pipeline}, r.Client + " on " + r.Server}
		if known[g] == nil {
			known[g] = &PythonSummary{Workload: workload, way: g.way, client: g.client}
			all = append(all, known[g])
		}
		known[g].runs = append(known[g].runs, r)
	}
	first := map[pythonWay]float64{}
	for _, s := range all {
		s.median = medianOf(s.runs, func(r *PythonRun) float64 { return r.CallsPerSecond })
		s.cpu = medianOf(s.runs, func(r *PythonRun) float64 { return r.ClientCPU })
		s.least = s.runs[0].CallsPerSecond
		for _, r := range s.runs {
			s.least, s.most = min(s.least, r.CallsPerSecond), max(s.most, r.CallsPerSecond)
		}
		if _, measured := first[s.way]; !measured {
			first[s.way] = s.median
		}
		s.ratio = s.median / max(first[s.way], 1)
	}
	return all
}

// PythonHeads are the heads of the columns of PythonSummary.Cells.
func PythonHeads() []string {
	return []string{"callers", "-P", "client", "op/s", "x first", "least", "most", "client us/op"}
}

// Cells returns the summary's figures for a table.
func (s *PythonSummary) Cells() []string {
	callers := fmt.Sprintf("%d %s", s.way.callers, s.way.caller)
	if s.way.callers > 1 {
		callers += "s"
	}
	return []string{
		callers, fmt.Sprint(s.way.pipeline), s.client, fmt.Sprintf("%.0f", s.median), spellRatio(s.ratio),
		fmt.Sprintf("%.0f", s.least), fmt.Sprintf("%.0f", s.most), fmt.Sprintf("%.2f", s.cpu),
	}
}
