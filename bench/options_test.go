package bench

import (
	"errors"
	"strings"
	"testing"
)

func TestOptionsCheck(t *testing.T) {
	cases := []struct {
		with func(o *Options)
		want string
	}{
		{func(*Options) {}, ""},
		{func(o *Options) { o.Connections = 0 }, "-c must be 1"},
		{func(o *Options) { o.Connections = 1 << 30 }, "file descriptors and the limit is"},
		{func(o *Options) { o.Pipeline = 1 << 20 }, "-P must be 1 to 65536"},
		{func(o *Options) { o.Keys = 0 }, "--keys must be"},
		{func(o *Options) { o.KeyBytes, o.Keys = 2, 257 }, "at most 256"},
		{func(o *Options) { o.ValueBytes = 2 << 20 }, "--value-size must be"},
		{func(o *Options) { o.Duration = 0 }, "-d must be above 0"},
		{func(o *Options) { o.Table = "users" }, "--table must begin with \"bench\""},
	}
	for _, c := range cases {
		o := DefaultOptions()
		c.with(&o)
		err := o.Check()
		if c.want == "" {
			if err != nil {
				t.Errorf("%v", err)
			}
			continue
		}
		var usage *UsageError
		if !errors.As(err, &usage) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want a usage error with %q", err, c.want)
		}
	}
}
