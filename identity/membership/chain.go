package membership

import (
	"bytes"
	"sync"

	"github.com/echofs/echofs/identity"
)

// A chain is what a credential says about an identity's devices, verified.
type chain struct{ identity.Halo }

// maxChains bounds how many chains a book remembers.
const maxChains = 4096

// A book reads chains and remembers what it has read: the same chain comes with
// several credentials, and is merged with the same others for each past.
type book struct {
	read func([]byte) (identity.Halo, error)

	mu     sync.Mutex // guards the fields below
	chains map[identity.ID]*chain
	merged map[[2]*chain]*chain
}

func newBook() *book {
	return &book{read: identity.ReadHalo, chains: map[identity.ID]*chain{}, merged: map[[2]*chain]*chain{}}
}

func (b *book) open(data []byte) (*chain, error) {
	id := identity.Hash("chain", data)
	b.mu.Lock()
	defer b.mu.Unlock()
	if c := b.chains[id]; c != nil {
		return c, nil
	}
	halo, err := b.read(data)
	if err != nil {
		return nil, err
	}
	if len(b.chains) >= maxChains {
		clear(b.chains)
		clear(b.merged)
	}
	c := &chain{halo}
	b.chains[id] = c
	return c, nil
}

// merge returns the chain with the statements of both, which are of one
// identity.
func (b *book) merge(x, y *chain) *chain {
	switch {
	case x == nil || x == y:
		return y
	case y == nil:
		return x
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if m := b.merged[[2]*chain{x, y}]; m != nil {
		return m
	}
	m := y
	switch halo, err := x.Merge(y.Halo); {
	case err != nil: // too much to be one chain: one of the two, the same for everybody
		if bytes.Compare(x.Chain(), y.Chain()) > 0 {
			m = x
		}
	case x.Covers(y.Halo):
		m = x
	case !y.Covers(x.Halo):
		m = &chain{halo}
	}
	b.merged[[2]*chain{x, y}], b.merged[[2]*chain{y, x}] = m, m
	return m
}

// ends reports whether what by says means that a device which proof names as
// live is not.
func (b *book) ends(by, proof *chain, device identity.PublicKey) bool {
	return !b.merge(proof, by).Live(device)
}
