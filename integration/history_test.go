package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// logged is one line of echofs log --json.
type logged struct {
	ID     string `json:"id"`
	Change string `json:"change"`
	Name   string `json:"name"`
}

// Two people edit a file, look back at it on either device, remove it and
// bring it back.
func TestLookingBack(t *testing.T) {
	w := NewWorld(t)
	alice, bob := w.Pair("notes")
	history := func(d *Device, n int) (log []logged) {
		t.Helper()
		w.Eventually(fmt.Sprintf("%s knows %d versions", d.name, n), func() error {
			if err := json.Unmarshal([]byte(d.Run("log", "notes/plan.md", "--json")), &log); err != nil {
				return err
			}
			if len(log) != n {
				return fmt.Errorf("%+v", log)
			}
			return nil
		})
		return log
	}
	alice.Write("notes/plan.md", "one\ntwo\n")
	bob.Sees("notes/plan.md", "one\ntwo\n")
	bob.Write("notes/plan.md", "one\ntwo\nthree\n")
	alice.Sees("notes/plan.md", "one\ntwo\nthree\n")
	log := history(alice, 2)
	if log[0].Name != "bob" || log[0].Change != "edited" || log[1].Name != "alice" || log[1].Change != "created" {
		t.Errorf("log %+v", log)
	}
	if diff := alice.Run("diff", alice.Path("notes/plan.md")); !strings.HasSuffix(diff, "@@ -1,2 +1,3 @@\n one\n two\n+three\n") {
		t.Errorf("diff\n%s", diff)
	}
	alice.Fails(4, "no such version", "restore", "notes/plan.md@ff-99")

	versions, err := filepath.Glob(bob.Path("notes/.space/history/plan.md/*Z-alice"))
	if err != nil || len(versions) != 1 {
		t.Fatalf("versions of alice: %q, %v", versions, err)
	}
	if data, err := os.ReadFile(versions[0]); err != nil || string(data) != "one\ntwo\n" {
		t.Errorf("alice's version is %q, %v", data, err)
	}
	if names, err := os.ReadDir(bob.Path("notes")); err != nil || len(names) != 1 {
		t.Errorf("listing %v, %v", names, err)
	}
	if err := os.WriteFile(versions[0], nil, 0o644); err == nil {
		t.Error("history can be written")
	}

	bob.Run("restore", "notes/plan.md@"+log[1].ID)
	bob.Sees("notes/plan.md", "one\ntwo\n")
	alice.Sees("notes/plan.md", "one\ntwo\n")
	if err := os.Remove(alice.Path("notes/plan.md")); err != nil {
		t.Fatal(err)
	}
	bob.Lacks("notes/plan.md")
	if out := bob.Run("undelete"); !strings.Contains(out, "notes/plan.md") || !strings.Contains(out, "alice") {
		t.Errorf("what can come back:\n%s", out)
	}
	if out := bob.Run("undelete", "notes/plan.md"); strings.TrimSpace(out) != bob.Path("notes/plan.md") {
		t.Errorf("undelete prints %q", out)
	}
	alice.Sees("notes/plan.md", "one\ntwo\n")
	if log := history(alice, 5); log[0].Change != "undeleted" || log[0].Name != "bob" || log[1].Change != "removed" {
		t.Errorf("log %+v", log)
	}
}
