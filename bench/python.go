package bench

import "time"

// PythonRun is one measurement of client/python/bench.py: a client library of Python's, called in
// one process. The keys of the JSON form do not change.
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
	P99            float64   `json:"p99_us,omitempty"` // 0 if it was not measured
	Keys           int       `json:"keys"`
	KeyBytes       int       `json:"key_size"`
	ValueBytes     int       `json:"value_size"`
	Python         string    `json:"python"`
	Machine        Machine   `json:"machine"` // of no Go; the commit is that of the client
	Command        string    `json:"command"`
	Time           time.Time `json:"time"`
}

// PythonSummary has the medians of several runs that call one client in one way, compared with the
// first client.
type PythonSummary struct {
	Sample       *PythonRun // one of the runs: its workload, client and server are those of all
	Runs         []*PythonRun
	OpsPerSecond float64
	Least, Most  float64
	Ratio        float64 // of OpsPerSecond to that of the first client
	ClientCPU    float64
	P99          float64
}

// pythonWay is equal for comparable runs.
type pythonWay struct {
	op, python, caller         string
	callers, pipeline          int
	keys, keyBytes, valueBytes int
}

// SummarizePython returns one summary for each way to call and client, in the order in which they
// come first.
func SummarizePython(runs []*PythonRun) (all []*PythonSummary) {
	type group struct {
		way            pythonWay
		client, server string
	}
	known := map[group]*PythonSummary{}
	for _, r := range runs {
		g := group{r.way(), r.Client, r.Server}
		if known[g] == nil {
			known[g] = &PythonSummary{Sample: r}
			all = append(all, known[g])
		}
		known[g].Runs = append(known[g].Runs, r)
	}
	first := map[pythonWay]float64{}
	for _, s := range all {
		s.summarize()
		way := s.Sample.way()
		if _, measured := first[way]; !measured {
			first[way] = s.OpsPerSecond
		}
		s.Ratio = s.OpsPerSecond / max(first[way], 1)
	}
	return all
}

func (r *PythonRun) way() pythonWay {
	return pythonWay{r.Op, r.Python, r.Caller, r.Callers, r.Pipeline, r.Keys, r.KeyBytes, r.ValueBytes}
}

// summarize fills in everything but the ratio.
func (s *PythonSummary) summarize() {
	s.OpsPerSecond = medianOf(s.Runs, func(r *PythonRun) float64 { return r.CallsPerSecond })
	s.ClientCPU = medianOf(s.Runs, func(r *PythonRun) float64 { return r.ClientCPU })
	s.P99 = medianOf(s.Runs, func(r *PythonRun) float64 { return r.P99 })
	s.Least = s.Sample.CallsPerSecond
	for _, r := range s.Runs {
		s.Least, s.Most = min(s.Least, r.CallsPerSecond), max(s.Most, r.CallsPerSecond)
	}
}
