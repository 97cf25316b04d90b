// Package rope keeps a sequence of encoded values so that every place in it is near: a counted
// B+tree whose leaves are packed encodings.
//
// Terms. Element: one checked encoding (package codec/value). Packed: elements back to back. Leaf:
// up to 4 KiB of packed elements with their offsets; an element larger than that has a leaf alone.
// Inner node: up to 64 children and how many elements each holds. Owner: a token; a node that
// carries another token than its rope is shared with a [Root] and is copied before it is changed.
//
//	Rope   head leaf | tree | tail leaf          elements in this order
//	                  inner  counts [900 871 ...]
//	                   /        \
//	                 leaf      leaf              buf: ...|elem|elem|elem|   off: positions in buf, one more than elements
//
// The first and the last leaf stay outside the tree, so that pushes and pops at both ends touch one
// leaf; they may be empty, a leaf in the tree never is. A leaf may have free room on both sides of
// its elements.
//
// Guarantees:
//  1. Get, Set, Insert and Delete take O(log n); the ends O(1) amortised; ranges O(log n + bytes copied).
//  2. Freeze takes O(1) and its Root never changes, whatever the Rope does later.
//  3. An inner node other than the root has 16 to 64 children, so the height stays below log16 of the leaves.
//  4. A leaf's buffer is at most twice its elements (the two ends four times, and small leaves apart); neighbours that together fill no more than
//     three quarters of a leaf are merged when a delete meets them.
//
// A Rope is not safe for concurrent use; its owner locks. A Root may be read by any number of
// goroutines. Indexes must lie in the sequence: like a slice, a rope panics when they do not.
package rope
