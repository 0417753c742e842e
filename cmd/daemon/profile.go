package daemon

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"unicode"

	"github.com/echofs/echofs/cmd/localapi"
	"github.com/echofs/echofs/crdt/space"
	"github.com/echofs/echofs/fs/vfs"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
)

const (
	// profileName is the Local value of a space that says which profile this
	// device has published there.
	profileName = "profile"
	maxProfile  = 2*credential.MaxPicture + 4096
)

// A profile is what the person wants to be known as in all spaces. Each space has
// a copy, a PROFILE_SET; this device writes one where it has not done so for this
// very profile. It does so once, so that two devices never argue. What another
// device of the person changes comes by the copy in the HALO space.
type profile struct {
	Identity string `json:"identity"`       // whose it is
	Name     string `json:"name,omitempty"` // empty: as the identity was named
	Picture  []byte `json:"picture,omitempty"`
}

// mark tells profiles apart.
func (p profile) mark() [32]byte {
	h := sha256.New()
	fmt.Fprintf(h, "%d %s", len(p.Name), p.Name)
	h.Write(p.Picture)
	return [32]byte(h.Sum(nil))
}

func (p profile) empty() bool { return p.Name == "" && len(p.Picture) == 0 }

func profilePath(home string) string { return filepath.Join(home, "profile.json") }

// loadProfile reads the profile of a home; without one it is empty.
func loadProfile(home string) (p profile, err error) {
	f, err := os.Open(profilePath(home))
	if errors.Is(err, os.ErrNotExist) {
		return p, nil
	}
	if err == nil {
		defer f.Close()
		p, err = decodeProfile(f)
	}
	if err != nil {
		return profile{}, fmt.Errorf("the profile in %s cannot be read: %w", profilePath(home), err)
	}
	return p, nil
}

func decodeProfile(r io.Reader) (p profile, err error) {
	data, err := io.ReadAll(io.LimitReader(r, maxProfile+1))
	if err == nil && len(data) > maxProfile {
		err = fmt.Errorf("more than %d bytes", maxProfile)
	}
	if err == nil {
		err = json.Unmarshal(data, &p)
	}
	if err == nil {
		err = identity.CheckName(p.Name)
	}
	if err == nil && len(p.Picture) > 0 {
		_, err = pictureType(p.Picture)
	}
	if err != nil {
		return profile{}, err
	}
	return p, nil
}

// save replaces the file at once, or not at all.
func (p profile) save(home string) error {
	data, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("encoding the profile: %w", err)
	}
	path := profilePath(home)
	if err := os.WriteFile(path+".new", append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("keeping the profile: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("keeping the profile: %w", err)
	}
	return nil
}

var errPicture = errors.New("not a PNG, JPEG or WebP picture")

// pictureType tells what kind of picture it is by its first bytes.
func pictureType(data []byte) (string, error) {
	if len(data) > credential.MaxPicture {
		return "", fmt.Errorf("it has %d bytes, and at most %d are allowed", len(data), credential.MaxPicture)
	}
	switch {
	case bytes.HasPrefix(data, []byte("\x89PNG\r\n\x1a\n")):
		return "png", nil
	case bytes.HasPrefix(data, []byte("\xff\xd8\xff")):
		return "jpeg", nil
	case len(data) >= 12 && string(data[:4]) == "RIFF" && string(data[8:12]) == "WEBP":
		return "webp", nil
	}
	return "", errPicture
}

// Profile tells what the person says of themselves.
func (d *daemon) Profile(context.Context) (localapi.Profile, error) {
	p, err := d.wanted()
	if err != nil {
		return localapi.Profile{}, d.profileError(err)
	}
	d.mu.Lock()
	share := d.settings.ShareActivity
	d.mu.Unlock()
	out := localapi.Profile{
		Identity: d.device.Identity().String(), Name: cmp.Or(p.Name, d.device.Name()),
		Picture: p.Picture, ShareActivity: share,
	}
	if len(p.Picture) > 0 {
		if out.PictureType, err = pictureType(p.Picture); err != nil {
			return out, d.profileError(err)
		}
	}
	return out, nil
}

func (d *daemon) profileError(err error) error {
	return &localapi.Error{Code: localapi.Failed, Message: err.Error(), Next: "remove " + profilePath(d.Home) + " and set the profile again", Err: err}
}

// SetProfile changes the profile, and publishes it in all spaces.
func (d *daemon) SetProfile(ctx context.Context, req localapi.ProfileRequest) (localapi.Profile, error) {
	if req.Name != nil {
		if err := identity.CheckName(*req.Name); err != nil || *req.Name == "" {
			return localapi.Profile{}, &localapi.Error{Code: localapi.Usage, Message: fmt.Sprintf("nobody can be called %q", *req.Name), Next: "for example --name ann", Err: err}
		}
	}
	if req.Picture != nil && len(*req.Picture) > 0 {
		if _, err := pictureType(*req.Picture); err != nil {
			return localapi.Profile{}, &localapi.Error{Code: localapi.Usage, Message: "that cannot be your picture: " + err.Error(), Next: "make it smaller, for example: convert photo.jpg -resize 128x128 -quality 70 picture.jpg", Err: err}
		}
	}
	if req.ShareActivity != nil {
		d.mu.Lock()
		d.settings.ShareActivity = *req.ShareActivity
		err := d.settings.save(d.Home)
		d.mu.Unlock()
		if err != nil {
			return localapi.Profile{}, err
		}
		d.tellPeers()
	}
	if req.Name != nil || req.Picture != nil {
		if err := d.changeProfile(req); err != nil {
			return localapi.Profile{}, err
		}
	}
	return d.Profile(ctx)
}

func (d *daemon) changeProfile(req localapi.ProfileRequest) error {
	d.profiles.Lock()
	defer d.profiles.Unlock()
	p, err := d.wanted()
	if err != nil {
		p = profile{Identity: d.device.Identity().String()} // what cannot be read is set anew
	}
	if req.Name != nil {
		p.Name = *req.Name
	}
	if req.Picture != nil {
		p.Picture = *req.Picture
	}
	if err := d.keepProfile(p); err != nil {
		return err
	}
	return d.publishProfile(p, true)
}

// wanted is the profile that all spaces should have.
func (d *daemon) wanted() (profile, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.profile == nil {
		p, err := loadProfile(d.Home)
		if err != nil {
			return p, err
		}
		d.profile = &p
	}
	who := d.device.Identity().String()
	if d.profile.Identity != who { // this device was somebody else's
		return profile{Identity: who}, nil
	}
	return *d.profile, nil
}

func (d *daemon) keepProfile(p profile) error {
	if err := p.save(d.Home); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.profile = &p
	return nil
}

// personName is what the person wants to be called.
func (d *daemon) personName() string {
	p, err := d.wanted()
	if err != nil {
		return d.device.Name()
	}
	return cmp.Or(p.Name, d.device.Name())
}

// spreadProfile publishes the profile where this device has not done so.
func (d *daemon) spreadProfile() error {
	d.profiles.Lock()
	defer d.profiles.Unlock()
	p, err := d.wanted()
	if err == nil {
		p, err = d.adoptProfile(p)
	}
	if err != nil {
		return err
	}
	return d.publishProfile(p, false)
}

// adoptProfile takes over what another device of the person has put into the HALO
// space: what is there and is not what this device has put there, nor is still to
// put there. d.profiles is held.
func (d *daemon) adoptProfile(p profile) (profile, error) {
	own := d.own()
	if own == nil || own.Standing() != space.Present {
		return p, nil
	}
	mark := p.mark()
	was, err := own.Local(profileName)
	if err != nil {
		return p, err
	}
	for _, m := range own.Members() {
		there := profile{Identity: p.Identity, Name: m.Name, Picture: m.Picture}
		set := m.Name != d.device.Name() || len(m.Picture) > 0
		switch {
		case m.Identity != d.device.Identity(), there.same(p, d.device.Name()):
			continue
		case was == nil && set, was != nil && bytes.Equal(was, mark[:]):
		default:
			continue
		}
		if len(there.Picture) > 0 {
			if _, err := pictureType(there.Picture); err != nil {
				return p, nil // of a later release
			}
		}
		if err := d.keepProfile(there); err != nil {
			return p, err
		}
		mark = there.mark()
		return there, own.PutLocal(profileName, mark[:])
	}
	return p, nil
}

// same reports whether two profiles of somebody with that name look the same.
func (p profile) same(o profile, name string) bool {
	return cmp.Or(p.Name, name) == cmp.Or(o.Name, name) && bytes.Equal(p.Picture, o.Picture)
}

// publishProfile has the spaces know a profile. Without again those are left out
// where this device has published it before. d.profiles is held.
func (d *daemon) publishProfile(p profile, again bool) error {
	mark := p.mark()
	var errs []error
	all := d.sorted()
	if own := d.own(); own != nil {
		all = append(all, own)
	}
	for _, s := range all {
		if s.Standing() != space.Present {
			continue
		}
		was, err := s.Local(profileName)
		if err == nil && (again || !bytes.Equal(was, mark[:])) && !(p.empty() && was == nil) {
			if err = d.publishIn(s, p); err == nil {
				err = s.PutLocal(profileName, mark[:])
			}
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("in %s: %w", s.Name(), err))
		}
	}
	return errors.Join(errs...)
}

func (d *daemon) publishIn(s *openSpace, p profile) error {
	name := d.device.Name()
	for _, m := range s.Members() {
		if m.Identity == d.device.Identity() && !p.same(profile{Name: m.Name, Picture: m.Picture}, name) {
			if err := s.SetProfile(cmp.Or(p.Name, name), p.Picture); err != nil {
				return err
			}
		}
	}
	return nil
}

// pictures are those of the members of a space, as files of their names.
func pictures(s *space.Space) (list []vfs.Picture) {
	taken := map[string]bool{}
	for _, m := range s.Members() {
		kind, err := pictureType(m.Picture)
		if err != nil {
			continue // it is of somebody else's program
		}
		name := fileName(m.Name)
		if name == "" || taken[name] {
			name += "-" + m.Identity.String()[:16]
		}
		taken[name] = true
		if kind == "jpeg" {
			kind = "jpg"
		}
		list = append(list, vfs.Picture{Name: name + "." + kind, Data: m.Picture})
	}
	return list
}

// fileName is a name in letters that no shell takes for anything else.
func fileName(name string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' || r == '_' {
			return r
		}
		return '_'
	}, name)
}
