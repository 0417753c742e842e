// Package identity owns keys: who a person is, which devices act for them, and
// what those devices sign.
//
// An identity is named by the hash of its genesis statement, which the
// identity key and the first device's key both signed. The identity key is
// forgotten at once; from then on only device keys sign. A statement is signed
// for a context (Ed25519ctx), so a signature made for one purpose proves
// nothing for another.
//
// # Concurrency
//
// A Device never changes after it is made; every method and function may be
// called from any goroutine. Create and Load expect that one process at a time
// uses a folder; the daemon's lock on its home sees to that.
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
