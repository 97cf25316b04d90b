// Package original holds the tests that run the original package, CyberDB 0.9.3, against this
// server. It has no code.
package original
