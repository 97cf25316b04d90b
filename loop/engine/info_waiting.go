package engine

import "encoding/binary"

// maxLineFigures is the most lines of which INFO "waiting" tells.
const maxLineFigures = 1000

// LineFigures is what INFO "waiting" says of a line.
type LineFigures struct {
	Kind    string `json:"kind"` // "lock", "compute" or "list"
	Name    string `json:"name"` // of the lock or the table
	Waiters int    `json:"waiters"`
}

var lineKinds = [...]string{lockEntry: "lock", computeEntry: "compute", listLine: "list"}

// lineName returns what the key of a line is for.
func lineName(key []byte) (kind, name string) {
	if len(key) == 0 || int(key[0]) >= len(lineKinds) {
		return "", ""
	}
	kind, rest := lineKinds[key[0]], key[1:]
	if key[0] == computeEntry && len(rest) >= 2 {
		rest = rest[2:][:min(len(rest)-2, int(binary.BigEndian.Uint16(rest)))]
	}
	return kind, string(rest)
}

// infoWaiting answers INFO "waiting".
func infoWaiting(x *Executor) error {
	var answer struct {
		Lines []LineFigures `json:"lines"`
		More  bool          `json:"more"` // there are others
	}
	answer.Lines, answer.More = x.engine.lines.figures(maxLineFigures)
	return x.answerJSON(&answer)
}

// figures returns at most limit of the lines, in any order, and whether there are more.
func (l *lines) figures(limit int) (all []LineFigures, more bool) {
	all = []LineFigures{}
	for i := range l.stripes {
		s := &l.stripes[i]
		s.mu.Lock()
		for key, at := range s.lines {
			if at.n == 0 {
				continue // a gate
			}
			if more = len(all) == limit; more {
				break
			}
			kind, name := lineName([]byte(key))
			all = append(all, LineFigures{kind, name, at.n})
		}
		s.mu.Unlock()
		if more {
			break
		}
	}
	return all, more
}
