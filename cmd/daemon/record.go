package daemon

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/echofs/echofs/crdt/feed"
	"github.com/echofs/echofs/crdt/space"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/codec"
	"github.com/echofs/echofs/identity/credential"
	"github.com/echofs/echofs/identity/invitation"
)

const (
	recordVersion = 1
	maxRecord     = 60 << 10
	// maxRecordCredentials is how many bytes of a space's credentials go into its
	// record: if there are more, others have them.
	maxRecordCredentials = 40 << 10
)

// A record is what the devices of a person tell each other about a space they
// are in: all that is needed to join it.
type record struct {
	Version     uint64     `cbor:"1,keyasint"`
	Name        string     `cbor:"2,keyasint"` // on the device that joined it first
	Credentials [][]byte   `cbor:"3,keyasint"` // the GENESIS first
	Keys        []feed.Key `cbor:"4,keyasint"`
	Signal      []string   `cbor:"5,keyasint,omitempty"`
	Left        bool       `cbor:"6,keyasint,omitempty"` // on purpose; on all devices
}

var errRecord = errors.New("the record of a space cannot be read")

// decodeRecord reads a record and returns the space it is about.
func decodeRecord(data []byte) (rec record, id identity.ID, err error) {
	if len(data) > maxRecord {
		return rec, id, fmt.Errorf("%w: %d bytes, at most %d allowed", errRecord, len(data), maxRecord)
	}
	if err := codec.Unmarshal(data, &rec); err != nil {
		return rec, id, fmt.Errorf("%w: %w", errRecord, err)
	}
	switch {
	case rec.Version != recordVersion:
		return rec, id, fmt.Errorf("%w: version %d", errRecord, rec.Version)
	case len(rec.Credentials) == 0 || len(rec.Keys) == 0 || len(rec.Keys) > feed.MaxKeys || len(rec.Signal) > invitation.MaxSignal:
		return rec, id, fmt.Errorf("%w: %d credentials, %d keys, %d servers", errRecord, len(rec.Credentials), len(rec.Keys), len(rec.Signal))
	}
	if err := identity.CheckName(rec.Name); err != nil {
		return rec, id, fmt.Errorf("%w: %w", errRecord, err)
	}
	genesis, err := credential.Decode(rec.Credentials[0])
	if err != nil || genesis.Kind != credential.Genesis {
		return rec, id, fmt.Errorf("%w: it does not begin with a GENESIS: %w", errRecord, err)
	}
	return rec, genesis.ID, nil
}

// memberBy returns those of a space's credentials, which are in causal order, by
// which somebody became a member, the GENESIS first. If they are too many it is
// the GENESIS alone: members have the others.
func memberBy(creds [][]byte, who identity.ID) [][]byte {
	need := map[identity.ID]bool{}
	var list [][]byte
	size, found := 0, false
	for i := len(creds) - 1; i >= 0; i-- { // what is built on comes before
		c, err := credential.Decode(creds[i])
		if err != nil {
			continue
		}
		made := c.Kind == credential.Redeem || c.Kind == credential.SetRole && c.Role > credential.None
		if !found && made && !c.Newer && c.Subject == who {
			found = true
			need[c.ID] = true
		}
		if i > 0 && !need[c.ID] {
			continue
		}
		for _, d := range c.Deps {
			need[d] = true
		}
		list = append(list, creds[i])
		size += len(creds[i])
	}
	slices.Reverse(list)
	if size > maxRecordCredentials {
		return creds[:1]
	}
	return list
}

func (r record) encode() ([]byte, error) { return codec.Marshal(r) }

// records are those of a HALO space.
type records struct {
	space *space.Space
	all   map[identity.ID]record
	seen  map[identity.ID]string // what lastSeen returns
	stale bool                   // the space has changed since they were read

	sum   identity.ID // of the newest recovery box
	boxAt time.Time   // when it is to be in all spaces
}

// read reads the records, if they may have changed. Of a record that two devices
// wrote at the same time both are there: the keys of both count.
func (k *records) read() error {
	if k.all != nil && !k.stale {
		return nil
	}
	all := map[identity.ID]record{}
	dir, err := k.space.Lookup(space.Root, recordsDir)
	var files []space.Info
	if err == nil {
		files, err = k.space.List(dir.ID)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	var beside []record // copies, by the space they are about
	var of []identity.ID
	for _, f := range files {
		rec, id, err := k.open(f)
		switch {
		case err != nil: // of a later release, say; it stays as it is
		case f.Name == id.String():
			all[id] = rec
		default:
			beside, of = append(beside, rec), append(of, id)
		}
	}
	for i, rec := range beside {
		main, known := all[of[i]]
		if !known {
			main = rec
		}
		ring := feed.Ring(main.Keys...)
		for _, key := range rec.Keys {
			if more, ok := ring.With(key); ok {
				ring = more
			}
		}
		main.Keys = ring.Keys()
		all[of[i]] = main
	}
	k.all, k.stale = all, false
	return nil
}

func (k *records) open(f space.Info) (record, identity.ID, error) {
	if f.Kind != space.File || f.Size > maxRecord {
		return record{}, identity.ID{}, errRecord
	}
	snap, err := k.space.Open(f.ID)
	if err != nil {
		return record{}, identity.ID{}, err
	}
	defer snap.Close()
	data, err := io.ReadAll(io.NewSectionReader(snap, 0, f.Size))
	if err != nil {
		return record{}, identity.ID{}, err
	}
	return decodeRecord(data)
}

// write replaces the record of a space, and the copies beside it.
func (k *records) write(id identity.ID, rec record) error {
	data, err := rec.encode()
	if err != nil {
		return err
	}
	dir, err := k.space.Lookup(space.Root, recordsDir)
	if errors.Is(err, os.ErrNotExist) {
		dir, err = k.space.Create(space.Root, recordsDir, space.New{Kind: space.Dir})
	}
	if err != nil {
		return err
	}
	switch file, err := k.space.Lookup(dir.ID, id.String()); {
	case errors.Is(err, os.ErrNotExist):
		_, err = k.space.Create(dir.ID, id.String(), space.New{Content: space.BytesContent(data)})
		if err != nil {
			return err
		}
	case err != nil:
		return err
	default:
		if _, err := k.space.Save(file.ID, nil, space.BytesContent(data), time.Time{}); err != nil {
			return err
		}
	}
	k.all[id] = rec
	return k.removeCopies(dir.ID, id)
}

func (k *records) removeCopies(dir space.NodeID, id identity.ID) error {
	files, err := k.space.List(dir)
	if err != nil {
		return err
	}
	copies := slices.DeleteFunc(files, func(f space.Info) bool { return f.Name == id.String() || len(f.Name) <= len(id.String()) })
	var errs []error
	for _, f := range copies {
		if _, of, err := k.open(f); err == nil && of == id {
			errs = append(errs, k.space.Remove(f.ID))
		}
	}
	return errors.Join(errs...)
}

// lastSeen returns what this device has done about a record.
func (k *records) lastSeen(id identity.ID) (string, error) {
	if seen, ok := k.seen[id]; ok {
		return seen, nil
	}
	v, err := k.space.Local(seenName + id.String())
	if err == nil {
		k.seen[id] = string(v)
	}
	return string(v), err
}

// see notes what this device has done about a record.
func (k *records) see(id identity.ID, what string) error {
	if k.seen[id] == what {
		return nil
	}
	if err := k.space.PutLocal(seenName+id.String(), []byte(what)); err != nil {
		return err
	}
	k.seen[id] = what
	return nil
}
