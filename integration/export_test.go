package integration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/echofs/echofs/crdt/feed"
	"github.com/echofs/echofs/crdt/signedlog"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
	"github.com/echofs/echofs/identity/membership"
)

// What is exported with the log can be checked without the daemon: every entry
// is signed by the device whose feed it is in, and the members are the same.
func TestExportWithLog(t *testing.T) {
	w := NewWorld(t)
	alice, bob := w.Pair("notes")
	alice.Write("notes/a.txt", "from alice\n")
	bob.Sees("notes/a.txt", "from alice\n")
	bob.Write("notes/b.txt", "from bob\n")
	alice.Sees("notes/b.txt", "from bob\n") // it is an entry of the log

	dir := filepath.Join(w.dir, "copied")
	bob.Run("space", "export", "notes", dir, "--log")
	if got, err := os.ReadFile(filepath.Join(dir, "b.txt")); err != nil || string(got) != "from bob\n" {
		t.Errorf("the tree beside it: %q, %v", got, err)
	}
	var s struct{ ID string }
	if err := json.Unmarshal([]byte(bob.Run("space", "info", "notes", "--json")), &s); err != nil {
		t.Fatal(err)
	}
	id, err := identity.ParseID(s.ID)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(filepath.Join(dir, ".space", "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	state := membership.Of(id)
	var entries []feed.Entry
	err = signedlog.Read(file, func(kind signedlog.Kind, raw []byte) error {
		if kind == signedlog.Credential {
			op, err := credential.Decode(raw)
			if err != nil {
				return err
			}
			_, err = state.Add(op)
			return err
		}
		e, err := feed.Decode(raw)
		entries = append(entries, e)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	authors := map[identity.PublicKey]bool{}
	for _, e := range entries {
		owner, ok := state.Feed(e.Feed)
		if !ok || e.Space != id || !e.Verify(owner.Device) {
			t.Errorf("entry %d of feed %s is not signed by its device", e.Seq, e.Feed.Short())
		}
		authors[owner.Device] = true
	}
	if len(authors) != 2 || len(state.Members()) != 2 {
		t.Errorf("%d authors, %d members, of %d entries", len(authors), len(state.Members()), len(entries))
	}
	bob.Fails(exitBusy, "is not empty", "space", "export", "notes", dir, "--log")
	bob.Fails(exitNotFound, "no space", "space", "export", "nothing", filepath.Join(w.dir, "other"), "--log")
}
