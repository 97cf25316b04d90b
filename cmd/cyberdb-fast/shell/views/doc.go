// Package views shows an operator what is in a server, and what it does: its tables, hot keys, slow
// requests, latencies, figures each second. It reads the sections of INFO, which PROTOCOL.md lists,
// and writes text for people, or JSON.
//
// Names and keys come from clients; a view shows none of their control characters. A View is for
// one goroutine.
package views
