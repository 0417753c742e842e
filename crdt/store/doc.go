// Package store keeps what one space has on disk: the database space.db with
// accepted entries, credentials and the state made from them, and the journal
// of local operations that are not in an entry yet.
//
// # Database
//
// One bbolt file. Every value carries a CRC32C over its bucket, its key and
// itself, because bbolt's pages carry none. Buckets:
//
//	meta    name → value
//	entry   feed ‖ seq → raw entry
//	log     position → feed ‖ seq, in the order the entries were accepted
//	cred    position → id ‖ raw credential, in the order they were accepted
//	credid  id → position
//	node    node id → record               ┐
//	text    key → zstd text                ├ made from the log; DropMaterialised
//	doc     key → zstd document            │ empties them
//	trace   node id ‖ order → trace        ┘
//
// # Concurrency
//
// Update runs one at a time, View any number beside it. A Tx belongs to the
// goroutine that runs it and ends with it. Everything a Tx returns is a copy;
// what it hands to a callback is valid only during the call. Every method of
// Journal may be called from any goroutine.
package store
