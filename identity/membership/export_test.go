package membership

import "github.com/echofs/echofs/identity"

// Book is what remembers chains, for the simulator to share between states.
type Book = book

// NewBook returns a book that reads chains in another way.
func NewBook(read func([]byte) (identity.Halo, error)) *Book {
	b := newBook()
	b.read = read
	return b
}

// Simulated returns a state that takes chains from a book, and signatures of
// invitations by the first byte.
func Simulated(space identity.ID, b *Book) *State {
	s := Of(space)
	s.book = b
	s.verify = func(_ identity.PublicKey, _ string, _, sig []byte) bool { return len(sig) > 0 && sig[0] == 1 }
	return s
}

// InForce reports whether a credential is in force.
func (s *State) InForce(id identity.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.byID[id]
	return n != nil && s.now().valid.has(n.index)
}
