package daemon

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/echofs/echofs/crdt/space"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/codec"
	"github.com/echofs/echofs/identity/credential"
)

// The recovery box of a person lies in each of their spaces and tells what their
// spaces are and how to join them. Only the recovery words open it, and a device
// of the person has signed it.

const (
	boxVersion = 1
	contextBox = "halo/recovery/box/1"
	// maxBoxBody leaves room in a META for what sealing and signing add.
	maxBoxBody = credential.MaxMeta - 4<<10
	maxBoxed   = 256

	// A box is made when nothing has changed for boxAfter: for boxTurn longer by
	// each device that comes before this one, since one is enough.
	boxAfter = 2 * time.Second
	boxTurn  = 15 * time.Second
)

// A box is what a META holds.
type box struct {
	Version uint64      `cbor:"1,keyasint"`
	Sum     identity.ID `cbor:"2,keyasint"` // of the body and the key that opens it; tells whether it is the newest
	Sealed  []byte      `cbor:"3,keyasint"` // a signedBody
}

type signedBody struct {
	Device identity.PublicKey `cbor:"1,keyasint"`
	Body   []byte             `cbor:"2,keyasint"` // a boxBody
	Sig    []byte             `cbor:"3,keyasint"`
}

type boxBody struct {
	Version  uint64  `cbor:"1,keyasint"`
	Personal []byte  `cbor:"2,keyasint"` // record of the HALO space
	Spaces   []boxed `cbor:"3,keyasint,omitempty"`
}

// A boxed is one space.
type boxed struct {
	Record []byte `cbor:"1,keyasint"`           // with the GENESIS only
	Alone  bool   `cbor:"2,keyasint,omitempty"` // nobody else is in it
}

var errBox = errors.New("not a recovery box of this identity")

// sealBox makes the box that only the words open.
func sealBox(d *identity.Device, seal, body []byte) ([]byte, error) {
	signed, err := codec.Marshal(signedBody{Device: d.Key(), Body: body, Sig: d.Sign(contextBox, body)})
	if err != nil {
		return nil, err
	}
	sealed, err := identity.Seal(seal, contextBox, signed)
	if err != nil {
		return nil, err
	}
	return codec.Marshal(box{Version: boxVersion, Sum: sumOfBox(seal, body), Sealed: sealed})
}

func sumOfBox(seal, body []byte) identity.ID {
	return identity.Hash(contextBox, slices.Concat(seal, body))
}

func decodeBox(data []byte) (b box, err error) {
	if len(data) > credential.MaxMeta {
		return b, errBox
	}
	if err := codec.Unmarshal(data, &b); err != nil {
		return b, fmt.Errorf("%w: %w", errBox, err)
	}
	if b.Version != boxVersion {
		return b, fmt.Errorf("%w: version %d", errBox, b.Version)
	}
	return b, nil
}

// openBox opens a box with the words. A device that the identity has ever had must
// have signed it.
func openBox(keys *identity.RecoveryKeys, h identity.Halo, data []byte) (b boxBody, err error) {
	outer, err := decodeBox(data)
	if err != nil {
		return b, err
	}
	plain, err := keys.OpenSealed(contextBox, outer.Sealed)
	if err != nil {
		return b, err
	}
	var s signedBody
	if err := codec.Unmarshal(plain, &s); err != nil {
		return b, fmt.Errorf("%w: %w", errBox, err)
	}
	if _, known := h.Known(s.Device); !known || !identity.Verify(s.Device, contextBox, s.Body, s.Sig) {
		return b, fmt.Errorf("%w: it is signed by somebody else", errBox)
	}
	return decodeBoxBody(s.Body)
}

func decodeBoxBody(data []byte) (b boxBody, err error) {
	if err := codec.Unmarshal(data, &b); err != nil {
		return b, fmt.Errorf("%w: %w", errBox, err)
	}
	if b.Version != boxVersion || len(b.Spaces) > maxBoxed {
		return b, fmt.Errorf("%w: version %d, %d spaces", errBox, b.Version, len(b.Spaces))
	}
	return b, nil
}

// boxBody returns what is to be in the boxes: those spaces that fit.
func (d *daemon) boxBody(k *records) ([]byte, error) {
	body := boxBody{Version: boxVersion}
	mine := record{Version: recordVersion, Name: personalName, Credentials: k.space.Credentials()[:1], Keys: k.space.Keyring().Keys()}
	var err error
	if body.Personal, err = mine.encode(); err != nil {
		return nil, err
	}
	here, _, _ := d.placeOfSpaces()
	size := len(body.Personal)
	for _, id := range slices.SortedFunc(maps.Keys(k.all), identity.ID.Compare) {
		rec := k.all[id]
		if rec.Left {
			continue
		}
		rec.Credentials = rec.Credentials[:1]
		data, err := rec.encode()
		if err != nil {
			return nil, err
		}
		if size += len(data) + 16; size > maxBoxBody || len(body.Spaces) == maxBoxed {
			d.log.Warn("the recovery words bring not all your spaces back: they are too many", "spaces", len(k.all))
			break
		}
		s := here[id]
		body.Spaces = append(body.Spaces, boxed{Record: data, Alone: s != nil && len(s.Members()) == 1})
	}
	return codec.Marshal(body)
}

// keepBoxes puts the box into all spaces that have another one, some time after
// the last change.
func (d *daemon) keepBoxes(k *records, now time.Time) error {
	_, seal, ok := d.device.Halo().Recovery()
	if !ok || k.all == nil { // a box made of records that could not be read would be empty
		return nil
	}
	body, err := d.boxBody(k)
	if err != nil {
		return err
	}
	d.mu.Lock()
	d.boxed = body
	d.mu.Unlock()
	sum := sumOfBox(seal, body)
	if sum != k.sum {
		turn := slices.IndexFunc(d.device.Halo().Devices(), func(i identity.DeviceInfo) bool { return i.Key == d.device.Key() })
		k.sum, k.boxAt = sum, now.Add(boxAfter+time.Duration(max(turn, 0))*boxTurn)
	}
	if now.Before(k.boxAt) {
		return nil
	}
	var sealed []byte
	var errs []error
	for _, s := range d.withOwn() {
		if s.Standing() != space.Present {
			continue
		}
		// The sum is what the device that made the box says. Of one that was revoked,
		// by a thief perhaps, nobody knows what is in the box.
		me := d.device.Identity()
		if b, err := decodeBox(s.Meta(me)); err == nil && b.Sum == sum && d.device.Halo().Live(s.MetaBy(me)) {
			continue
		}
		if sealed == nil {
			if sealed, err = sealBox(d.device, seal, body); err != nil {
				return err
			}
		}
		if err := s.SetMeta(sealed); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", s.Name(), err))
		}
	}
	return errors.Join(errs...)
}
