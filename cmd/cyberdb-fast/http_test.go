package main

import (
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// answers PATH PASSWORD STATUS TEXT: the HTTP server on $HTTP answers a GET so, with a body that
// holds the text. Without a password the request has none. With "!" there is no such server.
func answers(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 4 {
		ts.Fatalf("usage: answers PATH PASSWORD STATUS TEXT")
	}
	client := http.Client{Timeout: testTimeout}
	r, err := http.NewRequest(http.MethodGet, "http://127.0.0.1:"+ts.Getenv("HTTP")+args[0], nil)
	ts.Check(err)
	if args[1] != "" {
		r.SetBasicAuth("any", args[1])
	}
	resp, err := client.Do(r)
	if neg {
		if err == nil {
			_ = resp.Body.Close()
			ts.Fatalf("it answers %s", resp.Status)
		}
		return
	}
	ts.Check(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	ts.Check(err)
	if strconv.Itoa(resp.StatusCode) != args[2] || !strings.Contains(string(body), args[3]) {
		ts.Fatalf("it answers %s, %.500s", resp.Status, body)
	}
}
