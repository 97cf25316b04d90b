package page

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"cyberdb-fast/bench"
)

// server is what the tables and charts say of a measured server.
type server struct {
	name      string // without version and settings
	loops     int    // event loops, 0 if unknown
	encrypted bool
}

// schemeNames name the servers that did not report a version, by the scheme of their target.
var schemeNames = map[string]string{
	"cyberdb": "cyberdb-fast", "cyberdbs": "cyberdb-fast", "redis": "Redis", "memcached": "memcached",
}

// Ports of .ci/peers-compare whose servers differ in what neither their version nor the scheme of
// their target says.
var (
	valkeyPorts   = map[string]bool{"17380": true, "17394": true, "17395": true, "17396": true, "17397": true}
	fsyncPolicies = map[string]string{
		"17984": "everysec", "17985": "no", "17986": "always",
		"17384": "everysec", "17385": "no", "17386": "always",
		"17394": "everysec", "17395": "no", "17396": "always",
	}
)

// parseServer reads the description that a server gave of itself, such as "cyberdb-fast f13193a, 1
// event loops, encrypted". Without one, the target decides.
func parseServer(description, target string) server {
	scheme, _, _ := strings.Cut(target, "://")
	if description == "" {
		description = cmp.Or(schemeNames[scheme], target)
		if valkeyPorts[port(target)] {
			description = "Valkey"
		}
	}
	parts := strings.Split(description, ", ")
	s := server{name: shortName(parts[0]), encrypted: scheme == "cyberdbs"}
	for _, part := range parts[1:] {
		if count, _, ok := strings.Cut(part, " event loop"); ok {
			s.loops, _ = strconv.Atoi(count) // 0 is unknown
		}
		s.encrypted = s.encrypted || part == "encrypted"
	}
	return s
}

// shortName returns a server's name without its version.
func shortName(text string) string {
	word, rest, _ := strings.Cut(text, " ")
	switch word {
	case "cyberdb-fast":
		if strings.Contains(rest, "--legacy") {
			return word + " --legacy"
		}
		return word
	case "redis":
		return "Redis"
	case "valkey":
		return "Valkey"
	case "memcached":
		return word
	}
	return text
}

// label is the head of the server's column.
func (s server) label() string {
	text := s.name
	if s.encrypted {
		text += ", encrypted"
	}
	if s.loops > 1 {
		text += fmt.Sprintf(", %d event loops", s.loops)
	}
	return text
}

func port(target string) string { return target[strings.LastIndex(target, ":")+1:] }

// columnOf is the head of the column of a run: its server, or the library that called the server.
func columnOf(r *bench.Report) string {
	s := parseServer(r.Server, r.Target)
	if r.Client != "" {
		return clientLabel(r.Client, s)
	}
	return s.label()
}

// clientLabel names a client library. The server is named too if it is not the usual one.
func clientLabel(client string, s server) string {
	words := strings.Fields(client)
	if last := words[len(words)-1]; len(words) > 1 && last[0] >= '0' && last[0] <= '9' {
		client = strings.Join(words[:len(words)-1], " ") // without the version
	}
	if s.name == "Valkey" {
		client += " on Valkey"
	}
	if s.encrypted {
		client += ", encrypted"
	}
	return client
}

// endpoint is a server as results describe it: what it reported of itself, and where it listened.
type endpoint struct {
	description string
	targets     []string
}

func endpoints(results *bench.Results) (all []*endpoint) {
	add := func(description, target string) {
		if description == "" {
			return // a figure of memory: other lines describe the server
		}
		at := slices.IndexFunc(all, func(e *endpoint) bool { return e.description == description })
		if at < 0 {
			at = len(all)
			all = append(all, &endpoint{description: description})
		}
		all[at].targets = addNew(all[at].targets, target)
	}
	for _, r := range results.Runs {
		add(r.Server, r.Target)
	}
	for _, r := range results.Loads {
		add(r.Server, r.Target)
	}
	for _, r := range results.Python {
		add(r.Server, "")
	}
	return all
}

// servers describes the servers of results with their versions, event loops and addresses.
func servers(results *bench.Results) (all []string) {
	for _, e := range endpoints(results) {
		text := strings.ReplaceAll(e.description, "1 event loops", "1 event loop")
		if len(e.targets) > 0 {
			text += " (" + strings.Join(e.targets, ", ") + ")"
		}
		all = append(all, text)
	}
	return all
}

// versions lists the servers that have a version, with it.
func versions(results *bench.Results) (all []string) {
	for _, e := range endpoints(results) {
		version, _, _ := strings.Cut(e.description, ", ")
		if version != shortName(version) {
			all = addNew(all, version)
		}
	}
	return all
}
