package store

// A Tx is one transaction. A missing key gives ErrNotFound.
type Tx struct{}

// Meta returns a named value.
func (t *Tx) Meta(name string) ([]byte, error) { panic("store: not written yet") }

// PutMeta sets a named value.
func (t *Tx) PutMeta(name string, value []byte) error { panic("store: not written yet") }

// Entry returns one raw entry.
func (t *Tx) Entry(feed [32]byte, seq uint64) ([]byte, error) { panic("store: not written yet") }

// PutEntry stores an entry and appends it to the arrival log. It returns the
// entry's position there: 1, 2, 3… Storing an entry again changes nothing.
func (t *Tx) PutEntry(feed [32]byte, seq uint64, raw []byte) (pos uint64, err error) {
	panic("store: not written yet")
}

// Log calls fn for the entries accepted after a position, in order.
func (t *Tx) Log(after uint64, fn func(pos uint64, feed [32]byte, seq uint64) error) error {
	panic("store: not written yet")
}

// LogEnd returns the position of the last entry, 0 when there is none.
func (t *Tx) LogEnd() uint64 { panic("store: not written yet") }

// Credential returns one raw credential.
func (t *Tx) Credential(id [32]byte) ([]byte, error) { panic("store: not written yet") }

// PutCredential stores a credential; storing it again changes nothing.
func (t *Tx) PutCredential(id [32]byte, raw []byte) error { panic("store: not written yet") }

// Credentials calls fn for every credential, in the order they were put.
func (t *Tx) Credentials(fn func(id [32]byte, raw []byte) error) error {
	panic("store: not written yet")
}

// Node returns one node record.
func (t *Tx) Node(id [16]byte) ([]byte, error) { panic("store: not written yet") }

// PutNode stores a node record.
func (t *Tx) PutNode(id [16]byte, record []byte) error { panic("store: not written yet") }

// DeleteNode removes a node record. Removing what is not there is no error.
func (t *Tx) DeleteNode(id [16]byte) error { panic("store: not written yet") }

// Nodes calls fn for every node record, ordered by id.
func (t *Tx) Nodes(fn func(id [16]byte, record []byte) error) error { panic("store: not written yet") }

// Text returns a stored text.
func (t *Tx) Text(key []byte) ([]byte, error) { panic("store: not written yet") }

// PutText stores a text, compressed.
func (t *Tx) PutText(key, text []byte) error { panic("store: not written yet") }

// DeleteText removes a text. Removing what is not there is no error.
func (t *Tx) DeleteText(key []byte) error { panic("store: not written yet") }

// Doc returns a saved document.
func (t *Tx) Doc(key []byte) ([]byte, error) { panic("store: not written yet") }

// PutDoc stores a saved document, compressed.
func (t *Tx) PutDoc(key, doc []byte) error { panic("store: not written yet") }

// DeleteDoc removes a document. Removing what is not there is no error.
func (t *Tx) DeleteDoc(key []byte) error { panic("store: not written yet") }

// DropMaterialised empties what can be made again from the log: nodes, texts
// and documents.
func (t *Tx) DropMaterialised() error { panic("store: not written yet") }
