package govalue_test

import (
	"errors"
	"math"
	"math/big"
	"testing"
	"time"
	_ "time/tzdata" // the zones below, whatever the machine has

	"cyberdb-fast/codec/govalue"
)

func location(t *testing.T, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

func TestTimeRoundTrip(t *testing.T) {
	berlin := location(t, "Europe/Berlin")
	for _, c := range []struct {
		name string
		t    time.Time
		zone govalue.Zone
		fold bool
	}{
		{"UTC", time.Unix(1, 5000).UTC(), govalue.Zone{true, 0, 0, "UTC"}, false},
		{"offset", time.Unix(1, 0).In(time.FixedZone("", -5400)), govalue.Zone{true, -5400, 0, ""}, false},
		{"a name that is no IANA zone", time.Unix(1, 0).In(time.FixedZone("HOME", 60)), govalue.Zone{true, 60, 0, ""}, false},
		{"a false IANA zone", time.Unix(1, 0).In(time.FixedZone("Europe/Berlin", 60)), govalue.Zone{true, 60, 0, ""}, false},
		{"a false UTC", time.Unix(1, 0).In(time.FixedZone("UTC", 60)), govalue.Zone{true, 60, 0, ""}, false},
		{"winter", time.Date(2024, 1, 1, 0, 0, 0, 0, berlin), govalue.Zone{true, 3600, 0, "Europe/Berlin"}, false},
		{"summer", time.Date(2024, 7, 1, 0, 0, 0, 0, berlin), govalue.Zone{true, 7200, 0, "Europe/Berlin"}, false},
		{"first 02:30", time.Date(2024, 10, 27, 0, 30, 0, 0, time.UTC).In(berlin), govalue.Zone{true, 7200, 0, "Europe/Berlin"}, false},
		{"second 02:30", time.Date(2024, 10, 27, 1, 30, 0, 0, time.UTC).In(berlin), govalue.Zone{true, 3600, 0, "Europe/Berlin"}, true},
		{"03:00 after it", time.Date(2024, 10, 27, 2, 0, 0, 0, time.UTC).In(berlin), govalue.Zone{true, 3600, 0, "Europe/Berlin"}, false},
		{"before 1970", time.Date(1, 1, 1, 0, 0, 0, 1000, time.UTC), govalue.Zone{true, 0, 0, "UTC"}, false},
		{"year 9999", time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC), govalue.Zone{true, 0, 0, "UTC"}, false},
	} {
		d, err := govalue.DateTimeOf(c.t)
		if err != nil || d.Zone != c.zone || d.Fold != c.fold {
			t.Errorf("%s: got %+v, %v", c.name, d, err)
		}
		back, err := govalue.UnmarshalOf[time.Time](mustAppend(t, c.t))
		_, wantOffset := c.t.Zone()
		if _, offset := back.Zone(); err != nil || !back.Equal(c.t) || offset != wantOffset {
			t.Errorf("%s: %v came back as %v, %v", c.name, c.t, back, err)
		}
	}
}

func TestTimeOfUnknownZone(t *testing.T) {
	for _, zone := range []govalue.Zone{{true, 3600, 0, "Nowhere/Town"}, {true, 3600, 0, "../../etc/passwd"}, {true, 3600, 0, "Asia/Tokyo"}, {true, 3600, 0, "UTC"}} {
		got, err := govalue.DateTime{WallMicros: 3600_000000, Zone: zone}.Time()
		if _, offset := got.Zone(); err != nil || got.UnixMicro() != 0 || offset != 3600 {
			t.Errorf("%+v: got %v, %v", zone, got, err)
		}
	}
}

func TestNaiveDateTime(t *testing.T) {
	tokyo := location(t, "Asia/Tokyo")
	noon := time.Date(2024, 5, 6, 12, 0, 0, 0, tokyo)
	d, err := govalue.NaiveDateTime(noon)
	if err != nil || d.Zone != (govalue.Zone{}) {
		t.Errorf("got %+v, %v", d, err)
	}
	if got := d.In(tokyo); !got.Equal(noon) {
		t.Errorf("In: got %v, want %v", got, noon)
	}
	if _, err := d.Time(); !errors.Is(err, govalue.ErrWrongType) {
		t.Errorf("Time of a naive datetime: %v", err)
	}
}

func TestTimeDelta(t *testing.T) {
	for _, d := range []time.Duration{0, time.Microsecond, -time.Microsecond, 24 * time.Hour, -24 * time.Hour, math.MaxInt64, math.MinInt64, -1} {
		got, err := govalue.TimeDeltaOf(d).Duration()
		if err != nil || got != d.Truncate(time.Microsecond) {
			t.Errorf("%v came back as %v, %v", d, got, err)
		}
	}
	for _, days := range []int32{106752, -106753, 999999999} {
		if got, err := (govalue.TimeDelta{Days: days}).Duration(); !errors.Is(err, govalue.ErrOutOfRange) {
			t.Errorf("%d days: got %v, %v", days, got, err)
		}
	}
}

func TestGet(t *testing.T) {
	d := govalue.Dict{{"a", 1}, {int64(1), "one"}, {govalue.Tuple{"x", int64(2)}, "tuple"}, {[]byte("a"), "bytes"}}
	for _, c := range []struct{ key, want any }{
		{"a", 1},
		{1, "one"},
		{1.0, "one"},
		{true, "one"},
		{big.NewInt(1), "one"},
		{govalue.Tuple{"x", 2.0}, "tuple"},
		{[]byte("a"), "bytes"},
		{"b", nil},
		{2, nil},
		{nil, nil},
		{math.NaN(), nil},
		{make(chan int), nil},
	} {
		if got, ok := d.Get(c.key); got != c.want || ok != (c.want != nil) {
			t.Errorf("Get(%v): got %v, %v, want %v", c.key, got, ok, c.want)
		}
	}
}

func TestGetOfEveryDict(t *testing.T) {
	for _, d := range []interface{ Get(key any) (any, bool) }{
		govalue.OrderedDict{{"k", 5}}, govalue.Counter{{"k", 5}}, govalue.DefaultDict{Items: govalue.Dict{{"k", 5}}},
	} {
		if got, ok := d.Get("k"); got != 5 || !ok {
			t.Errorf("%T: got %v, %v", d, got, ok)
		}
	}
}

func TestUUIDString(t *testing.T) {
	u := govalue.UUID{0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0, 0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0}
	if got := u.String(); got != "12345678-9abc-def0-1234-56789abcdef0" {
		t.Error(got)
	}
}
