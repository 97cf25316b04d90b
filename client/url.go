package client

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
)

// urlForms is the end of each error about a URL.
const urlForms = "write cyberdb://:password@host:port or unix://:password@/path (cyberdbs: and unixs: encrypt), " +
	"with the password percent-encoded"

// parseURL returns o with the address, password and encryption of rawURL, which is
// cyberdb://:password@host:port, unix://:password@/path, unix:/path or host:port. The schemes
// cyberdbs and unixs encrypt. unix://./path is relative to the working directory.
//
// Its errors name the wrong part and never contain the password.
func parseURL(rawURL string, o Options) (Options, error) {
	rawURL = strings.TrimSpace(rawURL)
	if rawURL == "" {
		return o, nil
	}
	if !strings.Contains(rawURL, "://") && !strings.HasPrefix(rawURL, "unixs:/") {
		o.Addr = rawURL // "unix:/path" too
		return o, nil
	}
	u, err := url.Parse(rawURL)
	if err != nil {
		return o, errors.New("client: the URL cannot be parsed: " + urlForms)
	}
	scheme, encrypt := strings.CutSuffix(u.Scheme, "s")
	if scheme != "cyberdb" && scheme != "unix" {
		return o, fmt.Errorf("client: the URL begins with %s://: %s", u.Scheme, urlForms)
	}
	if err := checkURL(u, scheme); err != nil {
		return o, err
	}
	if scheme == "unix" {
		o.Addr = "unix:" + u.Host + u.Path
	} else {
		o.Addr = net.JoinHostPort(or(u.Hostname(), "127.0.0.1"), or(u.Port(), DefaultPort))
	}
	o.Encrypt = o.Encrypt || encrypt
	if password, ok := u.User.Password(); ok {
		o.Password = password
	}
	return o, nil
}

// checkURL returns an error if a part of the URL would have no effect.
func checkURL(u *url.URL, scheme string) error {
	problem := ""
	switch {
	case u.User.Username() != "":
		problem = "names a user, but the server has no users"
	case u.RawQuery != "" || u.ForceQuery:
		problem = "has options after a ?: set them in client.Options, or write ? in a password as %3F"
	case u.Fragment != "":
		problem = "has a #: write it as %23 in a password"
	case scheme == "cyberdb" && u.Path != "" && u.Path != "/":
		problem = "has a path after the address, but there are no numbered databases: write / in a password as %2F"
	case scheme == "unix" && u.Host != "" && u.Host != "." && u.Host != "..":
		problem = "has a host instead of a path: write unix:///path, or unix://./path for a relative path"
	case scheme == "unix" && u.Path == "":
		problem = "has no path"
	default:
		return nil
	}
	return fmt.Errorf("client: the URL %s: %s", problem, urlForms)
}
