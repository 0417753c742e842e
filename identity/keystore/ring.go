package keystore

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/zalando/go-keyring"
)

// A Ring keeps secrets for a person while they are logged in.
type Ring interface {
	// Get returns what Set kept. The error matches ErrNoKey if that is nothing.
	Get(name string) ([]byte, error)
	Set(name string, secret []byte) error
	Delete(name string) error
}

// ringTime is how long a person has to unlock their keyring when it asks.
const ringTime = time.Minute

// SystemRing returns the keyring of the person's session, nil if there is no
// session that could have one.
func SystemRing(getenv func(string) string) Ring {
	// Without a bus the library would start one.
	if getenv("DBUS_SESSION_BUS_ADDRESS") != "" {
		return systemRing{}
	}
	if dir := getenv("XDG_RUNTIME_DIR"); dir != "" {
		if _, err := os.Stat(filepath.Join(dir, "bus")); err == nil {
			return systemRing{}
		}
	}
	return nil
}

const ringService = "echofs"

// A systemRing is the secret service of the desktop, by D-Bus.
type systemRing struct{}

func (systemRing) Get(name string) ([]byte, error) {
	text, err := patiently(func() (string, error) { return keyring.Get(ringService, name) })
	if errors.Is(err, keyring.ErrNotFound) {
		return nil, fmt.Errorf("the keyring has none: %w", ErrNoKey)
	}
	if err != nil {
		return nil, err
	}
	secret, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("the keyring has something else: %w", ErrNoKey)
	}
	return secret, nil
}

func (systemRing) Set(name string, secret []byte) error {
	text := base64.StdEncoding.EncodeToString(secret)
	_, err := patiently(func() (string, error) { return "", keyring.Set(ringService, name, text) })
	return err
}

func (systemRing) Delete(name string) error {
	_, err := patiently(func() (string, error) { return "", keyring.Delete(ringService, name) })
	if errors.Is(err, keyring.ErrNotFound) {
		return nil
	}
	return err
}

// patiently calls do, which may ask the person something, for a while. One that
// is never answered is left behind: the library cannot be interrupted.
func patiently(do func() (string, error)) (string, error) {
	type answer struct {
		text string
		err  error
	}
	done := make(chan answer, 1)
	go func() {
		text, err := do()
		done <- answer{text, err}
	}()
	select {
	case a := <-done:
		if a.err != nil && !errors.Is(a.err, keyring.ErrNotFound) {
			a.err = fmt.Errorf("%w: %w", ErrNoRing, a.err)
		}
		return a.text, a.err
	case <-time.After(ringTime):
		return "", fmt.Errorf("%w: it did not answer", ErrNoRing)
	}
}
