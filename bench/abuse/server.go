package main

import (
	"errors"

	"github.com/bytedance/sonic"
	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/bench/harness"
	"cyberdb-fast/codec"
	"cyberdb-fast/loop"
)

const password = "correct horse battery staple"

// usage is the resources of a server, as INFO and the kernel report them.
type usage struct {
	loop.Info
	harness.Usage
}

// memory returns the bytes that the server has in use.
func (u *usage) memory() int64 { return int64(u.HeapBytes) + int64(u.SlabBytes-u.SlabFreeBytes) }

// usage reads INFO, on its own connection, and the kernel's figures.
func (a *attack) usage() (u usage, err error) {
	if u.Info, err = info(a.control); err != nil {
		return u, err
	}
	u.Usage, err = a.srv.Usage()
	return u, err
}

func info(c *conn) (figures loop.Info, err error) {
	reply, err := c.call(codec.OpInfo)
	if err != nil {
		return figures, err
	}
	if reply.Status != codec.StatusOK {
		return figures, errors.New("INFO failed")
	}
	text, _, err := msgp.ReadStringBytes(reply.Body)
	if err != nil {
		return figures, err
	}
	return figures, sonic.UnmarshalString(text, &figures)
}
