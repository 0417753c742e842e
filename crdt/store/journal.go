package store

// A Journal holds frames that are appended before they are committed.
type Journal struct{}

// OpenJournal opens or makes the journal in dir. A frame that a crash tore at
// the end is cut off.
func OpenJournal(dir string) (*Journal, error) { panic("store: not written yet") }

// Append adds a frame. When it returns nil the frame survives the death of the
// process; Sync makes it survive a power cut.
func (j *Journal) Append(frame []byte) error { panic("store: not written yet") }

// Sync makes every frame appended so far durable. Concurrent callers share one
// disk sync.
func (j *Journal) Sync() error { panic("store: not written yet") }

// Rotate seals the current segment and begins a new one. It returns the number
// of the sealed segment, for Drop.
func (j *Journal) Rotate() (sealed uint64, err error) { panic("store: not written yet") }

// Drop removes sealed segments up to and including one.
func (j *Journal) Drop(upTo uint64) error { panic("store: not written yet") }

// Replay calls fn for every frame still held, oldest first.
func (j *Journal) Replay(fn func(frame []byte) error) error { panic("store: not written yet") }

// Size returns how many bytes of frames the journal holds.
func (j *Journal) Size() int64 { panic("store: not written yet") }

// Close closes the journal. It does not sync.
func (j *Journal) Close() error { panic("store: not written yet") }
