package replicate

import (
	"github.com/echofs/echofs/crdt/feed"
	"github.com/echofs/echofs/crdt/space"
	"github.com/echofs/echofs/identity"
)

// Inputs of a session.
type (
	input   interface{}
	started struct{}
	// changed tells how our space is now.
	changed struct {
		member bool
		creds  []known // in causal order
		rev    int     // another one for other creds
		have   feed.Timeframe
		ring   []feed.Key
		forks  [][]byte
		key    [8]byte // names the key that is written with; of who is no member
		// barred says that the peer was a member and is none: farewell are the
		// credentials by which that ended, with their past.
		barred   bool
		farewell [][]byte
	}
	// logged answers readLog; no refs: there are no more. creds are the
	// credentials as they were after the log was read, so that those by which
	// the authors of the entries may write are among them. own tells which feeds
	// this device writes.
	logged struct {
		refs  []space.LogRef
		creds []known
		rev   int
		own   func(identity.ID) bool
	}

	// answered comes just before sendSent is carried out, so that what waits for
	// a peer that asks and does not read is bounded.
	answered struct{}
	// again asks for credentials that there was no room for.
	again struct{}

	gotProof struct {
		mac   [32]byte
		older [][32]byte
	}
	gotHeads       struct{ ids []identity.ID }
	gotCredentials struct {
		ids []identity.ID
		raw [][]byte
	}
	gotHave struct {
		seqs map[identity.ID]uint64
		ids  feed.Timeframe // the same, with the entries' IDs
	}
	gotEntries struct {
		items []item
		newer int // entries of a later release, left out
	}
	gotNews  struct{ seqs map[identity.ID]uint64 }
	gotPull  struct{ spans map[identity.ID]span }
	gotSent  struct{}
	gotKeys  struct{ keys [][32]byte }
	gotForks struct{ proofs [][]byte }
	gotAsk   struct{ ask }
	gotStub  struct{ raw []byte }

	gotPresence struct{ presence }
)

// Outputs of a session, to be carried out in order.
type (
	output      interface{}
	sendProof   struct{ proof }
	sendHeads   struct{} // as they are when it is sent
	sendCreds   struct{ raw [][]byte }
	sendHave    struct{ have }
	readLog     struct{ after uint64 }
	sendEntries struct{ refs []space.LogRef }
	sendNews    struct{ seqs map[identity.ID]uint64 } // the peer may ask for these
	sendPull    struct{ spans map[identity.ID]span }  // not of a session but of the puller
	sendSent    struct{}                              // that was all it asked for
	addCreds    struct{ raw [][]byte }
	accept      struct{ items []item }
	look        struct{} // come back with changed
	begun       struct { // what the peer has
		seqs map[identity.ID]uint64
		ids  feed.Timeframe
	}
	sendNoHeads struct{} // as if there were no credentials
	sendBye     struct{} // the link ends: the peer is no member any more
	sendKeys    struct{ keys [][32]byte }
	sendForks   struct{ proofs [][]byte }
	sendAsk     struct{ ask } // not of a session but of the search for a fork
	sendStub    struct{ ask } // what is asked for
	addKeys     struct{ keys [][32]byte }
	addForks    struct{ proofs [][]byte }
	compare     struct{ raw []byte }
	offered     struct{ seqs map[identity.ID]uint64 } // and what it has got since
	served      struct{}                              // it has sent all we asked for

	sendPresence struct{} // not of a session; as it is when it is sent
	seen         struct{ presence }
)
