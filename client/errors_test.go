package client_test

import (
	"errors"
	"strings"
	"testing"

	"cyberdb-fast/client"
	"cyberdb-fast/loop/looptest"
)

// TestErrorsSayItOnce checks that an error does not repeat in its own words what the server's
// message says.
func TestErrorsSayItOnce(t *testing.T) {
	s := looptest.Start(t)
	db := s.Client(t, nil)
	ctx := t.Context()
	d := client.DictOf[string, int](db, "d")
	_, missing := d.Get(ctx, "k")
	if err := d.Create(ctx); err != nil {
		t.Fatal(err)
	}
	_, noKey := d.Get(ctx, "k")
	_, wrongPassword := client.Open(ctx, "cyberdb://:wrong@"+s.Addr(), nil)
	_, encrypts := client.Open(ctx, s.URL(), &client.Options{Encrypt: true})
	for _, test := range []struct {
		err, is error
		text    string
	}{
		{missing, client.ErrNoSuchTable, `cyberdb: DICT GET "d": no table is named "d"`},
		{d.Create(ctx), client.ErrTableExists, `cyberdb: CREATE DICT "d": a table named "d" exists already`},
		{client.ListOf[int](db, "d").Append(ctx, 1), client.ErrWrongTableKind, `cyberdb: LIST APPEND "d": LIST APPEND is for a list, table "d" is a dict`},
		{noKey, client.ErrKey, `cyberdb: DICT GET "d": KeyError: 'k'`},
		{wrongPassword, client.ErrWrongPassword, "connection refused by the server: wrong password"},
		{encrypts, client.ErrEncryption, "connection refused by the server: this server does not encrypt and the client does"},
		{encrypts, client.ErrRefused, ""},
	} {
		if !errors.Is(test.err, test.is) || !strings.Contains(test.err.Error(), test.text) {
			t.Errorf("got %v, want %v, %s", test.err, test.is, test.text)
		}
	}
}
