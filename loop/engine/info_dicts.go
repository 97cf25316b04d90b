package engine

import (
	"cyberdb-fast/shardmap"
)

// maxDictFigures is the most dicts of which INFO "dicts" tells.
const maxDictFigures = 1000

// DictFigures is what INFO "dicts" says of a dict that has options, or of which entries were
// removed.
type DictFigures struct {
	Name       string `json:"name"`
	Entries    int    `json:"entries"`
	Bytes      int64  `json:"bytes"` // of the entries, as max_bytes counts them
	MaxEntries int64  `json:"max_entries,omitempty"`
	MaxBytes   int64  `json:"max_bytes,omitempty"`
	Policy     string `json:"policy"`
	Expired    uint64 `json:"expired"` // entries that were removed since the start, by reason
	Idle       uint64 `json:"idle"`
	Evicted    uint64 `json:"evicted"`
	Refused    uint64 `json:"refused"` // changes for which there was no room
}

// infoDicts answers INFO "dicts". It walks over all tables.
func infoDicts(x *Executor) error {
	var answer struct {
		Dicts []DictFigures `json:"dicts"`
		More  bool          `json:"more"` // there are other dicts like these
	}
	answer.Dicts = []DictFigures{}
	for name, d := range x.engine.env.Store.Dicts {
		o, r := d.Options(), d.Removals()
		if o == (shardmap.Options{}) && r == (shardmap.Removals{}) {
			continue
		}
		if answer.More = len(answer.Dicts) == maxDictFigures; answer.More {
			break
		}
		answer.Dicts = append(answer.Dicts, DictFigures{
			Name: name, Entries: d.Len(), Bytes: d.UsedBytes(), MaxEntries: o.MaxEntries, MaxBytes: o.MaxBytes,
			Policy: o.InForce().String(), Expired: r.Expired, Idle: r.Idle, Evicted: r.Evicted, Refused: r.Refused,
		})
	}
	return x.answerJSON(&answer)
}
