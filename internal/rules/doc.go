// Package rules holds what keeps the architecture as ARCHITECTURE.md draws it:
// tests of who may import whom, and that every package says what it is.
package rules
