package identity

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
)

// ErrNoDevice reports a key that is not a live device of the identity.
var ErrNoDevice = errors.New("the identity has no such device")

// Persist makes keep the place where the device's secrets are stored: it is
// called before a change of the identity counts, never twice at once. The
// Secrets are the caller's to clear.
func (d *Device) Persist(keep func(Secrets) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.keep = keep
}

// Learn takes in what another device knows about the identity, and stores it
// before it returns. changed says whether that was news.
func (d *Device) Learn(chain []byte) (changed bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	own := d.Halo()
	if bytes.Equal(own.chain, chain) {
		return false, nil
	}
	other, err := readHalo(chain, own)
	if err != nil {
		return false, err
	}
	merged, err := own.Merge(other)
	if err != nil {
		return false, err
	}
	return d.setLocked(merged)
}

func (d *Device) setLocked(h Halo) (changed bool, err error) {
	if bytes.Equal(h.chain, d.Halo().chain) {
		return false, nil
	}
	if d.keep != nil {
		s := d.Secrets()
		s.Chain = h.chain
		err := d.keep(s)
		s.Clear()
		if err != nil {
			return false, fmt.Errorf("keeping the identity: %w", err)
		}
	}
	d.halo.Store(&h)
	return true, nil
}

// state adds a statement of this device.
func (d *Device) state(b body, also ...ed25519.PrivateKey) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	own := d.Halo()
	if !own.Live(d.key) {
		return ErrRevoked
	}
	b.Version, b.Deps = statementVersion, own.heads(own.all())
	h, err := own.with(b, append([]ed25519.PrivateKey{d.private}, also...)...)
	if err != nil {
		return err
	}
	_, err = d.setLocked(h)
	return err
}

// with returns h with one more statement, which must be allowed.
func (h Halo) with(b body, keys ...ed25519.PrivateKey) (Halo, error) {
	s, err := b.sign(keys...)
	if err != nil {
		return Halo{}, err
	}
	next, err := unite(h.statements(), []statement{s})
	if err != nil {
		return Halo{}, err
	}
	for _, n := range next.nodes {
		if n.id == s.id {
			return next, n.allowed(judge(next.nodes, n.past))
		}
	}
	return Halo{}, ErrChainFull
}

// heads returns the statements of set that are in nobody's past there, sorted.
// If there are too many, some are left for the next statement.
func (h Halo) heads(set bitset) []ID {
	past := newBitset(len(h.nodes))
	for _, n := range h.nodes {
		if set.has(n.index) {
			past.union(n.past)
		}
	}
	var ids []ID
	for _, n := range slices.Backward(h.nodes) {
		if set.has(n.index) && !past.has(n.index) && len(ids) < maxDeps {
			ids = append(ids, n.id)
		}
	}
	slices.SortFunc(ids, ID.Compare)
	return ids
}

// all returns every statement.
func (h Halo) all() bitset {
	set := newBitset(len(h.nodes))
	for i := range h.nodes {
		set.set(i)
	}
	return set
}

// RevokeDevice ends a device of the identity, which may be d itself. It cannot
// be undone.
func (d *Device) RevokeDevice(key PublicKey) error {
	if !d.Halo().Live(key) {
		return ErrNoDevice
	}
	return d.state(body{Kind: kindRevoke, Device: key})
}

// RenameDevice gives a device of the identity another name.
func (d *Device) RenameDevice(key PublicKey, name string) error {
	if !d.Halo().Live(key) {
		return ErrNoDevice
	}
	return d.state(body{Kind: kindName, Device: key, DeviceName: name})
}

// SetRecovery gives the identity recovery keys, if it has none.
func (d *Device) SetRecovery(keys *RecoveryKeys) error {
	b := body{Kind: kindRecovery}
	b.RecoverySign, b.RecoverySeal = keys.Public()
	return d.state(b, keys.sign)
}
