package credential

import (
	"cmp"
	"crypto/ed25519"
	"fmt"
	"slices"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/codec"
)

// envelope is how a credential travels.
type envelope struct {
	_    struct{} `cbor:",toarray"`
	Body []byte
	Sig  []byte
}

// Make signs a credential of op. It fills in Version, Device and Identity, and
// sorts Deps and Cuts.
func Make(d *identity.Device, op Op) (Signed, error) {
	op.Version = Version
	op.Device = d.Key()
	op.Identity = d.Identity()
	op.Deps = slices.Clone(op.Deps)
	slices.SortFunc(op.Deps, identity.ID.Compare)
	op.Cuts = slices.Clone(op.Cuts)
	slices.SortFunc(op.Cuts, func(a, b Cut) int { return compareCuts(a, b, op.Kind == Exclude) })
	if err := op.check(); err != nil {
		return Signed{}, err
	}
	body, err := codec.Marshal(op)
	if err != nil {
		return Signed{}, err
	}
	raw, err := codec.Marshal(envelope{Body: body, Sig: d.Sign(identity.ContextCredential, body)})
	if err != nil {
		return Signed{}, err
	}
	if len(raw) > MaxSize {
		return Signed{}, fmt.Errorf("%d bytes, at most %d allowed: %w", len(raw), MaxSize, ErrInvalid)
	}
	return Signed{Op: op, ID: identity.Hash(identity.ContextCredential, body), Raw: raw}, nil
}

// Decode reads a credential and verifies its signature. It keeps raw.
func Decode(raw []byte) (Signed, error) {
	if len(raw) > MaxSize {
		return Signed{}, fmt.Errorf("%d bytes, at most %d allowed: %w", len(raw), MaxSize, ErrInvalid)
	}
	var env envelope
	if err := codec.Unmarshal(raw, &env); err != nil {
		return Signed{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if len(env.Sig) != ed25519.SignatureSize {
		return Signed{}, fmt.Errorf("signature of %d bytes: %w", len(env.Sig), ErrInvalid)
	}
	s := Signed{ID: identity.Hash(identity.ContextCredential, env.Body), Raw: raw}
	var err error
	if s.Op, s.Newer, err = decodeBody(env.Body); err != nil {
		return Signed{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if !identity.Verify(s.Device, identity.ContextCredential, env.Body, env.Sig) {
		return Signed{}, fmt.Errorf("wrong signature: %w", ErrInvalid)
	}
	return s, nil
}

// head is what bodies of all versions have in common.
type head struct {
	Version  uint64             `cbor:"1,keyasint"`
	Space    identity.ID        `cbor:"2,keyasint,omitzero"`
	Kind     uint64             `cbor:"3,keyasint"`
	Deps     []identity.ID      `cbor:"4,keyasint,omitempty"`
	Device   identity.PublicKey `cbor:"5,keyasint"`
	Identity identity.ID        `cbor:"6,keyasint"`
}

func decodeBody(body []byte) (op Op, newer bool, err error) {
	var h head
	if err := codec.Peek(body, &h); err != nil {
		return Op{}, false, err
	}
	if h.Version > Version || h.Version == Version && !known(h.Kind) {
		op := Op{Version: h.Version, Space: h.Space, Deps: h.Deps, Device: h.Device, Identity: h.Identity}
		if h.Kind <= 0xff {
			op.Kind = Kind(h.Kind)
		}
		return op, true, op.checkHead()
	}
	if err := codec.Unmarshal(body, &op); err != nil {
		return Op{}, false, err
	}
	return op, false, op.check()
}

func known(kind uint64) bool { return kind <= 0xff && Kind(kind).Known() }

func (op *Op) checkHead() error {
	if len(op.Deps) > MaxDeps {
		return fmt.Errorf("%d deps, at most %d allowed: %w", len(op.Deps), MaxDeps, ErrInvalid)
	}
	for i := 1; i < len(op.Deps); i++ {
		if op.Deps[i-1].Compare(op.Deps[i]) >= 0 {
			return fmt.Errorf("deps repeated or not in order: %w", ErrInvalid)
		}
	}
	if op.Device == (identity.PublicKey{}) || op.Identity.IsZero() {
		return fmt.Errorf("no signer: %w", ErrInvalid)
	}
	return nil
}

// check reports what is wrong with op alone, whatever its past.
func (op *Op) check() error {
	if op.Version != Version {
		return fmt.Errorf("version %d: %w", op.Version, ErrInvalid)
	}
	if err := op.checkHead(); err != nil {
		return err
	}
	isGenesis := op.Kind == Genesis
	if isGenesis != op.Space.IsZero() || isGenesis != (len(op.Deps) == 0) || isGenesis != op.Proof.IsZero() {
		return fmt.Errorf("space, deps and proof belong to every kind but genesis: %w", ErrInvalid)
	}
	return op.checkKind()
}

// checkKind reports whether op has what its kind needs and nothing else.
func (op *Op) checkKind() error {
	var subject, role, cuts, ext bool // what the kind has
	var err error
	switch op.Kind {
	case Genesis, Import:
		ext, err = true, checkChain(op.Ext)
	case SetRole:
		subject, role, cuts, err = true, true, op.Role < Editor, op.checkSetRole()
	case FeedOpen:
	case Invite:
		role, ext = true, true
		if op.Role < Reader || op.Role > Admin {
			return fmt.Errorf("invitation to be %v: %w", op.Role, ErrInvalid)
		}
		_, err = DecodeInvite(op.Ext)
	case InviteRevoke:
		subject = true
	case Redeem:
		subject, ext = true, true
		_, err = DecodeRedeem(op.Ext)
	case DeviceCut:
		cuts, ext = true, true
		_, err = DecodeCut(op.Ext)
	case KeyEpoch:
		ext = true
		_, err = DecodeEpoch(op.Ext)
	case ProfileSet:
		ext = true
		_, err = DecodeProfile(op.Ext)
	case Exclude:
		cuts = true
		if len(op.Cuts) == 0 {
			err = fmt.Errorf("exclusion of nothing: %w", ErrInvalid)
		}
	case Meta:
		ext = true
		if len(op.Ext) > MaxMeta {
			err = fmt.Errorf("meta of %d bytes, at most %d allowed: %w", len(op.Ext), MaxMeta, ErrInvalid)
		}
	}
	switch {
	case err != nil:
		return err
	case subject == op.Subject.IsZero():
		return fmt.Errorf("kind %d and its subject: %w", op.Kind, ErrInvalid)
	case !role && op.Role != None:
		return fmt.Errorf("kind %d with a role: %w", op.Kind, ErrInvalid)
	case !cuts && len(op.Cuts) != 0:
		return fmt.Errorf("kind %d with cuts: %w", op.Kind, ErrInvalid)
	case ext != (len(op.Ext) != 0):
		return fmt.Errorf("kind %d with %d bytes of its own: %w", op.Kind, len(op.Ext), ErrInvalid)
	}
	return op.checkCuts()
}

func (op *Op) checkSetRole() error {
	if op.Role > Admin {
		return fmt.Errorf("set-role to an unknown role: %w", ErrInvalid)
	}
	if op.Subject == op.Identity && op.Role == Admin {
		return fmt.Errorf("nobody raises themselves: %w", ErrInvalid)
	}
	return nil
}

func (op *Op) checkCuts() error {
	if len(op.Cuts) > MaxCuts {
		return fmt.Errorf("%d cuts: %w", len(op.Cuts), ErrInvalid)
	}
	for i, c := range op.Cuts {
		if c.Seq == 0 || i > 0 && compareCuts(op.Cuts[i-1], c, op.Kind == Exclude) >= 0 {
			return fmt.Errorf("cuts empty, repeated or not in order: %w", ErrInvalid)
		}
	}
	return nil
}

// compareCuts orders cuts: by feed, of which there is one of each, except that
// several entries of a feed may be excluded.
func compareCuts(a, b Cut, exclude bool) int {
	if c := a.Feed.Compare(b.Feed); c != 0 || !exclude {
		return c
	}
	return cmp.Or(cmp.Compare(a.Seq, b.Seq), a.ID.Compare(b.ID))
}
