package loop

import (
	"cyberdb-fast/persist"
	"cyberdb-fast/shardmap"
)

// optionsOf returns the settings of a dict as a file has them.
func optionsOf(s shardmap.Settings) persist.TableOptions {
	return persist.TableOptions{
		TTL: s.TTL, Idle: s.Idle, MaxEntries: s.MaxEntries, MaxBytes: s.MaxBytes, Policy: uint8(s.Policy),
		Since: s.Since, Horizon: s.Horizon,
	}
}

// settingsOf returns the settings of a dict in a file.
func settingsOf(o *persist.TableOptions) shardmap.Settings {
	return shardmap.Settings{
		Options: shardmap.Options{
			TTL: o.TTL, Idle: o.Idle, MaxEntries: o.MaxEntries, MaxBytes: o.MaxBytes, Policy: shardmap.Policy(o.Policy),
		},
		Since:   o.Since,
		Horizon: o.Horizon,
	}
}

// marksOf converts marks.
func marksOf[To, From persist.Mark | shardmap.Mark](marks []From) []To {
	to := make([]To, len(marks))
	for i, m := range marks {
		to[i] = To(m)
	}
	return to
}
