package admission

import (
	"bytes"
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/echofs/echofs/crdt/feed"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/invitation"
	"github.com/echofs/echofs/net/wire"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestGolden holds the format of every frame.
func TestGolden(t *testing.T) {
	for name, send := range map[string]func(*wire.Conn) error{
		"request": func(c *wire.Conn) error { return c.Send(frameRequest, request{[]byte("proof"), []byte("chain"), nil}) },
		"request-signal": func(c *wire.Conn) error {
			return c.Send(frameRequest, request{[]byte("proof"), []byte("chain"), []string{"https://signal.example"}})
		},
		"credentials": func(c *wire.Conn) error { return c.Send(frameCredentials, credentials{[][]byte{[]byte("one")}}) },
		"welcome": func(c *wire.Conn) error {
			return c.Send(frameWelcome, welcome{feed.Key{1}, "home", []string{"https://signal.example"}})
		},
		"refusal": func(c *wire.Conn) error { return c.Send(frameRefusal, refusal{reasonUsed, "used"}) },
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			if err := send(wire.NewConn(&b, limits)); err != nil {
				t.Fatal(err)
			}
			got := hex.EncodeToString(b.Bytes())
			file := filepath.Join("testdata", name+".hex")
			if *update {
				if err := os.WriteFile(file, []byte(got+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got != strings.TrimSpace(string(want)) {
				t.Errorf("is  %s\nwas %s", got, want)
			}
		})
	}
}

// TestLongestChainFits sends the longest request that a guest can make.
func TestLongestChainFits(t *testing.T) {
	c := wire.NewConn(new(bytes.Buffer), limits)
	if err := c.Send(frameRequest, request{
		Proof: make([]byte, 32), Chain: make([]byte, identity.MaxChain), Signal: slices.Repeat([]string{strings.Repeat("x", invitation.MaxURL)}, maxSignal),
	}); err != nil {
		t.Error(err)
	}
}
