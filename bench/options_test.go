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
		{func(o *Options) { o.KeySize, o.Keys = Size{2, 9}, 257 }, "at most 256"},
		{func(o *Options) { o.ValueSize = Fixed(2 << 20) }, "--value-size must be"},
		{func(o *Options) { o.Tables = o.Keys + 1 }, "--tables must be 1 to 100000"},
		{func(o *Options) { o.Zipf = -1 }, "--zipf must be"},
		{func(o *Options) { o.Rate = -1 }, "--rate must be"},
		{func(o *Options) { o.Ratio = Ratio{} }, "--ratio 0:0"},
		{func(o *Options) { o.Op, o.Rate = OpPop, 100 }, "goes without --rate"},
		{func(o *Options) { o.Target.Scheme, o.KeySize = SchemeMemcached, Fixed(251) }, "at most 250 bytes"},
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
