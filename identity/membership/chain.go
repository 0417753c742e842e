package membership

import (
	"bytes"
	"sync"

	"github.com/echofs/echofs/identity"
)

// A chain is what a credential says about an identity's devices, verified.
type chain struct{ identity.Halo }

// maxBook bounds how many bytes of chains a book remembers: strangers, too, can
// have it read some.
const maxBook = 8 << 20

// maxMerged bounds how many pairs of chains a book remembers together.
const maxMerged = 4096

// A book reads chains and remembers what it has read: the same chain comes with
// several credentials, and is merged with the same others for each past.
type book struct {
	read func([]byte) (identity.Halo, error)

	mu     sync.Mutex // guards the fields below
	size   int        // of all chains, in bytes
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
	if b.size += len(data); b.size > maxBook {
		clear(b.chains)
		clear(b.merged)
		b.size = len(data)
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
	if len(b.merged) >= maxMerged {
		clear(b.merged)
	}
	b.merged[[2]*chain{x, y}], b.merged[[2]*chain{y, x}] = m, m
	return m
}

// ends reports whether what by says means that a device which proof names as
// live is not.
func (b *book) ends(by, proof *chain, device identity.PublicKey) bool {
	return !b.merge(proof, by).Live(device)
}
