package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/echofs/echofs/crdt/signedlog"
	"github.com/echofs/echofs/identity"
)

// logBatch is how many entries are looked up at a time.
const logBatch = 256

// SignedLog writes the signed log of a space: the credentials, the entries in the
// order in which this device took them, and credentials that came meanwhile.
func (d *daemon) SignedLog(ctx context.Context, name string, to io.Writer) error {
	s, err := d.find(name)
	if err != nil {
		return err
	}
	host{s.Space, d}.publish() // what was just closed in the mount is in it
	w, err := signedlog.NewWriter(to)
	if err != nil {
		return err
	}
	written := map[identity.ID]bool{}
	credentials := func() error {
		for _, raw := range s.Credentials() {
			if sum := identity.Hash("echo/export/1", raw); !written[sum] {
				written[sum] = true
				if err := w.Add(signedlog.Credential, raw); err != nil {
					return err
				}
			}
		}
		return nil
	}
	err = credentials()
	for after := uint64(0); err == nil; {
		refs, readErr := s.Log(after, logBatch)
		if err = errors.Join(readErr, ctx.Err()); err != nil || len(refs) == 0 {
			break
		}
		for _, ref := range refs {
			raw, err := s.Entry(ref.Feed, ref.Seq)
			if err != nil {
				return fmt.Errorf("reading entry %d of feed %s: %w", ref.Seq, ref.Feed.Short(), err)
			}
			if err := w.Add(signedlog.Entry, raw); err != nil {
				return err
			}
		}
		after = refs[len(refs)-1].Pos
	}
	if err == nil {
		err = credentials()
	}
	if err != nil {
		return err
	}
	return w.Close()
}
