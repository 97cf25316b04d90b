package legacy

import (
	"errors"
	"fmt"

	"cyberdb-fast/codec/pickle"
	"cyberdb-fast/codec/value"
)

// A file of CyberDB's is one pickle of {"config": {...}, "db": {name: dict or list, ...}}. The
// config has the last settings of the server, with its password in clear text; it is not imported.
// There is no checksum: damage that leaves a valid pickle is not detected.

// ErrNoFile is returned for bytes that are not a pickle of a dict, so not a file of CyberDB.
var ErrNoFile = errors.New("not a data file of CyberDB, which is a pickle of a dict")

// FileError says what is wrong with a file, and where.
type FileError struct {
	Table string // "" if not in a table
	Key   string // Python's repr of the entry's key, or the element's index; "" if not in an entry
	Err   error
}

func (e *FileError) Error() string {
	switch {
	case e.Key != "":
		return fmt.Sprintf("table %q, entry %s: %v", e.Table, e.Key, e.Err)
	case e.Table != "":
		return fmt.Sprintf("table %q: %v", e.Table, e.Err)
	}
	return e.Err.Error()
}

// Unwrap returns the cause.
func (e *FileError) Unwrap() error { return e.Err }

// File is a parsed and checked file of CyberDB: every table and entry in it can be stored.
type File struct {
	Tables        []FileTable // in the order of their creation
	Bytes         int         // of all entries' encodings
	TrailingBytes int         // bytes after the pickle, which CyberDB skips
}

// FileTable is a table in a file.
type FileTable struct {
	Name string
	Kind Table
	at   pickle.Object
}

// Len returns the number of entries.
func (t *FileTable) Len() int {
	if t.Kind == Dict {
		return t.at.Len() / 2
	}
	return t.at.Len()
}

// Entry appends the encoding of one entry to room: the key and the value of a dict's, or the
// element of a list. key and val are views into it; an element has no key.
//
// Errors: only those of the limits of keys (*value.Error); ParseFile has found all others.
func (t *FileTable) Entry(room []byte, i int) (key, val, all []byte, err error) {
	at := len(room)
	if t.Kind == List {
		all, err = t.at.Part(i).Append(room)
		return nil, all[at:], all, err
	}
	if all, err = t.at.Part(2 * i).Append(room); err != nil {
		return nil, nil, all, err
	}
	if _, _, err := value.Key(all[at:], nil); err != nil {
		return nil, nil, all, err
	}
	end := len(all)
	all, err = t.at.Part(2*i + 1).Append(all)
	return all[at:end:end], all[end:], all, err
}

// IsFile reports whether these can be the first bytes of a file of CyberDB.
func IsFile(b []byte) bool { return len(b) > 1 && pickle.BeginsDict(b) }

// Shared objects are copied. maxExpansion bounds by what factor that may make a file grow, above
// leastExpanded.
const (
	maxExpansion  = 64
	leastExpanded = 32 << 20
)

// Classes says what happens to objects of classes that are not supported.
type Classes uint8

const (
	// RefuseClasses rejects them by name.
	RefuseClasses Classes = iota
	// KeepOpaque stores them as opaque bytes; see pickle.Unpickler.
	KeepOpaque
)

// ParseFile parses a file of CyberDB, which is all of b; the File is valid as long as b is.
//
// Errors: ErrNoFile; *FileError, which holds a *pickle.Error, pickle.ErrRecursive,
// value.ErrTooLarge and so on.
func ParseFile(b []byte, classes Classes) (*File, error) {
	if !IsFile(b) {
		return nil, ErrNoFile
	}
	u := pickle.Unpickler{KeepOpaque: classes == KeepOpaque}
	root, n, err := u.Parse(b)
	if err != nil {
		return nil, whereIn(u.KeyPath("db"), err)
	}
	db := pickle.Object{}
	if root.Kind() == pickle.Dict {
		db = root.Field("db")
	}
	if db.IsZero() || db.Kind() != pickle.Dict {
		err := fmt.Errorf("%w: a dict with a dict of tables under \"db\"", ErrNoFile)
		return nil, errors.Join(err, u.Refused())
	}
	f := &File{TrailingBytes: len(b) - n}
	if err := db.Distinct(); err != nil {
		return nil, &FileError{Err: fmt.Errorf("a table's name: %w", err)}
	}
	for i := 0; i < db.Len(); i += 2 {
		if err := f.addTable(db.Part(i), db.Part(i+1), len(b)); err != nil {
			return nil, err
		}
	}
	if err := u.Refused(); err != nil { // in the config, or in what the pickle has thrown away again
		return nil, &FileError{Err: err}
	}
	return f, nil
}

// whereIn adds the table and the key to an error.
func whereIn(trail []pickle.Object, err error) error {
	if errors.Is(err, pickle.ErrShort) {
		err = errors.New("the file ends too early: it is truncated")
	}
	e := &FileError{Err: err}
	if len(trail) > 1 && trail[0].IsText("db") {
		e.Table = nameOf(trail[1])
		if len(trail) > 2 {
			e.Key = nameOf(trail[2])
		}
	}
	return e
}

// nameOf returns the repr of a key, shortened if it is long; for a string that can be a name, the
// string itself.
func nameOf(key pickle.Object) string {
	const most = 80
	text := key.TypeName()
	if encoded, err := key.Append(nil); err == nil {
		if repr, err := value.Repr(encoded); err == nil {
			text = repr
		}
	}
	if key.Kind() == pickle.Str && len(key.Text()) <= most {
		return string(key.Text())
	}
	if len(text) > most {
		text = text[:most] + "..."
	}
	return text
}

// addTable adds a table and checks all its entries.
func (f *File) addTable(name, content pickle.Object, fileBytes int) error {
	t := FileTable{Name: nameOf(name), at: content}
	if name.Kind() != pickle.Str {
		return &FileError{Table: t.Name, Err: fmt.Errorf("a table's name is a str, not %s", name.TypeName())}
	}
	t.Name = string(name.Text())
	fail := func(key string, err error) error { return &FileError{Table: t.Name, Key: key, Err: err} }
	switch content.Kind() {
	case pickle.Dict:
		t.Kind = Dict
	case pickle.List:
		t.Kind = List
	default:
		if content.Kind() == pickle.Opaque || content.Kind() == pickle.Global {
			_, err := content.Size()
			return fail("", err)
		}
		return fail("", fmt.Errorf("a table is a dict or a list, not %s", content.TypeName()))
	}
	for i := range t.Len() {
		parts, key := []pickle.Object{}, fmt.Sprint(i)
		if t.Kind == Dict {
			parts = append(parts, content.Part(2*i), content.Part(2*i+1))
		} else {
			parts = append(parts, content.Part(i))
		}
		for _, part := range parts {
			size, err := part.Size()
			if err == nil {
				if f.Bytes += size; f.Bytes > leastExpanded+maxExpansion*fileBytes {
					err = fmt.Errorf(
						"%w: objects that are shared make more than %d times the file of it",
						value.ErrTooLarge,
						maxExpansion,
					)
				}
			}
			if err != nil {
				if t.Kind == Dict {
					key = nameOf(parts[0])
				}
				return fail(key, err)
			}
		}
	}
	if err := content.Distinct(); t.Kind == Dict && err != nil {
		return fail("", fmt.Errorf("a key: %w", err))
	}
	f.Tables = append(f.Tables, t)
	return nil
}
