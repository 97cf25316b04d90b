package web

import "cyberdb-fast/loop"

const (
	// maxTables is how many tables have samples of their own.
	maxTables = 100
	// otherTables is the label of all others together. They have no kind, so a table of that name
	// is another one.
	otherTables = "other"
)

// tableFamilies are what is shown of each table.
var tableFamilies = []struct {
	name  string
	kind  kind
	help  string
	value func(*loop.TableSums) float64
	lists bool // of lists alone
}{
	{
		"cyberdb_table_entries", gauge, "Entries of a dict, elements of a list.",
		func(s *loop.TableSums) float64 { return float64(s.Entries) }, false,
	},
	{
		"cyberdb_table_bytes", gauge, "Bytes of a table's keys and values, as max_bytes counts them.",
		func(s *loop.TableSums) float64 { return float64(s.Bytes) }, false,
	},
	{
		"cyberdb_table_requests_total", counter, "Requests for a table.",
		func(s *loop.TableSums) float64 { return float64(s.Requests) }, false,
	},
	{
		"cyberdb_table_hits_total", counter, "Keys that were looked up and found.",
		func(s *loop.TableSums) float64 { return float64(s.Hits) }, false,
	},
	{
		"cyberdb_table_misses_total", counter, "Keys that were looked up and not there.",
		func(s *loop.TableSums) float64 { return float64(s.Misses) }, false,
	},
	{
		"cyberdb_table_expired_total", counter, "Entries removed since their time to live was over.",
		func(s *loop.TableSums) float64 { return float64(s.Expired) }, false,
	},
	{
		"cyberdb_table_idle_total", counter, "Entries removed since they were not used for the time to idle.",
		func(s *loop.TableSums) float64 { return float64(s.Idle) }, false,
	},
	{
		"cyberdb_table_evicted_total", counter, "Entries removed to make room.",
		func(s *loop.TableSums) float64 { return float64(s.Evicted) }, false,
	},
	{
		"cyberdb_table_refused_total", counter, "Changes that were refused, since a table was full.",
		func(s *loop.TableSums) float64 { return float64(s.Refused) }, false,
	},
	{
		"cyberdb_table_leased", gauge, "Items of a queue that clients have taken.",
		func(s *loop.TableSums) float64 { return float64(s.Leased) }, true,
	},
	{
		"cyberdb_table_delayed", gauge, "Items of a queue that join its end later.",
		func(s *loop.TableSums) float64 { return float64(s.Delayed) }, true,
	},
	{
		"cyberdb_table_deliveries_total", counter, "Items of a queue that were taken.",
		func(s *loop.TableSums) float64 { return float64(s.Deliveries) }, true,
	},
	{
		"cyberdb_table_leases_expired_total", counter, "Items of a queue whose lease has ended, and that returned.",
		func(s *loop.TableSums) float64 { return float64(s.LeasesExpired) }, true,
	},
	{
		"cyberdb_table_dead_lettered_total", counter, "Items of a queue that became dead letters.",
		func(s *loop.TableSums) float64 { return float64(s.DeadLettered) }, true,
	},
}

// writeTables writes what is known of the largest tables, and of all others together.
func writeTables(out *text, tables *loop.Tables) {
	named := make([]labels, len(tables.Tables))
	for i := range tables.Tables {
		named[i] = label("table", tables.Tables[i].Name).and("kind", tables.Tables[i].Kind)
	}
	for _, f := range tableFamilies {
		out.family(f.name, f.kind, f.help)
		for i := range tables.Tables {
			if f.lists && tables.Tables[i].Kind != "list" {
				continue
			}
			out.sample(f.value(&tables.Tables[i].TableSums), named[i])
		}
		out.sample(f.value(&tables.Other), label("table", otherTables))
	}
}
