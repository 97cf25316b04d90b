// Package rope stores a sequence of encoded values with fast access to every position. It is a
// counted B+tree whose leaves are packed encodings.
//
// Terms. Element: one checked encoding (package codec/value). Packed: elements back to back. Leaf:
// up to 4 KiB of packed elements with their offsets; a larger element has its own leaf. Inner
// node: up to 64 children, with the number of elements in each. Owner: a token; a node with another
// token than its rope's is shared with a [Root] and is copied before it is changed.
//
//	Rope   head leaf | tree | tail leaf          elements in this order
//	                  inner  counts [900 871 ...]
//	                   /        \
//	                 leaf      leaf              buf: ...|elem|elem|elem|   off: n+1 positions
//
// The first and the last leaf stay outside the tree, so that pushes and pops at both ends touch one
// leaf. These two may be empty; a leaf in the tree never is. A leaf may have free space on both
// sides of its elements.
//
// Guarantees:
//  1. Get, Set, Insert and Delete take O(log n); the ends O(1) amortised; ranges O(log n + bytes
//     copied).
//  2. Freeze takes O(1) and its Root never changes, whatever the Rope does later.
//  3. An inner node other than the root has 16 to 64 children, so the height stays below log16 of
//     the leaves.
//  4. A leaf's buffer is at most twice the size of its elements (four times for the two ends; small
//     leaves may have more). A delete merges neighbours that together fill at most three quarters
//     of a leaf.
//
// A Rope is not safe for concurrent use; a Root is. Indexes must lie in the sequence: like a slice,
// a rope panics if they do not.
package rope
