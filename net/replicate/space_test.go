package replicate

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/echofs/echofs/crdt/space"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
)

// realSpace is a space on disk that runs.
type realSpace struct {
	*space.Space
	t       testing.TB
	device  *identity.Device
	changed chan struct{} // capacity 1
}

func start(t testing.TB, s *space.Space, err error, d *identity.Device) *realSpace {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	r := &realSpace{Space: s, t: t, device: d, changed: make(chan struct{}, 1)}
	unsubscribe := s.Subscribe(func([]space.Event) { poke(r.changed) })
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		unsubscribe()
		cancel()
		<-done
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func createReal(t testing.TB, name string) *realSpace {
	d := newDevice(t, name)
	s, err := space.Create(space.Config{Dir: t.TempDir(), Device: d}, "home")
	return start(t, s, err, d)
}

// welcome admits another device.
func (r *realSpace) welcome(name string) *realSpace {
	r.t.Helper()
	d := newDevice(r.t, name)
	adm, err := r.Admit(d.Chain(), credential.Editor)
	if err != nil {
		r.t.Fatal(err)
	}
	s, err := space.Join(space.Config{Dir: r.t.TempDir(), Device: d}, adm.Name, adm.Credentials, adm.Keys...)
	return start(r.t, s, err, d)
}

func (r *realSpace) create(name string, data []byte) space.Info {
	r.t.Helper()
	c, err := r.Import(r.t.Context(), bytes.NewReader(data))
	if err != nil {
		r.t.Fatal(err)
	}
	info, err := r.Create(space.Root, name, space.New{Content: c})
	if err != nil {
		r.t.Fatal(err)
	}
	return info
}

func (r *realSpace) read(name string) ([]byte, error) {
	info, err := r.Lookup(space.Root, name)
	if err != nil {
		return nil, err
	}
	s, err := r.Open(info.ID)
	if err != nil {
		return nil, err
	}
	defer func() { _ = s.Close() }()
	return io.ReadAll(io.NewSectionReader(s, 0, s.Size()))
}

// waitFor returns when the file has the content.
func (r *realSpace) waitFor(name string, want []byte) {
	r.t.Helper()
	timeout := time.NewTimer(5 * time.Minute)
	defer timeout.Stop()
	for {
		got, err := r.read(name)
		if err == nil && bytes.Equal(got, want) {
			return
		}
		select {
		case <-r.changed:
		case <-timeout.C:
			r.t.Fatalf("%s: %s has %d bytes (%v), want %d", r.device.Name(), name, len(got), err, len(want))
		}
	}
}

func connectReal(t testing.TB, a, b *realSpace, ra, rb *Replicator) (cut func()) {
	t.Helper()
	return connectDevices(t, a.device, b.device, ra, rb)
}

func TestRealSpaces(t *testing.T) {
	anna := createReal(t, "Anna")
	ben := anna.welcome("Ben")
	chris := anna.welcome("Chris") // Ben does not know him
	big := make([]byte, 3<<20)
	if _, err := rand.Read(big); err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		anna.create(fmt.Sprintf("file %d.txt", i), []byte(fmt.Sprintf("text %d\n", i)))
	}
	anna.create("big.bin", big)
	chris.create("from chris.txt", []byte("hello\n"))

	ra, rb, rc := New(anna, nil), New(ben, nil), New(chris, nil)
	connectReal(t, chris, ben, rc, rb)
	cut := connectReal(t, ben, anna, rb, ra)
	for _, s := range []*realSpace{ben, chris} {
		for i := range 50 {
			s.waitFor(fmt.Sprintf("file %d.txt", i), []byte(fmt.Sprintf("text %d\n", i)))
		}
		s.waitFor("big.bin", big)
	}
	anna.waitFor("from chris.txt", []byte("hello\n"))

	// Two people edit one file while they are apart.
	first := "one\ntwo\nthree\n"
	anna.create("doc.txt", []byte(first))
	chris.waitFor("doc.txt", []byte(first))
	cut()
	edit := func(s *realSpace, text string) {
		t.Helper()
		info, err := s.Lookup(space.Root, "doc.txt")
		if err != nil {
			t.Fatal(err)
		}
		base := info.Version
		if _, err := s.Save(info.ID, &base, space.BytesContent([]byte(text)), time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	edit(anna, "ONE\ntwo\nthree\n")
	edit(chris, "one\ntwo\nTHREE\n")
	connectReal(t, ben, anna, rb, ra)
	for _, s := range []*realSpace{anna, ben, chris} {
		s.waitFor("doc.txt", []byte("ONE\ntwo\nTHREE\n"))
	}
	if n := ra.refused.Load() + rb.refused.Load() + rc.refused.Load(); n > 0 {
		t.Errorf("%d entries refused among honest peers", n)
	}
}
