package invitation

import (
	"crypto/hmac"
	"crypto/sha256"
)

// SecretHash names the invitation where the secret must not be kept.
func (inv Invitation) SecretHash() [32]byte { return inv.derive("echo/invitation/hash/1") }

// Proof shows, to somebody who has the invitation too, that the guest has it.
// It is good for one connection: exporter is that connection's key material.
func (inv Invitation) Proof(exporter []byte) []byte {
	key := inv.derive("echo/invitation/proof/1")
	m := hmac.New(sha256.New, key[:])
	m.Write(exporter)
	return m.Sum(nil)
}

// CheckProof reports, in constant time, whether proof is the right one.
func (inv Invitation) CheckProof(exporter, proof []byte) bool {
	return hmac.Equal(inv.Proof(exporter), proof)
}
