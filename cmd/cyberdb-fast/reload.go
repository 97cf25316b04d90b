package main

import (
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"cyberdb-fast/loop"
)

// liveSettings are the settings that can change while the server runs, besides the password.
var liveSettings = []string{"allow", "timeout", "log-level", "slow-request", "large-request", "large-reply"}

// withLive returns the settings with the live ones of others.
func (c *config) withLive(of *config) *config {
	live := *c
	live.allow, live.idle = of.allow, of.idle
	live.log.level, live.log.slow = of.log.level, of.log.slow
	live.log.largeRequest, live.log.largeReply = of.log.largeRequest, of.log.largeReply
	return &live
}

// change changes settings of the running server: to the given ones, which last until the next
// reload, or with none to those that the configuration file and the password file have now. It logs
// what it did.
//
// Errors: one line each; then nothing has changed.
func (s *server) change(srv *loop.Server, settings map[string]string) (loop.Changes, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	changes, err := s.changeLocked(srv, settings)
	if err != nil {
		return changes, err
	}
	what := "reloaded"
	if settings != nil {
		what = "configured"
	}
	if len(changes.Made) == 0 {
		what += ": nothing has changed"
	}
	var attrs []any
	if len(changes.Made) > 0 {
		attrs = append(attrs, slog.String("changed", strings.Join(changes.Made, "; ")))
	}
	if len(changes.NeedRestart) > 0 {
		attrs = append(attrs, slog.String("need_restart", strings.Join(changes.NeedRestart, ", ")))
	}
	s.log.Info(what, attrs...)
	s.level.Set(s.live.log.level) // last: the line is of the level that was
	return changes, nil
}

func (s *server) changeLocked(srv *loop.Server, settings map[string]string) (changes loop.Changes, err error) {
	next, secret, err := s.wanted(settings)
	if err != nil {
		return changes, err
	}
	changes = loop.Changes{Made: []string{}, NeedRestart: []string{}} // not null in JSON
	running := s.cfg.withLive(next)
	if err := running.checkReach(secret); err != nil {
		return changes, err
	}
	if secret.text != s.secret.text {
		if err := srv.SetPassword(secret.text); err != nil {
			return changes, err
		}
		changes.Made = append(changes.Made, "password")
	}
	s.apply(srv, running)
	live, _ := difference(s.live, next)
	_, others := difference(s.cfg, next)
	changes.Made = append(changes.Made, live...)
	changes.NeedRestart = append(changes.NeedRestart, others...)
	s.live, s.secret = next, secret
	for _, warning := range secret.warnings {
		s.log.Warn(warning)
	}
	return changes, nil
}

// wanted returns the settings and the password that a change asks for.
func (s *server) wanted(settings map[string]string) (*config, password, error) {
	if settings != nil {
		next := *s.live
		return &next, s.secret, configure(&next, settings)
	}
	flags, next := newFlags()
	if err := flags.Parse(s.args); err != nil {
		return nil, password{}, err
	}
	if err := flags.complete(next, os.LookupEnv); err != nil {
		return nil, password{}, err
	}
	secret, err := next.password.read(s.dir)
	return next, secret, err
}

// apply makes the running server use the live settings.
func (s *server) apply(srv *loop.Server, running *config) {
	srv.SetAllow(running.allow)
	srv.SetIdleTimeout(running.idle)
	srv.SetThresholds(running.log.thresholds())
}

// configure sets live settings by the names of flags.
func configure(cfg *config, settings map[string]string) error {
	flags := flagsOf(cfg)
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		if !slices.Contains(liveSettings, name) {
			return fmt.Errorf(
				"%q cannot change while the server runs: these can: %s", name, strings.Join(liveSettings, ", "),
			)
		}
		value := settings[name]
		if name == "allow" { // a list replaces the one that was there
			if cfg.allow = nil; value == "" {
				continue
			}
		}
		if err := flags.Lookup(name).Value.Set(value); err != nil {
			return fmt.Errorf("%s = %s: %w", name, value, err)
		}
	}
	return cfg.check()
}

// difference lists the settings that two configs have differently: the live ones with their values,
// and the names of the others.
func difference(before, after *config) (live, others []string) {
	was := flagsOf(before)
	flagsOf(after).VisitAll(func(flag *pflag.Flag) {
		from, to := was.Lookup(flag.Name).Value.String(), flag.Value.String()
		switch {
		case from == to:
		case slices.Contains(liveSettings, flag.Name):
			live = append(live, fmt.Sprintf("%s: %s -> %s", flag.Name, shown(from), shown(to)))
		default:
			others = append(others, flag.Name)
		}
	})
	return live, others
}

// shown returns a value as the log shows it.
func shown(value string) string {
	if value == "" {
		return "default"
	}
	return value
}
