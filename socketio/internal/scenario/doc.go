// Package scenario tests the server with clients that are not ours: the official
// one from npm, and the black-box suites of the protocols.
package scenario
