package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/echofs/echofs/cmd/localapi"
	"github.com/echofs/echofs/fs/vfs"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/net/mesh"
)

// unmounted is a daemon with spaces, that nobody sees or reaches.
func unmounted(t *testing.T) *daemon {
	t.Helper()
	device, err := identity.NewDevice(nil, "anna")
	if err != nil {
		t.Fatal(err)
	}
	ctx, fail := context.WithCancelCause(context.Background())
	d := &daemon{
		plan: plan{Config: Config{Home: t.TempDir()}, mount: "/mnt"}, log: slog.New(slog.DiscardHandler),
		ctx: ctx, fail: fail, problems: &problems{now: time.Now}, device: device,
		mesh: mesh.New(mesh.Config{Device: device}), vfs: vfs.New(vfs.Config{Dir: t.TempDir()}),
		spaces: map[identity.ID]*openSpace{}, entering: map[identity.ID]chan struct{}{},
	}
	if err := d.openAll(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		fail(nil)
		if err := errors.Join(d.vfs.Close(), d.closeSpaces()); err != nil {
			t.Error(err)
		}
	})
	return d
}

// TestSpacesOfOneName: of those who choose the same name at once, one gets it,
// and the others leave nothing that the next start would stumble over.
func TestSpacesOfOneName(t *testing.T) {
	d := unmounted(t)
	const tries = 6
	errs := make(chan error, tries)
	var wg sync.WaitGroup
	for range tries {
		wg.Go(func() {
			_, err := d.CreateSpace(t.Context(), "notes")
			errs <- err
		})
	}
	wg.Wait()
	made := 0
	for range tries {
		if err := <-errs; err == nil {
			made++
		} else if e := localapi.AsError(err); e.Code != localapi.Busy {
			t.Errorf("%+v", e)
		}
	}
	left, err := os.ReadDir(d.spacesDir())
	if made != 1 || err != nil || len(left) != 1 {
		t.Errorf("%d spaces made, %d on disk, %v", made, len(left), err)
	}
}

// TestNoSpacesAfterTheEnd: a request that is late makes nothing that nobody closes.
func TestNoSpacesAfterTheEnd(t *testing.T) {
	d := unmounted(t)
	d.fail(errDown)
	if _, err := d.CreateSpace(t.Context(), "late"); !errors.Is(err, errDown) || len(d.spaces) != 0 {
		t.Errorf("%v, %d spaces", err, len(d.spaces))
	}
}

// TestJoinsOfOneSpace: one waits for the other, or gives up.
func TestJoinsOfOneSpace(t *testing.T) {
	d := unmounted(t)
	leave, err := d.alone(t.Context(), identity.ID{1})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.alone(ctx, identity.ID{1}); !errors.Is(err, context.Canceled) {
		t.Errorf("gave up: %v", err)
	}
	if other, err := d.alone(t.Context(), identity.ID{2}); err != nil {
		t.Error(err)
	} else {
		other()
	}
	in := make(chan func())
	go func() {
		leave, err := d.alone(t.Context(), identity.ID{1})
		if err != nil {
			t.Error(err)
		}
		in <- leave
	}()
	select {
	case <-in:
		t.Error("two at once")
	case <-time.After(20 * time.Millisecond):
	}
	leave()
	(<-in)()
	if len(d.entering) != 0 {
		t.Errorf("%d are left", len(d.entering))
	}
}

// TestServersOfOthers: those of many guests do not push out the one by which we
// find the host of a space.
func TestServersOfOthers(t *testing.T) {
	d := unmounted(t)
	if err := d.meet([]string{"http://host:1"}); err != nil {
		t.Fatal(err)
	}
	for i := range 3 * maxGuests {
		if err := d.meetGuest([]string{fmt.Sprintf("http://guest:%d", i+1), "nonsense", "http://router/reboot", "http://router?reboot", "http://guest:1"}); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := loadSettings(d.Home)
	if err != nil || !slices.Equal(kept.Met, []string{"http://host:1"}) || len(kept.Guests) != maxGuests || strings.Contains(fmt.Sprint(kept), "reboot") || !slices.Contains(kept.Guests, fmt.Sprintf("http://guest:%d", 3*maxGuests)) {
		t.Errorf("%+v, %v", kept, err)
	}
}
