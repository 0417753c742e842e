// Package document holds one text as an Automerge document: it turns splices
// into changes, applies the changes of others, and reads the text back.
//
// Automerge's core is a C library that ends the process when it is handed
// bytes it did not expect, and that no recover can catch. So every change,
// also one from our own disk, is vetted in Go before it crosses over: Check
// looks at the change alone, Apply also at what it refers to.
//
// These checks alone decide whether a change counts. When Automerge fails where
// they did not, the text is made in Go; see Doc.Degraded.
//
// # Concurrency
//
// Check may be called from any goroutine. A Doc must not be used by two
// goroutines at once; its owner locks it. Close frees the memory, which is
// about 600 bytes for each operation ever made.
package document
