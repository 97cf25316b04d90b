package pickle

import "fmt"

// Containers of the module collections.

// makeOrderedDict makes an empty one, or one of a list of pairs.
func makeOrderedDict(u *Unpickler, args []ref) (ref, error) {
	switch {
	case len(args) == 0:
		return u.addContainer(OrderedDict), nil
	case !u.kindsAre(args, List):
		return 0, errArguments
	}
	made := u.addContainer(OrderedDict)
	for _, pair := range u.parts(&u.nodes[args[0]]) {
		n := u.nodes[pair]
		if parts := u.parts(&n); (n.kind == List || n.kind == Tuple) && len(parts) == 2 {
			u.extend(made, parts)
			continue
		}
		return 0, errArguments
	}
	return made, nil
}

func makeCounter(u *Unpickler, args []ref) (ref, error) {
	switch {
	case len(args) == 0:
		return u.addContainer(Counter), nil
	case u.kindsAre(args, Dict):
		return u.addContainer(Counter, u.parts(&u.nodes[args[0]])...), nil
	}
	return 0, errArguments
}

func makeDefaultDict(u *Unpickler, args []ref) (ref, error) {
	switch {
	case len(args) == 0:
		return u.addContainer(DefaultDict, u.add(node{kind: None})), nil
	case u.kindsAre(args, None):
		return u.addContainer(DefaultDict, args[0]), nil
	case !u.kindsAre(args, Global):
		return 0, errArguments
	}
	c := u.classes[u.nodes[args[0]].a]
	if c.module != "builtins" || !factories[c.name] {
		return 0, fmt.Errorf("a factory that is not taken: %s", c.path())
	}
	start := len(u.made)
	u.made = append(u.made, c.name...)
	return u.addContainer(DefaultDict, u.addMade(Str, start)), nil
}

// makeDeque makes one of a tuple or list, which pickles leave empty, and a maxlen.
func makeDeque(u *Unpickler, args []ref) (ref, error) {
	var items []ref
	most := u.add(node{kind: None})
	if len(args) > 2 {
		return 0, errArguments
	}
	if len(args) > 0 {
		n := u.nodes[args[0]]
		if n.kind != List && n.kind != Tuple {
			return 0, errArguments
		}
		items = u.parts(&n)
	}
	if len(args) == 2 {
		if n := u.nodes[args[1]]; n.kind != None && (n.kind != Int || int64(n.bits) < 0) {
			return 0, errArguments
		}
		most = args[1]
	}
	made := u.addContainer(Deque, most)
	if len(items) > 0 {
		u.extend(made, items)
	}
	return made, nil
}
