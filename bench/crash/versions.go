package main

import (
	"context"
	"errors"
	"fmt"

	"cyberdb-fast/client"
)

// versionedName is a dict whose keys are set for their versions. No two writes of the campaign may
// share one, whatever was lost between them.
const versionedName = "shared versions"

// setVersioned sets a client's own key and records the version of the write.
func (s *shared) setVersioned(c *client.Client, w *writer) error {
	w.count++
	val := fmt.Sprintf("%d %d", w.number, w.count)
	version, err := client.DictOf[int, string](c, versionedName).SetVersioned(context.Background(), w.number, val)
	if err != nil {
		return err
	}
	return s.give(version, val)
}

// give records the version of a write. Errors: another write has it.
func (s *shared) give(version client.Version, val string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if other, ok := s.given[version]; ok && other != val {
		return fmt.Errorf("version %v was given to %q, and to %q", version, other, val)
	}
	s.given[version] = val
	return nil
}

// checkVersions checks the versions that a restart has kept, also those of writes that were not
// acknowledged.
func (s *shared) checkVersions(ctx context.Context, c *client.Client, clients int) error {
	d := client.DictOf[int, string](c, versionedName)
	for number := range clients {
		val, version, err := d.GetVersioned(ctx, number)
		if errors.Is(err, client.ErrKey) {
			continue
		}
		if err == nil {
			err = s.give(version, val)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
