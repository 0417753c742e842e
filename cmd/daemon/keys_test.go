package daemon

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/echofs/echofs/cmd/localapi"
	"github.com/echofs/echofs/identity/keystore"
)

// keyed is a daemon that has opened nothing yet. Its session has no keyring.
func keyed(home string, answers ...string) *daemon {
	cfg := Config{Home: home, Getenv: func(string) string { return "" }}
	if answers != nil {
		cfg.Passphrase = func(_ context.Context, try int) ([]byte, error) {
			if try > len(answers) {
				return nil, nil
			}
			return []byte(answers[try-1]), nil
		}
	}
	return &daemon{plan: plan{Config: cfg}, log: slog.New(slog.DiscardHandler)}
}

func TestFirstRunMakesAnIdentity(t *testing.T) {
	home := t.TempDir()
	d := keyed(home)
	d.Name = "ann"
	device, forget, err := d.openKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	h, err := describeHalo(device, d.store)
	if err != nil || h.Name != "ann" || h.DeviceName == "" || h.Protection != "file" || h.Recovery != localapi.KeptWords || len(h.Devices) != 1 {
		t.Errorf("the identity is %+v, %v", h, err)
	}
	again, _, err := keyed(home).openKeys(t.Context())
	if err != nil || again.Key() != device.Key() {
		t.Errorf("the second run: %v", err)
	}
	if err := forget(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(d.keysDir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is not forgotten: %v", err)
	}
	if err := os.MkdirAll(filepath.Join(d.spacesDir(), "x", "y"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, _, err := keyed(home).openKeys(t.Context()); err == nil || !strings.Contains(err.Error(), "its spaces are still there") {
		t.Errorf("a home that lost its identity gets a new one: %v", err)
	}
}

func TestPassphraseAtStart(t *testing.T) {
	home := t.TempDir()
	cfg := keyed(home).Config
	if _, err := Create(cfg, Person{Protection: "passphrase", Passphrase: []byte("correct horse")}); err != nil {
		t.Fatal(err)
	}
	if e := localapi.AsError(second(Create(cfg, Person{}))); e.Code != localapi.Busy {
		t.Errorf("a second identity: %+v", e)
	}
	tests := []struct {
		name    string
		answers []string
		open    bool
		code    localapi.Code
	}{
		{"nobody to ask", nil, false, ""},
		{"no answer", []string{}, false, ""},
		{"right", []string{"correct horse"}, true, ""},
		{"right after a wrong one", []string{"wrong", "correct horse"}, true, ""},
		{"three wrong ones", []string{"wrong", "wronger", "wrongest", "correct horse"}, false, localapi.Refused},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			device, _, err := keyed(home, tt.answers...).openKeys(t.Context())
			if (device != nil) != tt.open {
				t.Errorf("device %v", device)
			}
			if tt.code == "" && err != nil || tt.code != "" && localapi.AsError(err).Code != tt.code {
				t.Errorf("error %v, want %q", err, tt.code)
			}
		})
	}
}

func second(_ localapi.Halo, err error) error { return err }

func TestKeysThatCannotBeUsed(t *testing.T) {
	spoil := map[string]struct {
		do   func(dir string) error
		want error
	}{
		"readable by all":        {func(dir string) error { return os.Chmod(filepath.Join(dir, "keystore.cbor"), 0o644) }, keystore.ErrPermissions},
		"cut":                    {func(dir string) error { return os.Truncate(filepath.Join(dir, "keystore.cbor"), 100) }, keystore.ErrDamaged},
		"without its key":        {func(dir string) error { return os.Remove(filepath.Join(dir, "unlock.key")) }, keystore.ErrNoKey},
		"with the key of others": {func(dir string) error { return os.WriteFile(filepath.Join(dir, "unlock.key"), nil, 0o600) }, keystore.ErrNoKey},
	}
	for name, tt := range spoil {
		t.Run(name, func(t *testing.T) {
			d := keyed(t.TempDir())
			if _, err := Create(d.Config, Person{}); err != nil {
				t.Fatal(err)
			}
			if err := tt.do(d.keysDir()); err != nil {
				t.Fatal(err)
			}
			_, _, err := d.openKeys(t.Context())
			if e := localapi.AsError(err); !errors.Is(err, tt.want) || e.Next == "" {
				t.Errorf("got %+v, want %v and what to do", e, tt.want)
			}
		})
	}
}

func TestWhichDeviceIsMeant(t *testing.T) {
	d := keyed(t.TempDir())
	device, _, err := d.openKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	d.device = device
	for _, name := range []string{device.DeviceName(), device.Key().String(), strings.ToUpper(device.Key().String()[:6])} {
		if h, err := d.RenameDevice(t.Context(), name, "desk"); err != nil || h.DeviceName != "desk" {
			t.Errorf("%s: %+v, %v", name, h, err)
		}
		if _, err := d.RenameDevice(t.Context(), "desk", hostName()); err != nil {
			t.Fatal(err)
		}
	}
	for name, code := range map[string]localapi.Code{"chair": localapi.NotFound, device.Key().String()[:5]: localapi.NotFound, "": localapi.NotFound} {
		if _, err := d.RenameDevice(t.Context(), name, "desk"); localapi.AsError(err).Code != code {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, bad := range []string{"", "a\nb", strings.Repeat("x", 200)} {
		if _, err := d.RenameDevice(t.Context(), device.DeviceName(), bad); localapi.AsError(err).Code != localapi.Usage {
			t.Errorf("a device can be called %q: %v", bad, err)
		}
	}
}

// The command line refuses what the key store would refuse, before it asks for
// the same again.
func TestShortestPassphrase(t *testing.T) {
	if localapi.MinPassphrase != keystore.MinPassphrase {
		t.Errorf("%d here, %d there", localapi.MinPassphrase, keystore.MinPassphrase)
	}
}
