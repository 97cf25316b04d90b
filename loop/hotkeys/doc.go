// Package hotkeys finds the keys that are asked for most, in bounded memory, from a sample of the
// requests.
//
// A Sketch is one of the space-saving algorithm (Metwally, Agrawal, El Abbadi, 2005): it has a
// counter for each of a few keys, and a key that has none takes over the counter of the key that
// was seen least, whose count becomes its possible error. So every key that has more than a few
// thousandths of all requests is found. Counts are halved at intervals, which is what makes the
// result one of the present.
package hotkeys
