package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/echofs/echofs/cmd/localapi"
	"github.com/echofs/echofs/crdt/space"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
	"github.com/echofs/echofs/identity/invitation"
	"github.com/echofs/echofs/identity/membership"
	"github.com/echofs/echofs/net/admission"
	"github.com/echofs/echofs/net/mesh"
)

var _ localapi.Backend = (*daemon)(nil)

// Status tells how the daemon is.
func (d *daemon) Status(ctx context.Context) (localapi.Status, error) {
	spaces, err := d.Spaces(ctx)
	if err != nil {
		return localapi.Status{}, err
	}
	return localapi.Status{
		Version: d.Version, PID: os.Getpid(), Started: d.started,
		Home: d.Home, Mount: d.mount, HTTP: d.web.Addr().String(),
		Identity: d.device.Identity().String(), Device: d.device.Key().String(), Name: d.device.Name(),
		Online: d.mesh.Online(), Signal: d.signalURLs(),
		Spaces: spaces, Links: d.links(), Problems: d.problems.all(),
	}, nil
}

// links tells about the peers, with the names of the spaces that connect them.
func (d *daemon) links() []localapi.Link {
	names := map[[32]byte]string{}
	for _, s := range d.sorted() {
		names[s.Key().Topic()] = s.Name()
	}
	links := []localapi.Link{}
	for _, l := range d.mesh.Links() {
		link := localapi.Link{
			Name: l.Name, Device: l.Device.String(), Space: names[l.Topic],
			State: string(l.State), Since: l.Since,
		}
		if !l.Identity.IsZero() {
			link.Identity = l.Identity.String()
		}
		if l.RTT > 0 {
			link.RTT = l.RTT.Round(10 * time.Microsecond).String()
		}
		if l.Err != nil && l.State != mesh.Up {
			link.Error = l.Err.Error()
		}
		links = append(links, link)
	}
	return links
}

// Down stops the daemon, after the answer is on its way.
func (d *daemon) Down(context.Context) error {
	d.fail(errDown)
	return nil
}

// SetOnline connects the device, or cuts it off, and remembers that.
func (d *daemon) SetOnline(ctx context.Context, online bool) (localapi.Status, error) {
	d.mu.Lock()
	d.settings.Offline = !online
	err := d.settings.save(d.Home)
	d.mu.Unlock()
	if err != nil {
		return localapi.Status{}, err
	}
	d.mesh.SetOnline(online)
	return d.Status(ctx)
}

// Spaces lists the spaces.
func (d *daemon) Spaces(context.Context) ([]localapi.Space, error) {
	spaces := []localapi.Space{}
	for _, s := range d.sorted() {
		spaces = append(spaces, d.describe(s))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, b := range d.broken {
		spaces = append(spaces, localapi.Space{Name: b.name, ID: b.id, Error: b.err.Error()})
	}
	return spaces, nil
}

// Space tells about one space.
func (d *daemon) Space(_ context.Context, name string) (localapi.Space, error) {
	s, err := d.find(name)
	if err != nil {
		return localapi.Space{}, err
	}
	return d.describe(s), nil
}

// missingShown bounds how many missing pieces are counted.
const missingShown = 10_000

func (d *daemon) describe(s *openSpace) localapi.Space {
	frame := s.Timeframe()
	var entries uint64
	for _, head := range frame {
		entries += head.Seq
	}
	peers := 0
	for _, l := range d.mesh.Links() {
		if l.State == mesh.Up && l.Topic == s.Key().Topic() {
			peers++
		}
	}
	return localapi.Space{
		Name: s.Name(), ID: s.ID().String(), Role: s.Role().String(),
		Path:    filepath.Join(d.mount, s.Name()),
		Members: len(s.Members()), Peers: peers,
		Feeds: len(frame), Entries: entries, Missing: len(s.MissingChunks(missingShown)),
	}
}

// CreateSpace makes a space.
func (d *daemon) CreateSpace(_ context.Context, name string) (localapi.Space, error) {
	if err := d.checkName(name); err != nil {
		return localapi.Space{}, err
	}
	s, err := d.newSpace(func(cfg space.Config) (*space.Space, error) { return space.Create(cfg, name) })
	if err != nil {
		return localapi.Space{}, err
	}
	return d.describe(s), nil
}

// Members lists who belongs to a space.
func (d *daemon) Members(_ context.Context, name string) ([]localapi.Member, error) {
	s, err := d.find(name)
	if err != nil {
		return nil, err
	}
	online := map[identity.ID]bool{}
	for _, l := range d.mesh.Links() {
		if l.State == mesh.Up && l.Topic == s.Key().Topic() {
			online[l.Identity] = true
		}
	}
	members := []localapi.Member{}
	for _, m := range s.Members() {
		self := m.Identity == d.device.Identity()
		devices := make([]string, len(m.Devices))
		for i, key := range m.Devices {
			devices[i] = key.String()
		}
		members = append(members, localapi.Member{
			Name: m.Name, Identity: m.Identity.String(), Role: m.Role.String(),
			Devices: devices, Self: self, Online: self || online[m.Identity],
		})
	}
	return members, nil
}

// Share makes an invitation and waits for its guest from now on.
func (d *daemon) Share(_ context.Context, name string, req localapi.ShareRequest) (localapi.Invitation, error) {
	s, err := d.find(name)
	if err != nil {
		return localapi.Invitation{}, err
	}
	role, err := credential.ParseRole(req.Role)
	if err != nil || role == credential.None {
		return localapi.Invitation{}, &localapi.Error{Code: localapi.Usage, Message: fmt.Sprintf("%q is not a role", req.Role), Next: "use reader, editor or admin", Err: err}
	}
	ttl := req.TTL
	if ttl == 0 {
		ttl = 24 * time.Hour
	}
	if ttl < 0 || ttl > 30*24*time.Hour {
		return localapi.Invitation{}, &localapi.Error{Code: localapi.Usage, Message: "an invitation lasts from a second to 30 days"}
	}
	in, err := s.Invite(role, ttl)
	if errors.Is(err, space.ErrNotAdmin) || errors.Is(err, membership.ErrNotAllowed) || errors.Is(err, space.ErrReadOnly) {
		return localapi.Invitation{}, &localapi.Error{
			Code:    localapi.Refused,
			Message: fmt.Sprintf("only an admin may invite to %s, and you are %s", s.Name(), s.Role()),
			Next:    "ask one of the admins: echofs space members " + s.Name(),
			Err:     err,
		}
	}
	if err != nil {
		return localapi.Invitation{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hostLocked(s, in)
	inv := admission.Invitation(s.Space, d.device.Key(), in, d.urlsForOthersLocked())
	return localapi.Invitation{URL: inv.String(), Space: s.Name(), Role: role.String(), Expires: in.Expires}, nil
}

// Join accepts an invitation, and returns when the space is mounted and the
// files of the inviter are in it.
func (d *daemon) Join(ctx context.Context, req localapi.JoinRequest, progress func(string)) (localapi.Space, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(d.ctx, cancel)()
	if req.Timeout > 0 {
		ctx, cancel = context.WithTimeout(ctx, req.Timeout)
		defer cancel()
	}

	inv, err := invitation.Parse(req.Invitation)
	if err == nil {
		err = inv.Check(time.Now())
	}
	if err != nil {
		return localapi.Space{}, invitationError(err)
	}
	if !d.mesh.Online() {
		return localapi.Space{}, &localapi.Error{Code: localapi.Failed, Message: "this device is offline", Next: "connect it first: echofs online"}
	}
	if s, err := d.find(inv.Space.String()); err == nil {
		return localapi.Space{}, &localapi.Error{Code: localapi.Busy, Message: "you are in this space already, as " + s.Name(), Next: "it is at " + filepath.Join(d.mount, s.Name())}
	}
	if req.Name != "" {
		if err := d.checkName(req.Name); err != nil {
			return localapi.Space{}, err
		}
	}
	progress("looking for the inviter")
	res, err := admission.Join(ctx, d.mesh, d.device, inv)
	if err != nil {
		return localapi.Space{}, invitationError(err)
	}
	if err := d.remember(append(inv.Signal, res.Signal...)); err != nil {
		return localapi.Space{}, err
	}
	for _, u := range res.Signal {
		if err := d.mesh.AddSignal(u); err != nil {
			d.log.Debug("not a signaling server", "url", u, "err", err)
		}
	}
	name := d.freeName(req.Name, res.Name, res.Space)
	s, err := d.newSpace(func(cfg space.Config) (*space.Space, error) {
		return space.Join(cfg, name, res.Credentials, res.Key)
	})
	if err != nil {
		return localapi.Space{}, err
	}
	progress("fetching the files")
	if err := wait(ctx, s.synced); err != nil {
		return localapi.Space{}, &localapi.Error{
			Code:    localapi.Unreachable,
			Message: "you are in the space, and not all of its files are here yet",
			Next:    "they go on arriving in " + filepath.Join(d.mount, s.Name()) + " while a member is online",
			Err:     err,
		}
	}
	return d.describe(s), nil
}

// freeName finds what a joined space is called here.
func (d *daemon) freeName(asked, theirs string, id identity.ID) string {
	for _, name := range []string{asked, theirs, theirs + " (" + id.Short() + ")"} {
		if name != "" && d.checkName(name) == nil {
			return name
		}
	}
	return "space " + id.Short()
}

// invitationError gives the failures of an invitation their exit codes.
func invitationError(err error) error {
	e := localapi.AsError(err)
	for _, refused := range []error{
		invitation.ErrExpired, invitation.ErrDamaged, invitation.ErrNewer,
		admission.ErrExpired, admission.ErrUsed, admission.ErrRevoked, admission.ErrWrong,
	} {
		if errors.Is(err, refused) {
			e.Code, e.Next = localapi.Refused, "ask the inviter for a new one: echofs space share NAME"
			e.Message, _, _ = strings.Cut(refused.Error(), ": ")
		}
	}
	switch {
	case errors.Is(err, invitation.ErrNotInvitation):
		e.Code, e.Next = localapi.Usage, "give it the last line that echofs space share printed"
	case errors.Is(err, invitation.ErrNewer):
		e.Next = "upgrade echofs"
	case errors.Is(err, admission.ErrUnreachable):
		e.Code, e.Message = localapi.Unreachable, "the inviting device did not answer in time"
		e.Next = "use the same invitation again once the inviter's daemon is up and online"
	}
	return e
}

// Rebuild makes the files of a space anew from its log.
func (d *daemon) Rebuild(ctx context.Context, name string) (localapi.Space, error) {
	s, err := d.find(name)
	if err != nil {
		return localapi.Space{}, err
	}
	if err := s.Rebuild(ctx); err != nil {
		return localapi.Space{}, err
	}
	return d.describe(s), nil
}

// Apps lists the web apps.
func (d *daemon) Apps(context.Context) ([]localapi.App, error) {
	apps := []localapi.App{}
	for _, a := range d.web.Apps() {
		apps = append(apps, localapi.App{
			Name: a.Name, Space: a.Space, URL: a.URL,
			Path: filepath.Join(d.mount, a.Space, "apps", a.Name),
		})
	}
	return apps, nil
}
