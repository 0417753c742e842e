package mesh

import (
	"runtime"
	"testing"
	"time"
)

// Who meets on several topics has one link. It outlives each of them, and a
// device that comes later is met on those that are left.
func TestGather(t *testing.T) {
	b := newBoard(t)
	a, z := start(t, device(t, "ann"), nil, b.url()), start(t, device(t, "zoe"), nil, b.url())
	name := [32]byte{9}
	ma, mz, my := newMeeting(), newMeeting(), newMeeting()
	meetA, leave := a.Gather(name, ma, [32]byte{1}, [32]byte{2}, [32]byte{3})
	meetZ, _ := z.Gather(name, mz, [32]byte{2}, [32]byte{3}, [32]byte{4})
	await(t, "ann's link", ma.began)
	await(t, "zoe's link", mz.began)

	// Another day: they share no topic that they were met on.
	meetA([32]byte{5}, [32]byte{6})
	meetZ([32]byte{6}, [32]byte{7})
	y := start(t, device(t, "yan"), nil, b.url())
	y.Gather(name, my, [32]byte{6})
	one, two := await(t, "a link of the third", my.began), await(t, "another", my.began)
	if one.Peer.Device == two.Peer.Device {
		t.Error("two links to one device")
	}
	if l := await(t, "ann's second link", ma.began); l.Peer.Device != y.device.Key() {
		t.Error("ann and zoe have another link")
	}
	select {
	case <-ma.ended:
		t.Error("a link ended with its topic")
	default:
	}
	for _, l := range a.Links() {
		if l.Swarm != name {
			t.Errorf("a link of %x", l.Swarm)
		}
	}
	leave()
	await(t, "the end of a link", ma.ended)

	// Under another name nobody is met, though the topic is the same.
	o := start(t, device(t, "oda"), func(c *Config) { c.Silence = time.Second }, b.url())
	mo := newMeeting()
	o.Gather([32]byte{8}, mo, [32]byte{6})
	meetA2, _ := a.Gather(name, ma, [32]byte{6})
	meetA2([32]byte{6})
	await(t, "ann again", ma.began)
	select {
	case l := <-mo.began:
		t.Errorf("met %s", l.Peer.Name)
	default:
	}
}

// A topic that is left and met on again at once is one to be met on.
func TestGatherAgain(t *testing.T) {
	b := newBoard(t)
	a, z := start(t, device(t, "ann"), nil, b.url()), start(t, device(t, "zoe"), nil, b.url())
	name := [32]byte{9}
	ma, mz := newMeeting(), newMeeting()
	meet, _ := a.Gather(name, ma, [32]byte{1})
	for range 20 {
		meet([32]byte{2})
		runtime.Gosched()
		meet([32]byte{1})
		runtime.Gosched()
	}
	z.Gather(name, mz, [32]byte{1})
	await(t, "ann's link", ma.began)
	await(t, "zoe's link", mz.began)
}
