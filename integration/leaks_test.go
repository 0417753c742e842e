package integration

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/echofs/echofs/crdt/feed"
	"github.com/echofs/echofs/crdt/store"
	"github.com/echofs/echofs/identity/invitation"
	"github.com/echofs/echofs/net/signaling"
)

// rings returns the keys of all spaces of a device, which must not run.
func (d *Device) rings() (keys []feed.Key) {
	t := d.w.t
	t.Helper()
	spaces, err := filepath.Glob(filepath.Join(d.home, "spaces", "*", "space.db"))
	if err != nil || len(spaces) == 0 {
		t.Fatalf("%s has no spaces: %v", d.name, err)
	}
	for _, path := range append(spaces, filepath.Join(d.home, "personal", "space.db")) {
		db, err := store.Open(filepath.Dir(path), store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		err = db.View(func(tx *store.Tx) error {
			data, err := tx.Meta("keys")
			if err != nil {
				return err
			}
			ring, err := feed.DecodeKeyring(data)
			keys = append(keys, ring.Keys()...)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return keys
}

// TestNothingLeaks is a life of a space in which all names and contents can be
// recognised. Then they, and the keys, are looked for in every byte that went
// over the network, in the memory of a daemon that only helps the others find
// each other, and in what anybody can see of the processes.
func TestNothingLeaks(t *testing.T) {
	marks := map[string][]byte{} // what nobody else may learn
	mark := func(what string) string {
		m := what + "-" + strings.ToLower(rand.Text()[:16])
		marks["the "+what] = []byte(m)
		return m
	}
	w := NewWorld(t)
	net := NewCapture(t)

	carol := w.Up("carol")
	server := "http://" + carol.Status().HTTP
	up := func(person, device string) *Device {
		d := w.Device(mark(person))
		d.Run("halo", "create", "--name", d.name, "--device", mark(device), "--protect", "file")
		d.Up("--signal", server, "--log", "debug")
		return d
	}
	ann, bob, dave := up("ann", "desk"), up("bob", "laptop"), up("dave", "phone")

	space := mark("space")
	ann.Run("space", "create", space)
	text := space + "/" + mark("folder") + "/" + mark("file") + ".txt"
	ann.Write(text, mark("content")+"\n")
	large := space + "/" + mark("large") + ".bin"
	ann.Write(large, strings.Repeat("\x00"+mark("chunk"), 1<<15))

	link := ann.Invite(space)
	bob.Join(link)
	bob.Sees(text, read(t, ann.Path(text)))
	bob.Sees(large, read(t, ann.Path(large)))
	bob.Write(text, read(t, bob.Path(text))+mark("edit")+"\n")
	ann.Sees(text, read(t, bob.Path(text)))

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	share := ann.SharePIN(ctx, space)
	ended := dave.joinPIN(ctx, share.url, share.pin)
	share.Says("Let them in?")
	share.Answer("y")
	share.Ends(0)
	if got := <-ended; !strings.HasPrefix(got, "exit code 0") {
		t.Fatalf("joining with a PIN: %s", got)
	}
	dave.Sees(text, read(t, ann.Path(text)))
	dave.Sees(large, read(t, ann.Path(large)))

	ann.Run("space", "remove", space, dave.name, "--yes")
	ann.Run("space", "rotate", space)
	later := space + "/" + mark("later") + ".txt"
	ann.Write(later, mark("news")+"\n")
	bob.Sees(later, read(t, ann.Path(later)))
	bob.Connected(1)

	servers, anns, daves := Memory(t, carol.cmd.Process.Pid), Memory(t, ann.cmd.Process.Pid), Memory(t, dave.cmd.Process.Pid)
	seen := map[string]string{} // of the processes
	for _, d := range w.devices {
		for _, what := range []string{"environ", "cmdline"} {
			seen[what+" of "+d.name] = read(t, fmt.Sprintf("/proc/%d/%s", d.cmd.Process.Pid, what))
		}
		seen["log of "+d.name] = d.log.tail()
	}
	ann.Stop()
	net.End()

	secrets := map[string][]byte{"the PIN": []byte(strings.ReplaceAll(share.pin, " ", ""))}
	topics := map[string][]byte{} // what the server may know
	secret := func(what string, topic [32]byte) {
		secrets[what] = topic[:]
		id := signaling.Topic(topic).ID()
		topics[what] = id[:]
	}
	today := time.Now().Unix() / (24 * 60 * 60)
	for i, k := range ann.rings() {
		secrets[fmt.Sprintf("key %d", i)] = k[:]
		master := k.Topic()
		secrets[fmt.Sprintf("what the topics of key %d follow from", i)] = master[:]
		for day := today - 2; day <= today+2; day++ {
			secret(fmt.Sprintf("topic of key %d on day %d", i, day-today), k.TopicOn(day))
		}
	}
	for _, url := range []string{link, share.url} {
		inv, err := invitation.Parse(url)
		if err != nil {
			t.Fatal(err)
		}
		secrets["seed of invitation "+inv.ID().Short()] = inv.Secret[:]
		secret("topic of invitation "+inv.ID().Short(), inv.Topic())
	}
	all := maps.Clone(marks)
	maps.Copy(all, secrets)

	// Where they are not.
	var signals, datagrams []byte
	sockets := 0
	for f, data := range net.Flows() {
		if found := finds(data, all); len(found) > 0 {
			t.Errorf("%s: %q", f, found)
		}
		plain, is, err := messages(data)
		if err != nil {
			t.Errorf("%s: %v", f, err)
		}
		if is {
			sockets++
		}
		signals = append(signals, plain...)
		if !f.tcp {
			datagrams = append(datagrams, data...)
		}
	}
	if found := finds(signals, all); len(found) > 0 {
		t.Errorf("what the signaling servers were told: %q", found)
	}
	delete(all, "the PIN") // six digits are in every memory
	if found := finds(servers, all); len(found) > 0 {
		t.Errorf("memory of a daemon that only helps: %q", found)
	}
	delete(secrets, "the PIN")
	for _, what := range slices.Sorted(maps.Keys(seen)) {
		if found := finds([]byte(seen[what]), secrets); len(found) > 0 {
			t.Errorf("%s: %q", what, found)
		}
	}

	// Who was removed has what there was, and nothing that came after.
	had := []string{"key 0", "the space", "the file"} // the tree is in memory; contents need not be
	not := slices.DeleteFunc(slices.Sorted(maps.Keys(secrets)), func(what string) bool {
		return !strings.HasPrefix(what, "key ") || what == "key 0"
	})
	found := finds(daves, all)
	for _, what := range append(not, "the later", "the news") {
		if slices.Contains(found, what) {
			t.Errorf("in the memory of who was removed is %s", what)
		}
	}
	for _, what := range had {
		if !slices.Contains(found, what) {
			t.Errorf("in %d bytes of memory dave's daemon does not have %s", len(daves), what)
		}
	}
	if len(not) < 3 { // a removal, a rotation, ann's own space
		t.Errorf("keys that were made later: %q", not)
	}

	// The same search finds what must be there.
	if net != nil && (sockets == 0 || len(finds(signals, topics)) < 4) {
		t.Errorf("in %d bytes of %d signaling connections are the topics %q", len(signals), sockets, finds(signals, topics))
	}
	if len(finds(servers, topics)) == 0 || len(finds(servers, map[string][]byte{"its name": []byte("carol")})) == 0 {
		t.Errorf("in %d bytes of memory the server does not know its own", len(servers))
	}
	if net != nil && len(datagrams) < 1<<20 { // the large file went to two
		t.Errorf("only %d bytes went from device to device", len(datagrams))
	}
	found = finds(anns, all)
	for _, what := range []string{"the space", "the ann", "the desk", "the file", "the later", "key 0"} {
		if !slices.Contains(found, what) {
			t.Errorf("in %d bytes of memory ann's daemon does not have %s", len(anns), what)
		}
	}
	t.Logf("searched for %d things in %d bytes of datagrams, %d of signaling, %d of memory", len(all), len(datagrams), len(signals), len(servers))
}

// TestSearchFinds: what TestNothingLeaks would not find, it would not miss.
func TestSearchFinds(t *testing.T) {
	secret := []byte("a secret of some length")
	for before := range 4 {
		in := slices.Concat([]byte("before")[:before], secret, []byte("after"))
		for _, f := range []string{
			string(in), hex.EncodeToString(in), fmt.Sprintf("%X", in), fmt.Sprintf("%q", in),
			base64.StdEncoding.EncodeToString(in), base64.URLEncoding.EncodeToString(in),
		} {
			if got := finds([]byte("x"+f), map[string][]byte{"it": secret}); len(got) != 1 {
				t.Errorf("in %q it is not found", f)
			}
		}
	}
	if got := finds([]byte("a secret of some lengt"), map[string][]byte{"it": secret}); len(got) != 0 {
		t.Error("it is found where it is not")
	}
	stream := join([]segment{
		{seq: ^uint32(0), syn: true}, {seq: 3, data: []byte("defg")}, {seq: 0, data: []byte("abc")},
		{seq: 1, data: []byte("bcde")}, {seq: 1000, syn: true}, {seq: 1001, data: []byte("second")},
	})
	if string(stream) != "abcdefgsecond" {
		t.Errorf("the stream is %q", stream)
	}
	masked := append([]byte("GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n"), 0x82, 0x83, 1, 2, 3, 4, 'a'^1, 'b'^2, 'c'^3, 0x82, 126, 0, 2, 'd', 'e')
	if got, is, err := messages(masked); string(got) != "abcde" || !is || err != nil {
		t.Errorf("the messages are %q, %v, %v", got, is, err)
	}
}
