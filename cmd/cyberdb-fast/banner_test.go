package main

import (
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"
)

func networksOf(texts ...string) (all []netip.Prefix) {
	for _, text := range texts {
		prefix, err := parseNetwork(text)
		if err != nil {
			panic(err)
		}
		all = append(all, prefix)
	}
	return all
}

func TestBanner(t *testing.T) {
	made := password{text: "SECRET", file: "/data/password", own: true}
	given := password{text: "SECRET", file: "/etc/o'pw"}
	tests := []struct {
		name  string
		b     banner
		want  []string
		never string
	}{
		{
			"terminal",
			banner{
				tcp:         netip.MustParseAddrPort("127.0.0.1:9980"),
				secret:      made,
				terminal:    true,
				maxConns:    10000,
				eventLoops:  2,
				descriptors: 20000,
				data:        "/data/data.cdb, saved at the end",
			},
			[]string{
				"listening 127.0.0.1:9980\n",
				"10,000 connections, 2 event loops, 20,000 file descriptors, idle connections are kept open\n",
				"data      /data/data.cdb, saved at the end\n",
				"not encrypted",
				"stored in /data/password\n",
				"connect   cyberdb://:SECRET@127.0.0.1:9980\n",
				"go run ./examples/quickstart 'cyberdb://:SECRET@127.0.0.1:9980'\n",
			},
			"--allow",
		},
		{
			"log of a service",
			banner{tcp: netip.MustParseAddrPort("127.0.0.1:9980"), secret: made, idle: 15 * time.Minute},
			[]string{
				"closed after 15m0s\n",
				"in /data/password, not shown here\n",
				"connect   cyberdb://127.0.0.1:9980\n",
				"try it    CYBERDB_PASSWORD_FILE='/data/password' go run ./examples/quickstart 'cyberdb://127.0.0.1:9980'\n",
			},
			"SECRET",
		},
		{
			"a given file",
			banner{tcp: netip.MustParseAddrPort("[::1]:1"), secret: given, terminal: true},
			[]string{"CYBERDB_PASSWORD_FILE='/etc/o'\\''pw' go run", "connect   cyberdb://[::1]:1\n"},
			"SECRET",
		},
		{
			"a given text",
			banner{tcp: netip.MustParseAddrPort("127.0.0.1:1"), secret: password{text: "SECRET"}, terminal: true},
			[]string{"clients read it from CYBERDB_PASSWORD\n"},
			"SECRET",
		},
		{
			"every address",
			banner{tcp: netip.MustParseAddrPort("0.0.0.0:1"), secret: given, anyone: true},
			[]string{
				"listening 0.0.0.0:1\n",
				"connect   cyberdb://127.0.0.1:1\n",
				"see --allow",
				"in Python import cyberdb_fast; client = cyberdb_fast.connect(\"cyberdb://127.0.0.1:1\")\n",
				"CYBERDB_PASSWORD_FILE names: /etc/o'pw\n",
			},
			"SECRET",
		},
		{
			"every address, version 6, with a list",
			banner{tcp: netip.MustParseAddrPort("[::]:1"), secret: given, allow: networksOf("10.0.0.0/8", "::1")},
			[]string{"connect   cyberdb://[::1]:1\n", "networks without eavesdroppers"},
			"--allow",
		},
		{
			"every address, with a list that has one of this machine's",
			banner{
				tcp: netip.MustParseAddrPort("[::]:1"), secret: given, allow: networksOf("10.0.0.0/8"),
				interfaces: []netip.Addr{netip.MustParseAddr("192.168.1.2"), netip.MustParseAddr("10.1.2.3")},
			},
			[]string{"connect   cyberdb://10.1.2.3:1\n"},
			"excludes",
		},
		{
			"a list that shuts out this machine",
			banner{tcp: netip.MustParseAddrPort("[::]:1"), secret: given, allow: networksOf("10.0.0.0/8")},
			[]string{"connect   cyberdb://127.0.0.1:1\n", "--allow excludes this machine"},
			"[::1]",
		},
		{
			"a list that shuts out this machine, and a socket",
			banner{
				tcp:    netip.MustParseAddrPort("127.0.0.1:1"),
				unix:   "/run/s",
				secret: given,
				allow:  networksOf("10.0.0.0/8"),
			},
			[]string{"connect   unix:///run/s\n", "--allow excludes this machine"},
			"connect   cyberdb:",
		},
		{
			"encrypted, this machine alone",
			banner{tcp: netip.MustParseAddrPort("0.0.0.0:1"), secret: given, encrypt: true, onlyHere: true},
			[]string{
				"connections are encrypted; only this machine may connect; allow others with --allow\n",
				"connect   cyberdbs://127.0.0.1:1\n",
			},
			"not encrypted",
		},
		{
			"encrypted, with a list",
			banner{tcp: netip.MustParseAddrPort("0.0.0.0:1"), secret: given, encrypt: true},
			[]string{"connections are encrypted\n"},
			"--allow",
		},
		{
			"encrypted socket",
			banner{unix: "/run/s", secret: given, encrypt: true},
			[]string{"connect   unixs:///run/s\n"},
			"unix:",
		},
		{
			"socket alone",
			banner{unix: "/run/a b.sock", secret: made, terminal: true},
			[]string{"listening /run/a b.sock\n", "connect   unix://:SECRET@/run/a%20b.sock\n"},
			"127.0.0.1",
		},
		{
			"both",
			banner{tcp: netip.MustParseAddrPort("127.0.0.1:1"), unix: "/run/s", secret: given},
			[]string{"listening 127.0.0.1:1 and /run/s\n"},
			"SECRET",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var s strings.Builder
			writeBanner(&s, tt.b)
			for _, want := range tt.want {
				if !strings.Contains(s.String(), want) {
					t.Errorf("no %q in\n%s", want, s.String())
				}
			}
			if strings.Contains(s.String(), tt.never) {
				t.Errorf("%q in\n%s", tt.never, s.String())
			}
		})
	}
}

// TestConnectURL: whatever the password, the connect line holds it.
func TestConnectURL(t *testing.T) {
	for _, text := range []string{"plain", "a:b@c/d?e#f", "ü %41", "'\""} {
		b := banner{
			tcp:      netip.MustParseAddrPort("127.0.0.1:9980"),
			secret:   password{text: text, own: true},
			terminal: true,
		}
		u, err := url.Parse(b.connectURL())
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := u.User.Password(); got != text || u.Host != "127.0.0.1:9980" {
			t.Errorf("%q came back as %q on %s", text, got, u.Host)
		}
	}
}

func TestGrouped(t *testing.T) {
	for n, want := range map[uint64]string{0: "0", 999: "999", 1000: "1,000", 1048576: "1,048,576", 20000: "20,000"} {
		if got := grouped(n); got != want {
			t.Errorf("grouped(%d) = %q, want %q", n, got, want)
		}
	}
}
