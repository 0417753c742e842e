package replicate

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/echofs/echofs/crdt/space"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
	"github.com/echofs/echofs/identity/invitation"
	"github.com/echofs/echofs/net/admission"
	"github.com/echofs/echofs/net/mesh"
	"github.com/echofs/echofs/net/signaling"
)

func runMesh(t testing.TB, d *identity.Device, signal ...string) *mesh.Mesh {
	t.Helper()
	m := mesh.New(mesh.Config{Device: d, Signal: signal})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := m.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("mesh: %v", err)
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	return m
}

// TestOverTheRealMesh takes a guest from the text of an invitation to the files,
// over signaling, WebRTC and TLS.
func TestOverTheRealMesh(t *testing.T) {
	board := signaling.NewServer(signaling.ServerConfig{})
	web := httptest.NewServer(board)
	t.Cleanup(func() { web.Close(); board.Close() })

	anna := createReal(t, "Anna")
	big := make([]byte, 2<<20)
	if _, err := rand.Read(big); err != nil {
		t.Fatal(err)
	}
	anna.create("hello.txt", []byte("hello\n"))
	anna.create("big.bin", big)
	am := runMesh(t, anna.device, web.URL)
	ra := New(anna, nil)
	t.Cleanup(am.Join(anna.Key().Topic(), ra))
	inv, err := invitation.New(invitation.Invitation{
		Kind: invitation.Link, Space: anna.ID(), Role: credential.Editor, Expires: time.Now().Add(time.Hour), Signal: []string{web.URL},
	})
	if err != nil {
		t.Fatal(err)
	}
	id, err := anna.OpenInvite(credential.Editor, 1, inv.Expires, inv.Pub(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(am.Join(inv.Topic(), admission.HostLink(anna, id, admission.Common{})))

	d := newDevice(t, "Ben")
	bm := runMesh(t, d) // learns of the signaling server from the invitation
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	got, err := admission.Join(ctx, bm, d, inv, admission.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := space.Join(space.Config{Dir: t.TempDir(), Device: d}, got.Name, got.Credentials, got.Keys...)
	ben := start(t, s, err, d)
	t.Cleanup(bm.Join(ben.Key().Topic(), New(ben, nil)))
	ben.waitFor("hello.txt", []byte("hello\n"))
	ben.waitFor("big.bin", big)
	ben.create("answer.txt", []byte("hello yourself\n"))
	anna.waitFor("answer.txt", []byte("hello yourself\n"))

	am.SetOnline(false) // apart, and together again
	ben.create("apart.txt", []byte("b"))
	anna.create("apart too.txt", bytes.Repeat([]byte("a"), 100_000))
	am.SetOnline(true)
	anna.waitFor("apart.txt", []byte("b"))
	ben.waitFor("apart too.txt", bytes.Repeat([]byte("a"), 100_000))
}
