package integration

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// here is what the tests read of a device that is here.
type here struct {
	DeviceName string
	Self       bool
	Since      time.Time
	File       string
}

// asks reads what a command prints with --json.
func (d *Device) asks(v any, args ...string) {
	d.w.t.Helper()
	if err := json.Unmarshal([]byte(d.Run(append(args, "--json")...)), v); err != nil {
		d.w.t.Fatal(err)
	}
}

// Who waits until .space/who of a space has these lines, sorted, without the
// times and the devices.
func (d *Device) Who(space string, want ...string) {
	d.w.t.Helper()
	d.w.Eventually(fmt.Sprintf("at %s, here in %s are %q", d.name, space, want), func() error {
		data, err := os.ReadFile(d.Path(space + "/.space/who"))
		if err != nil {
			return err
		}
		var got []string
		for line := range strings.Lines(string(data)) {
			before, after, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "  since ")
			if !ok {
				return fmt.Errorf("a line of it is %q", line)
			}
			name, _, _ := strings.Cut(before, "  ")
			file := strings.TrimSpace(strings.TrimLeft(after, "0123456789-: "))
			got = append(got, strings.TrimSpace(name+" "+file))
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			return fmt.Errorf("they are %q", got)
		}
		return nil
	})
}

// TestPeople: three persons see who is here and, if they are allowed to, what is
// looked at; what they are called reaches all spaces, also those of later.
func TestPeople(t *testing.T) {
	w := NewWorld(t)
	alice, bob := w.Pair("notes")
	carol := w.Up("carol")
	carol.Join(alice.Invite("notes"))
	alice.Who("notes", "alice", "bob", "carol")
	bob.Who("notes", "alice", "bob", "carol")
	carol.Who("notes", "alice", "bob", "carol")

	picture := filepath.Join(w.dir, "alice.png")
	if err := os.WriteFile(picture, []byte("\x89PNG\r\n\x1a\nand so on"), 0o600); err != nil {
		t.Fatal(err)
	}
	alice.Run("halo", "profile", "--name", "Alice Lee", "--picture", picture)
	alice.Fails(2, "not a PNG", "halo", "profile", "--picture", alice.home+"/settings.json")
	bob.Counts("notes", "Alice Lee admin", "bob editor", "carol editor")
	if data, err := os.ReadFile(bob.Path("notes/.space/people/Alice_Lee.png")); err != nil || string(data) != "\x89PNG\r\n\x1a\nand so on" {
		t.Errorf("her picture is %q, %v", data, err)
	}
	bob.Who("notes", "Alice Lee", "bob", "carol")
	bob.Run("space", "create", "second")
	alice.Join(bob.Invite("second"))
	bob.Counts("second", "Alice Lee editor", "bob admin") // joined after the name was set
	alice.Run("space", "create", "third")
	carol.Join(alice.Invite("third"))
	carol.Counts("third", "Alice Lee admin", "carol editor")

	var contacts []struct {
		Name   string
		Online bool
		Here   []here
		Spaces []string
	}
	w.Eventually("bob knows his contacts", func() error {
		bob.asks(&contacts, "halo", "contacts")
		if len(contacts) != 2 || contacts[0].Name != "Alice Lee" || !slices.Equal(contacts[0].Spaces, []string{"notes", "second"}) || !contacts[0].Online ||
			len(contacts[0].Here) != 1 || contacts[0].Here[0].Self || contacts[0].Here[0].DeviceName == "" || contacts[1].Name != "carol" {
			return fmt.Errorf("they are %+v", contacts)
		}
		return nil
	})

	alice.Write("notes/plan.md", "a plan\n")
	bob.Sees("notes/plan.md", "a plan\n")
	tail := exec.Command("tail", "-f", alice.Path("notes/plan.md"))
	out, err := tail.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := tail.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = tail.Process.Kill()
		_ = tail.Wait()
	}()
	if _, err := out.Read(make([]byte, 1)); err != nil { // it has the file open
		t.Fatal(err)
	}
	bob.Who("notes", "Alice Lee", "bob", "carol") // nobody is told
	alice.Run("halo", "profile", "--share-activity", "on")
	bob.Who("notes", "Alice Lee plan.md", "bob", "carol")
	alice.Who("notes", "Alice Lee plan.md", "bob", "carol")
	bob.Who("second", "Alice Lee", "bob") // which has no such file
	w.Eventually("the members show it, too", func() error {
		var members []struct {
			Name string
			Here []here
		}
		bob.asks(&members, "space", "members", "notes")
		for _, m := range members {
			if m.Name == "Alice Lee" && len(m.Here) == 1 && m.Here[0].File == "notes/plan.md" && time.Since(m.Here[0].Since) > 0 {
				return nil
			}
		}
		return fmt.Errorf("they are %+v", members)
	})
	w.Eventually("the status shows it, too", func() error {
		if out := bob.Run("status"); !strings.Contains(out, "notes/plan.md") || !strings.Contains(out, "Alice Lee") {
			return errors.New(out)
		}
		return nil
	})
	alice.Run("halo", "profile", "--share-activity", "off")
	bob.Who("notes", "Alice Lee", "bob", "carol")

	alice.Run("offline")
	bob.Who("notes", "bob", "carol")
	alice.Who("notes")
	alice.Run("online")
	bob.Who("notes", "Alice Lee", "bob", "carol")
	alice.Stop()
	bob.Who("notes", "bob", "carol")
	alice.Up()
	var profile struct {
		Name, PictureType string
		ShareActivity     bool
	}
	if alice.asks(&profile, "halo", "profile"); profile.Name != "Alice Lee" || profile.PictureType != "png" || profile.ShareActivity {
		t.Errorf("after a restart the profile is %+v", profile)
	}
	alice.Who("notes", "Alice Lee", "bob", "carol")
}

// called waits until the profile of a device's person has that name, and the only
// member of a space too.
func (d *Device) called(name, space string) {
	d.w.t.Helper()
	d.w.Eventually(d.name+"'s person is called "+name, func() error {
		var profile struct{ Name string }
		if d.asks(&profile, "halo", "profile"); profile.Name != name {
			return fmt.Errorf("it is %q", profile.Name)
		}
		return nil
	})
	d.Counts(space, name+" admin")
}

// TestProfileOnAllDevices: what is changed on one device of a person is so on the
// others, and in the spaces that they make. The last change counts.
func TestProfileOnAllDevices(t *testing.T) {
	w := NewWorld(t)
	laptop := w.Up("laptop")
	laptop.Run("halo", "profile", "--name", "Ann")
	laptop.Run("space", "create", "one")
	phone := w.Device("phone")
	phone.Becomes(laptop)
	phone.Has("one")
	phone.called("Ann", "one")
	phone.Run("space", "create", "two")
	phone.called("Ann", "two")
	phone.Run("halo", "profile", "--name", "Ann Lee")
	laptop.called("Ann Lee", "one")
	laptop.Run("halo", "profile", "--name", "Ann")
	phone.called("Ann", "two")
	laptop.Has("one", "two")
	laptop.Who("one", "Ann", "Ann")
	phone.Who("one", "Ann", "Ann")
}
