package pickle

import "slices"

// KeyPath returns the keys on the path to the place where Parse has failed, from the outermost dict
// inwards. A dict that is not yet filled looks empty, so the caller gives the last key of the
// outermost dict.
func (u *Unpickler) KeyPath(last string) (keys []Object) {
	if at := u.valueOf(last); at > 0 {
		return append([]Object{{u, u.stack[at-1]}}, u.trailFrom(at)...)
	}
	return u.trailFrom(0)
}

// valueOf returns where on the stack the value under a key of the outermost dict is, 0 if it is not
// there.
func (u *Unpickler) valueOf(key string) int {
	for at := 1; at+1 < len(u.stack) && u.nodes[u.stack[0]].kind == Dict; at += 2 {
		if (Object{u, u.stack[at]}).IsText(key) {
			return at + 1
		}
	}
	return 0
}

func (u *Unpickler) trailFrom(at int) (keys []Object) {
	for at < len(u.stack) && u.nodes[u.stack[at]].kind == Dict {
		end, marked := len(u.stack), slices.Contains(u.marks, at+1)
		for _, mark := range u.marks {
			if mark > at+1 {
				end = min(end, mark)
			}
		}
		switch begun := end - at - 1; {
		case begun == 0:
			return keys
		case !marked: // the dict takes one key and its value
			keys, at = append(keys, Object{u, u.stack[at+1]}), at+2
		case begun%2 == 1: // the last one is a key without a value
			return append(keys, Object{u, u.stack[end-1]})
		default:
			keys, at = append(keys, Object{u, u.stack[end-2]}), end-1
		}
	}
	return keys
}

// Distinct removes duplicates from the keys of a dict, or the members of a set, as Python does.
// Append does the same to what it appends. Errors: as Append's, for a key.
func (o Object) Distinct() error {
	for i, part := range o.Parts() {
		if o.Kind() == Dict && i%2 == 1 {
			continue
		}
		if err := o.u.measure(part.at, 0); err != nil {
			return err
		}
	}
	return o.u.distinct(o.at)
}
