package main

import "slices"

// scenarios is the campaign.
var scenarios = slices.Concat(
	loginScenarios,
	connectionScenarios,
	frameScenarios,
	valueScenarios,
	amplifyScenarios,
	workScenarios,
	replyScenarios,
	operatorScenarios,
)

// everywhere returns the flags of a server that listens on all addresses and allows some.
func everywhere(allow string) []string { return []string{"--host", "::", "--allow", allow} }
