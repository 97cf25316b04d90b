package legacy

import (
	"errors"
	"fmt"

	"cyberdb-fast/codec/pickle"
	"cyberdb-fast/codec/value"
)

// A file of CyberDB's is one pickle of {"config": {...}, "db": {name: dict or list, ...}}. The
// config is what the server was last run with, its password in clear text: none of it is taken.
// There is no checksum: damage that leaves a pickle is not found.

// ErrNoFile is returned for bytes that are no pickle of a dict: not a file of CyberDB's at all.
var ErrNoFile = errors.New("not a data file of CyberDB, which is a pickle of a dict")

// FileError says what is wrong with a file, and where.
type FileError struct {
	Table string // "" if it is in none
	Key   string // Python's repr of the entry's key, or the element's index; "" if it is in none
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

// File is a file of CyberDB's that has been read and found to be whole: every table and entry in it
// can be kept.
type File struct {
	Tables        []FileTable // in the order of their creation
	Bytes         int         // of all entries' encodings
	TrailingBytes int         // bytes behind the pickle, which CyberDB passes over
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

// Entry appends the encoding of one entry to room: the key and then the value of a dict's, or the
// element of a list. key and val are views into it; a list's have no key.
//
// Errors: none but of the limits of keys (*value.Error); ParseFile has found all others.
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

// IsFile says whether bytes can be the beginning of a file of CyberDB's.
func IsFile(b []byte) bool { return len(b) > 1 && pickle.BeginsDict(b) }

// Entries are expanded where objects are shared. maxExpansion bounds by what factor a file may
// grow, above leastExpanded.
const (
	maxExpansion  = 64
	leastExpanded = 32 << 20
)

// Classes says what becomes of objects of classes that are not among the types kept.
type Classes uint8

const (
	// RefuseClasses refuses them by name.
	RefuseClasses Classes = iota
	// KeepOpaque keeps them as values that nobody opens, as pickle.Unpickler has it.
	KeepOpaque
)

// ParseFile reads a file of CyberDB's, which is all of b; the File is good as long as b is.
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
		err = errors.New("the file ends too early: it was cut")
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

// nameOf is the repr of a key, cut if it is long; of a text that it can be, the text.
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

// addTable adds a table, and looks at all its entries.
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
