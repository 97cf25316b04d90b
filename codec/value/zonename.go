package value

import "strings"

// maxZoneName bounds the bytes of the name of a zone.
const maxZoneName = 255

// PlainZone is before the name that a plain offset has: "=CST".
const PlainZone = "="

// zoneName checks the name of a zone: empty, a key of the tz database, or PlainZone and any name.
func (c checking) zoneName(name []byte) error {
	switch {
	case !validBytes(name):
		return malformedf("name of a time zone is not UTF-8")
	case c.stored || IsZoneName(string(name)):
		return nil
	case len(name) > maxZoneName:
		return tooLarge("name of a time zone of %d bytes, at most %d", len(name), maxZoneName)
	}
	return malformedf(
		"%s is no name of a time zone: it is a key of the tz database such as 'Europe/Berlin', or '%s' and the "+
			"name of a plain offset",
		appendStrRepr(nil, name),
		PlainZone,
	)
}

// IsZoneName reports whether a name may be that of a zone. Which keys the tz database has is not
// looked up.
func IsZoneName(name string) bool {
	return len(name) <= maxZoneName && (name == "" || strings.HasPrefix(name, PlainZone) || isZoneKey(name))
}

// isZoneKey reports whether a name has the form of a key of the tz database: parts of letters,
// digits, '+', '-' and '_', between slashes.
func isZoneKey(name string) bool {
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || strings.ContainsFunc(part, notInZoneKey) {
			return false
		}
	}
	return true
}

func notInZoneKey(r rune) bool {
	return (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '+' && r != '-' && r != '_'
}
