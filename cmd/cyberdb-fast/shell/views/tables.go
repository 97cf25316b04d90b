package views

import (
	"context"
	"encoding/json"
	"fmt"
)

// tableFigures is one table of the section "tables".
type tableFigures struct {
	Name     string `json:"name"`
	Kind     string `json:"kind"`
	Entries  int64  `json:"entries"`
	Bytes    int64  `json:"bytes"`
	Hits     int64  `json:"hits"`
	Misses   int64  `json:"misses"`
	Requests int64  `json:"requests"`
}

// tablesSection is the section "tables". Other is the sum of the tables that have no figures of
// their own.
type tablesSection struct {
	Tables []tableFigures `json:"tables"`
	Other  tableFigures   `json:"other"`
	Count  int64          `json:"count"`
}

// Tables writes all tables with kind and length.
func (v *View) Tables(ctx context.Context) error {
	ctx, cancel := v.within(ctx)
	defer cancel()
	all, err := v.DB.Tables(ctx)
	if err != nil {
		return err
	}
	if v.JSON {
		figures := make([]map[string]any, len(all))
		for i, t := range all {
			figures[i] = map[string]any{"name": t.Name, "kind": t.Kind, "entries": t.Len}
		}
		return json.NewEncoder(v.Out).Encode(figures)
	}
	if len(all) == 0 {
		fmt.Fprintln(v.Out, "no tables")
		return nil
	}
	g := v.grid("table", "kind", "entries")
	g.minor = []string{"kind"}
	for _, t := range all {
		g.row(v.short(t.Name), string(t.Kind), number(int64(t.Len)))
	}
	return g.flush()
}
