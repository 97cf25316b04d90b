package main

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"

	"cyberdb-fast/codec/secure"
)

// ground is shared by the scenarios of a campaign.
type ground struct {
	options
	dir string
	key []byte // of the password, with the directory's salt
}

func newGround(opt options) (*ground, error) {
	if inOwnNetwork() {
		if err := furnish(); err != nil {
			return nil, fmt.Errorf("the new network: %w", err)
		}
	}
	dir, err := os.MkdirTemp("", "cyberdb-abuse")
	if err != nil {
		return nil, err
	}
	g := &ground{options: opt, dir: dir}
	// A server makes the salt at its first start. This file gives all servers the same.
	kdf := secure.KDF{LogN: secure.DefaultLogN, Salt: [16]byte{1, 2, 3}}
	if err := os.WriteFile(
		filepath.Join(dir, "salt"),
		[]byte(hex.EncodeToString(kdf.Salt[:])+"\n"),
		0o600,
	); err != nil {
		return nil, err
	}
	g.key, err = kdf.Key(password)
	return g, err
}

func (g *ground) close() { _ = os.RemoveAll(g.dir) }
