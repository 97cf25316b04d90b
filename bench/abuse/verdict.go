package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"cyberdb-fast/codec"
)

// verdict compares the witness's testimony and the server's peak memory with the bounds.
func (a *attack) verdict(seen *testimony, peak *usage) error {
	var problems []error
	add := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	for _, text := range seen.Failures {
		add("a request of the witness failed %s", text)
	}
	if !a.noLogin {
		for _, text := range seen.FailedLogins {
			add("a login of the witness failed %s", text)
		}
	}
	if seen.Refused > 0 && !a.noRoom && !a.noLogin {
		add("%d logins of the witness found no room", seen.Refused)
	}
	if bound := a.scaled(orElse(a.request, requestBound)); seen.SlowestRequest > bound {
		add("a request of the witness took %v, the bound is %v", seen.SlowestRequest, bound)
	}
	// which slows a few requests by far more than the others
	if bound := a.p999; bound > 0 && seen.P999 > bound && !a.race {
		add("99.9 %% of the requests of the witness took up to %v, the bound is %v", seen.P999, bound)
	}
	if bound := a.scaled(orElse(a.login, loginBound)); seen.SlowestLogin > bound {
		add("a login of the witness took %v, the bound is %v", seen.SlowestLogin, bound)
	}
	if seen.Requests == 0 || seen.Logins == 0 && !a.noRoom && !a.noLogin {
		add("the witness saw %d requests and %d logins", seen.Requests, seen.Logins)
	}
	if peak.Panics > 0 {
		add("the server counts %d panics", peak.Panics)
	}
	if grown, bound := peak.Peak-a.before.Resident, orElse(a.peak, peakBound); grown > bound && !a.race {
		add("the server needed %d MiB more than before, the bound is %d MiB", grown>>20, bound>>20)
	}
	return errors.Join(problems...)
}

func orElse[T comparable](v, fallback T) T {
	if v == *new(T) {
		return fallback
	}
	return v
}

// comesBack drops the scenario's tables and waits until the server has released its resources.
func (a *attack) comesBack() (after usage, err error) {
	if err := a.dropTables(""); err != nil {
		return after, err
	}
	end := time.Now().Add(a.scaled(returnTime))
	for {
		if err := a.forget(); err != nil {
			return after, err
		}
		if after, err = a.usage(); err != nil {
			return after, err
		}
		if err = a.isBack(&after); err == nil || time.Now().After(end) {
			return after, err
		}
	}
}

// isBack compares the server's resources with those before the scenario.
func (a *attack) isBack(after *usage) error {
	before := &a.before
	var left []string
	for _, figure := range []struct {
		name          string
		before, after int64
		more          int64
	}{
		{"connections", before.Connections, after.Connections, 0},
		{"logins that wait", before.WaitingLogins, after.WaitingLogins, 0},
		{"long requests", before.LongRequests, after.LongRequests, 0},
		{"views", int64(before.Views), int64(after.Views), 0},
		{"unsent bytes", before.UnsentBytes, after.UnsentBytes, 0},
		{"buffered input bytes", before.BufferedInputBytes, after.BufferedInputBytes, 0},
		{"goroutines", int64(before.Goroutines), int64(after.Goroutines), handlesLeft},
		{"descriptors", int64(before.Descriptors), int64(after.Descriptors), handlesLeft},
		{"MiB in use", before.memory() >> 20, after.memory() >> 20, memoryLeft >> 20},
		{"MiB resident", before.Resident >> 20, after.Resident >> 20, residentLeft >> 20},
	} {
		if figure.name == "MiB resident" && a.race {
			continue
		}
		if figure.after > figure.before+figure.more {
			left = append(left, fmt.Sprintf("%d %s where %d were", figure.after, figure.name, figure.before))
		}
	}
	if len(left) > 0 {
		return fmt.Errorf("not back after %v: %s", a.scaled(returnTime), strings.Join(left, ", "))
	}
	return nil
}

// forget makes the server allocate, so that its collector runs as it would under load.
func (a *attack) forget() error {
	for range 4 {
		if err := a.control.ok(codec.OpTables); err != nil {
			return err
		}
		reply, err := a.control.call(codec.OpDictContains, "", make([]byte, 4<<20))
		if err != nil {
			return err
		}
		if reply.Status != codec.StatusValueError { // a table's name is not empty
			return fmt.Errorf("the empty name: %v", reply.Status)
		}
	}
	return nil
}

// dropTables drops the tables with this prefix.
func (a *attack) dropTables(prefix string) error {
	reply, err := a.control.call(codec.OpTables)
	if err != nil {
		return err
	}
	names, err := decoded(reply.Body)
	if err != nil {
		return err
	}
	for i := 0; i < len(names); i += 3 { // name, kind, length
		if name, isText := names[i].(string); !isText || !strings.HasPrefix(name, prefix) {
			continue
		}
		if err := a.control.ok(codec.OpDrop, names[i]); err != nil {
			return err
		}
	}
	return nil
}

// readLog checks the server's log for lines that must not occur.
func (a *attack) readLog(took time.Duration) error {
	log := a.srv.Log()
	for _, word := range []string{"panic", "fatal error", "DATA RACE", "goroutine "} {
		if at := strings.Index(log, word); at >= 0 {
			return fmt.Errorf("the server's log:\n%s", log[max(0, at-1000):min(len(log), at+3000)])
		}
	}
	if n, most := strings.Count(
		log,
		"\n",
	), logLinesFirst+logLinesASec*int(
		took/time.Second+1,
	); n > most &&
		!slices.Contains(a.flags, "--print-log") {
		return fmt.Errorf("the server's log has %d lines after %v", n, took)
	}
	return nil
}
