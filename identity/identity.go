// Package identity owns what is stated about a person: which devices act for
// them, what those are called, which words recover everything; and what a device
// signs and opens.
//
// An identity is a set of signed statements, each with the ones its author knew
// of. It is named by the hash of the first, which the identity key and the first
// device's key both signed. The identity key is forgotten at once; from then on
// devices sign, and the recovery keys. A statement is signed for a context
// (Ed25519ctx), so a signature made for one purpose proves nothing for another.
//
// # Concurrency
//
// A Halo never changes. A Device learns more about its identity; every method
// and function may be called from any goroutine.
package identity

import "crypto/ed25519"

// Contexts that signatures and hashes are made for.
const (
	ContextIdentity   = "halo/id/1"
	ContextCredential = "echo/cred/1"
	ContextEntry      = "echo/entry/1"
	ContextRedeem     = "echo/redeem/1"
	ContextHello      = "echo/hello/1"
	ContextSignal     = "echo/signal/1"
	ContextLogin      = "halo/login/1"
	ContextDevice     = "halo/device/1"
)

// Verify reports whether sig is pub's signature of body for a context.
func Verify(pub PublicKey, context string, body, sig []byte) bool {
	return len(sig) == ed25519.SignatureSize &&
		ed25519.VerifyWithOptions(pub[:], body, sig, &ed25519.Options{Context: context}) == nil
}
