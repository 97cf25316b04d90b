package shardmap

// Settings are what a dict has besides its entries.
type Settings struct {
	Options
	// Since is when the dict got a default time to live that it did not have at its creation, in
	// milliseconds since 1970 UTC; 0: at its creation, or never. Its entries count as written then
	// or later.
	Since int64
	// Horizon is an LSN: entries without a deadline have expired if their version is not above it.
	Horizon uint64
}

func (d *Dict) settings() Settings { return Settings{d.Options(), d.since.Load(), d.horizon.Load()} }

// handoverSettings hands the settings to the views that show them, before the change w of them. The
// caller holds all shards' locks.
func (d *Dict) handoverSettings(w *write) {
	if w.views.newest <= d.settingsAt {
		return
	}
	d.settingsAt = w.views.handover(d.table, d, d.settingsAt, w.first, func() any {
		s := d.settings()
		return &s
	})
}

// Settings returns the dict's settings as of the cut. Read them before Drain.
func (v *DictView) Settings() Settings {
	for {
		s := v.dict.dir.Load().shard(0)
		s.mu.Lock() // a change of the settings holds it
		settings, retired := v.dict.settings(), s.retired
		s.mu.Unlock()
		if handed := v.cut.part(v.dict.table, v.dict); handed != nil {
			return *handed.(*Settings)
		}
		if !retired || v.dict.table.state.Load() != present {
			return settings
		}
	}
}

// Marks returns when the versions of the view's entries were assigned, as far as the dict's default
// time to live depends on that: about 2,000 marks at most.
func (v *DictView) Marks() []Mark {
	ttl := v.Settings().TTL
	if ttl == 0 {
		return nil
	}
	store := v.dict.store
	list := store.marks.since(store.now.Load()-ttl+1, ttl/agePrecision+1)
	for i := range list {
		if list[i].LSN >= v.cut.lsn {
			return list[:i+1]
		}
	}
	return list
}

// MarkAt notes that all LSNs up to lsn were assigned at a time or before, in milliseconds since
// 1970 UTC. It is for restore and replay.
func (s *Store) MarkAt(time int64, lsn uint64) { s.marks.add(Mark{time, lsn}) }

// agedOut returns the LSN up to which versions are older than the default time to live, which is
// not 0, and when that may change.
func (d *Dict) agedOut(ttl, now int64) (lsn uint64, next int64) {
	before := now - ttl - 1
	if since := d.since.Load(); before < since {
		return 0, since + ttl + 1
	}
	lsn, next = d.store.marks.upTo(before, now)
	return lsn, next + ttl + 1
}

// agesOut returns when an entry with a version is older than the default time to live, or later.
func (d *Dict) agesOut(version uint64, ttl int64) int64 {
	return max(d.store.marks.timeOf(version, d.store.now.Load()), d.since.Load()) + ttl
}
