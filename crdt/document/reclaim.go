package document

/*
#include <stdlib.h>
#ifdef __GLIBC__
#include <malloc.h>
static void give_back(void) { malloc_trim(0); }
#else
static void give_back(void) {}
#endif
*/
import "C"

import "runtime"

// Reclaim gives the memory of closed documents back to the system. Automerge
// frees it only when the garbage collector has run, which knows nothing of its
// size, and the C library keeps what it freed. It takes some milliseconds: call
// it after closing many, not after each.
func Reclaim() {
	for range 2 { // what the first round frees may have held more
		freed := make(chan struct{})
		mark := &struct{ _ [64]byte }{}
		runtime.SetFinalizer(mark, func(*struct{ _ [64]byte }) { close(freed) })
		runtime.GC()
		<-freed // finalizers run in one goroutine, after the collection
	}
	C.give_back()
}
