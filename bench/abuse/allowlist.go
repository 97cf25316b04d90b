package main

import (
	"fmt"
	"time"
)

// defaultAllowList connects from other addresses to a server that encrypts and has no allow list.
func defaultAllowList(a *attack) error {
	return a.reach(map[string]bool{
		"127.0.0.1":   true,
		"::1":         true,
		"127.0.0.2":   false,
		"127.1.2.3":   false,
		strangers4[0]: false,
		strangers6[0]: false,
	})
}

// allowList connects from all kinds of addresses to a server with an allow list. The server listens
// on one socket for IPv6 and mapped IPv4.
func allowList(a *attack) error {
	return a.reach(map[string]bool{
		"127.0.0.1":    true,
		"127.0.0.2":    false,
		"::1":          false,
		strangers4[0]:  true,
		strangers4[1]:  true,
		strangers4[2]:  false,
		strangers6[0]:  true,
		strangers6[1]:  true,
		stranger6Apart: false,
	})
}

// unwanted connects repeatedly from an address that is not allowed, and does not disconnect.
func unwanted(a *attack) error {
	return each(3000, 500, func(i int) error {
		c, err := a.connectFrom(fmt.Sprintf("127.0.0.%d", 2+i%200))
		if err != nil {
			return err
		}
		start := time.Now()
		if err := c.ends(); err != nil {
			return err
		}
		if took := time.Since(start); took > a.scaled(4*time.Second) {
			return fmt.Errorf("closed after %v", took)
		}
		return nil
	})
}
