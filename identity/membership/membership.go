// Package membership works out from credentials who belongs to a space, with
// which role, devices and feeds.
//
// The result is a function of the set of credentials alone: neither the order
// they arrive in nor any clock matters. Two questions are kept apart:
//
//   - May a credential be in the set? That is judged on its own past only, so
//     everybody gives the same answer for ever. Its device must be proven to
//     act for its identity, which must have had the role that the kind needs.
//     A stranger therefore cannot put anything into the set.
//   - Which grants in the set are in force? That depends on all of them. The
//     founder's grant has the empty lineage; a grant's lineage is that of the
//     grant it was made under and then itself; a shorter lineage is senior.
//     Whoever you admit is junior to you. Grants are settled in one pass,
//     seniors first: what an admin did without knowing that a senior had
//     removed them is void, and so is everything that rests on it. Between
//     giving and taking a role without knowledge of each other, the senior
//     author prevails, and leaving prevails over everything. Whom an
//     invitation admits is admitted by who made it, whoever writes it down.
//     What a device did that its identity has cut, and that the cut has not
//     seen, is void too.
//
// # Concurrency
//
// Every method of a State may be called from any goroutine. Answers about a
// past are remembered by its heads, because they are asked for each entry.
package membership

import (
	"errors"
	"slices"
	"sync"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
)

var (
	// ErrInvalid reports a credential that no past and no future makes count.
	ErrInvalid = errors.New("credential refused")
	// ErrFull reports a credential whose past is missing while too many wait already.
	ErrFull = errors.New("too many credentials wait for others: ask for it again later")
	// ErrNotAllowed reports an action for which this device's identity lacks the role.
	ErrNotAllowed = errors.New("your role in the space does not allow that")
	// ErrLastAdmin reports that the only admin would leave others without one.
	ErrLastAdmin = errors.New("you are the only admin: make somebody else admin first")
	// ErrInvitation reports an invitation that admits nobody, or not any more.
	ErrInvitation = errors.New("the invitation is not open")
	// ErrSenior reports an attempt to lower an admin who is not junior.
	ErrSenior = errors.New("they were made admin by somebody senior to you")
)

const (
	// MaxLineage is how many hands the right to admit may pass through.
	MaxLineage = 64
	// MaxFeedsPerDevice is how many feeds a device may open in a space.
	MaxFeedsPerDevice = 256
	// MaxDeviceCuts is how many devices an identity may cut in a space.
	MaxDeviceCuts = 64
	// MaxMembers is how many identities this device admits to a space.
	MaxMembers = 500
)

// A Status is what became of a credential.
type Status uint8

const (
	Added     Status = iota + 1 // it is in the set, and perhaps some that waited for it
	Pending                     // it waits for its past, or for a release that understands it
	Duplicate                   // it was there, or waiting, already
)

// FeedInfo says whose feed it is.
type FeedInfo struct {
	Device   identity.PublicKey
	Identity identity.ID
}

// A Member is an identity with a role now.
type Member struct {
	identity.Profile // Device is the first of Devices
	Role             credential.Role
	Devices          []identity.PublicKey // that may act
	Infos            []identity.DeviceInfo
	Picture          []byte
}

// A State is a set of credentials and what it amounts to.
type State struct {
	book   *book
	verify func(pub identity.PublicKey, context string, body, sig []byte) bool

	mu       sync.Mutex // guards everything below
	space    identity.ID
	nodes    []*node // in order of acceptance, which is causal
	byID     map[identity.ID]*node
	heads    []*node
	auth     []*node                 // heads among what decides about roles and devices
	settled  []*node                 // all that can be void, in the order of resolve
	to       map[identity.ID][]*node // grants, by who gets them
	revokes  map[identity.ID][]*node // INVITE_REVOKEs, by INVITE
	redeemed map[identity.ID][]*node // REDEEMs, by INVITE, in order of age
	cuts     []*node                 // DEVICE_CUTs, in order of age
	invites  []*node
	epochs   []*node
	excludes []*node
	about    map[identity.ID][]*node // PROFILE_SETs and METAs, by identity
	proofs   map[identity.PublicKey][]proof
	told     map[identity.ID][]*node              // all that have a chain, by its identity, in order of age
	devices  map[identity.ID][]identity.PublicKey // proven at some time, sorted
	chains   map[identity.ID]*chain               // of each identity, all that is known
	feeds    map[identity.PublicKey][]*node
	waiting  waiting
	views    map[identity.ID]*view // by the hash of the heads
	current  *view                 // of the first known nodes
	known    int
	covered  []*node // of cover; nil when it has to be worked out
	verdicts generation
}

// A proof is a chain, by which a device was live, that some node brought into
// the set.
type proof struct {
	who identity.ID
	by  *node
}

// New returns a state without a space: the first GENESIS added decides.
func New() *State { return Of(identity.ID{}) }

// Of returns the empty state of one space, which takes no other GENESIS.
func Of(space identity.ID) *State {
	return &State{
		book:     newBook(),
		verify:   identity.Verify,
		space:    space,
		byID:     map[identity.ID]*node{},
		to:       map[identity.ID][]*node{},
		revokes:  map[identity.ID][]*node{},
		redeemed: map[identity.ID][]*node{},
		about:    map[identity.ID][]*node{},
		proofs:   map[identity.PublicKey][]proof{},
		told:     map[identity.ID][]*node{},
		devices:  map[identity.ID][]identity.PublicKey{},
		chains:   map[identity.ID]*chain{},
		feeds:    map[identity.PublicKey][]*node{},
		waiting:  newWaiting(),
		views:    map[identity.ID]*view{},
	}
}

// Space returns the ID of the space: that of its GENESIS.
func (s *State) Space() identity.ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.space
}

// Heads returns the credentials that no other has in its past, sorted. It is
// what peers compare and what the next credential's Deps are.
func (s *State) Heads() []identity.ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return sortedIDs(s.heads)
}

// Auth returns credentials whose past has every credential that decides about
// roles and devices. It is what an entry names as Auth: it covers what every earlier entry
// could name, and does not grow when many devices open their feeds at once.
//
// It grows when admins act without knowing of each other. A member whose
// entries cannot name that many makes one of it by opening a new feed, which
// has all of them in its past, and any member may do that.
func (s *State) Auth() []identity.ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return sortedIDs(s.cover())
}

// Len returns how many credentials are in the set.
func (s *State) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.nodes)
}

// Ops returns the set in causal order: the order of acceptance.
func (s *State) Ops() []credential.Signed { return s.Since(0) }

// Since returns Ops()[n:]: what was accepted after Len() was n.
func (s *State) Since(n int) []credential.Signed {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n >= len(s.nodes) {
		return nil
	}
	ops := make([]credential.Signed, 0, len(s.nodes)-n)
	for _, n := range s.nodes[n:] {
		ops = append(ops, n.Signed)
	}
	return ops
}

// Waiting returns the pending credentials, to keep and pass on, oldest first.
func (s *State) Waiting() []credential.Signed {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waiting.all()
}

// Has reports whether a credential is in the set.
func (s *State) Has(id identity.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byID[id] != nil
}

// Covers reports whether every credential in of is one of heads or in the past
// of one. Unknown credentials cover and are covered by nothing.
func (s *State) Covers(heads, of []identity.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Equal(heads, of) && s.hasAll(heads) {
		return true
	}
	v := s.viewAt(heads)
	if v == nil {
		return false
	}
	for _, id := range of {
		n := s.byID[id]
		if n == nil || !v.set.has(n.index) {
			return false
		}
	}
	return true
}

// Role returns an identity's role now.
func (s *State) Role(who identity.ID) credential.Role {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.role(who)
}

// RoleAt returns an identity's role for somebody who knew only heads and their
// past: None if any of heads is unknown.
func (s *State) RoleAt(who identity.ID, heads []identity.ID) credential.Role {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.viewAt(heads)
	if v == nil {
		return credential.None
	}
	return s.roleIn(v, who)
}

// Feed says who owns a feed; its ID is that of the credential that opened it.
func (s *State) Feed(feed identity.ID) (FeedInfo, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.byID[feed]
	if n == nil || n.Kind != credential.FeedOpen {
		return FeedInfo{}, false
	}
	return FeedInfo{Device: n.Device, Identity: n.Identity}, true
}

// Feeds returns the feeds a device opened, in order of acceptance.
func (s *State) Feeds(device identity.PublicKey) []identity.ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []identity.ID
	for _, n := range s.feeds[device] {
		ids = append(ids, n.ID)
	}
	return ids
}

func (s *State) hasAll(ids []identity.ID) bool {
	for _, id := range ids {
		if s.byID[id] == nil {
			return false
		}
	}
	return len(ids) > 0
}

func sortedIDs(nodes []*node) []identity.ID {
	ids := make([]identity.ID, len(nodes))
	for i, n := range nodes {
		ids[i] = n.ID
	}
	slices.SortFunc(ids, identity.ID.Compare)
	return ids
}
