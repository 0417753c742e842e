package feed

// A Key encrypts the entries of a space. Every member has it.
type Key [32]byte

// NewKey makes a key.
func NewKey() Key { panic("to be written") }

// ID names the key in headers without giving it away.
func (k Key) ID() [8]byte { panic("to be written") }

// Topic is the secret name under which the members of the space meet.
func (k Key) Topic() [32]byte { panic("to be written") }

// String keeps the key out of logs.
func (k Key) String() string { return "feed.Key(secret)" }

// GoString keeps the key out of logs.
func (k Key) GoString() string { return k.String() }
