package admission

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/codec"
	"github.com/echofs/echofs/identity/invitation"
)

const (
	// maxTries is how many wrong PINs end an invitation.
	maxTries = 3

	shelfName    = "pins"
	maxRecords   = 256
	maxLedger    = 64 << 10
	keepFor      = 24 * time.Hour // after its expiry, so that a late guest hears why
	ledgerFormat = 1
)

var (
	// ErrNotFound reports an invitation that the ledger does not have.
	ErrNotFound = errors.New("there is no such invitation here")
	// ErrLedger reports a ledger that cannot be read.
	ErrLedger = errors.New("the PIN invitations of this device cannot be read")
)

// A Shelf keeps values durably; *space.Space is one.
type Shelf interface {
	Local(name string) ([]byte, error) // nil if there is none
	PutLocal(name string, value []byte) error
}

// A record is a PIN invitation as the ledger keeps it.
type record struct {
	Invitation []byte      `cbor:"1,keyasint"` // its text
	PIN        string      `cbor:"2,keyasint"`
	Expires    int64       `cbor:"3,keyasint"` // seconds since 1970
	Tries      uint64      `cbor:"4,keyasint,omitempty"`
	Used       identity.ID `cbor:"5,keyasint,omitzero"`  // whose PIN was right first
	Admitted   bool        `cbor:"6,keyasint,omitempty"` // and who is a member now
	Withdrawn  bool        `cbor:"7,keyasint,omitempty"`

	inv invitation.Invitation
}

// ledgerBody is how a ledger is stored.
type ledgerBody struct {
	Version uint64   `cbor:"1,keyasint"`
	Records []record `cbor:"2,keyasint,omitempty"`
}

// A Ledger remembers the PIN invitations of this device and how often somebody
// was wrong. What a method has changed is durable when it returns.
type Ledger struct {
	shelf Shelf

	mu   sync.Mutex // guards list
	list []record
}

// OpenLedger reads the ledger on a shelf; an empty shelf has an empty one.
func OpenLedger(shelf Shelf) (*Ledger, error) {
	data, err := shelf.Local(shelfName)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrLedger, err)
	}
	l := &Ledger{shelf: shelf}
	if data != nil {
		if l.list, err = decodeLedger(data); err != nil {
			return nil, err
		}
	}
	return l, nil
}

func decodeLedger(data []byte) ([]record, error) {
	if len(data) > maxLedger {
		return nil, fmt.Errorf("%w: %d bytes", ErrLedger, len(data))
	}
	var b ledgerBody
	if err := codec.Unmarshal(data, &b); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrLedger, err)
	}
	if b.Version != ledgerFormat || len(b.Records) > maxRecords {
		return nil, fmt.Errorf("%w: version %d, %d invitations", ErrLedger, b.Version, len(b.Records))
	}
	for i := range b.Records {
		r := &b.Records[i]
		inv, err := invitation.Parse(string(r.Invitation))
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrLedger, err)
		}
		if pin, err := invitation.ParsePIN(r.PIN); err != nil || pin != r.PIN || inv.Kind == invitation.Link || inv.Expires.Unix() != r.Expires || inv.String() != string(r.Invitation) {
			return nil, fmt.Errorf("%w: an invitation of another kind", ErrLedger)
		}
		r.inv = inv
	}
	return b.Records, nil
}

func encodeLedger(list []record) ([]byte, error) {
	return codec.Marshal(ledgerBody{Version: ledgerFormat, Records: list})
}

// A PINInvitation is one as people see it.
type PINInvitation struct {
	Invitation invitation.Invitation
	Left       int         // tries
	Used       identity.ID // zero: by nobody yet
	Admitted   bool
	Withdrawn  bool
}

// ID names it.
func (p PINInvitation) ID() identity.ID { return p.Invitation.ID() }

// Open reports whether a guest can still be let in with it.
func (p PINInvitation) Open(now time.Time) bool {
	return p.Left > 0 && !p.Withdrawn && !p.Admitted && now.Before(p.Invitation.Expires.Add(Tolerance))
}

// Add keeps an invitation and its PIN, and forgets those that ended long ago.
func (l *Ledger) Add(inv invitation.Invitation, pin string, now time.Time) error {
	if inv.Kind == invitation.Link {
		return fmt.Errorf("keeping an invitation: %w", invitation.ErrInvalid)
	}
	return l.change(func(list []record) ([]record, error) {
		list = slices.DeleteFunc(list, func(r record) bool { return now.After(time.Unix(r.Expires, 0).Add(keepFor)) })
		if len(list) >= maxRecords || size(list) > maxLedger-8<<10 {
			return nil, fmt.Errorf("%d invitations with a PIN are kept: wait until some expire", len(list))
		}
		return append(list, record{Invitation: []byte(inv.String()), PIN: pin, Expires: inv.Expires.Unix(), inv: inv}), nil
	})
}

func size(list []record) (n int) {
	for _, r := range list {
		n += len(r.Invitation) + 128
	}
	return n
}

// All returns the invitations that are kept, oldest first.
func (l *Ledger) All() []PINInvitation {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]PINInvitation, len(l.list))
	for i, r := range l.list {
		all[i] = PINInvitation{
			Invitation: r.inv, Left: maxTries - int(min(r.Tries, maxTries)),
			Used: r.Used, Admitted: r.Admitted, Withdrawn: r.Withdrawn,
		}
	}
	return all
}

// Withdraw ends an invitation: nobody is let in with it any more.
func (l *Ledger) Withdraw(id identity.ID) error {
	return l.update(id, func(r *record) { r.Withdrawn = true })
}

func (l *Ledger) get(id identity.ID) (record, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.list {
		if r.inv.ID() == id {
			return r, true
		}
	}
	return record{}, false
}

// failed counts a wrong PIN and returns how many tries remain.
func (l *Ledger) failed(id identity.ID) (left int, err error) {
	err = l.update(id, func(r *record) {
		r.Tries++
		left = maxTries - int(min(r.Tries, maxTries))
	})
	return left, err
}

// claim notes whose PIN was right: from now on the invitation is theirs alone.
func (l *Ledger) claim(id, who identity.ID) error {
	return l.update(id, func(r *record) { r.Used = who })
}

// admitted notes that the claimant has become a member.
func (l *Ledger) admitted(id identity.ID) error {
	return l.update(id, func(r *record) { r.Admitted = true })
}

func (l *Ledger) update(id identity.ID, f func(*record)) error {
	return l.change(func(list []record) ([]record, error) {
		i := slices.IndexFunc(list, func(r record) bool { return r.inv.ID() == id })
		if i < 0 {
			return nil, ErrNotFound
		}
		f(&list[i])
		return list, nil
	})
}

// change replaces the list by what f makes of a copy, once that is durable.
func (l *Ledger) change(f func([]record) ([]record, error)) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	list, err := f(slices.Clone(l.list))
	if err != nil {
		return err
	}
	data, err := encodeLedger(list)
	if err == nil {
		err = l.shelf.PutLocal(shelfName, data)
	}
	if err != nil {
		return fmt.Errorf("keeping the invitations: %w", err)
	}
	l.list = list
	return nil
}
