// Package textdiff turns an old and a new text into the splices a person
// would say they made, and carries one person's splices over another's.
//
// Everything here is pure: any function may be called from any goroutine, and
// the same arguments give the same result on every device. Positions count
// runes. The work is bounded for any input, so two megabytes with nothing in
// common cost a fraction of a second and come out as one splice.
package textdiff
