package mesh

import "testing"

type waiter struct{ *meeting }

func (waiter) Waits() {}

type seeker struct{ *meeting }

func (seeker) Seeks() {}

// Two that wait for others leave each other alone. Who seeks them finds both,
// whichever of two devices has to dial.
func TestWaitersAndSeekers(t *testing.T) {
	b := newBoard(t)
	topic := [32]byte{1}
	ma, mz := newMeeting(), newMeeting()
	start(t, device(t, "ann"), nil, b.url()).Join(topic, waiter{ma})
	start(t, device(t, "zoe"), nil, b.url()).Join(topic, waiter{mz})
	for range 4 { // some have the smaller key, some the larger
		ms := newMeeting()
		leave := start(t, device(t, "sam"), nil, b.url()).Join(topic, seeker{ms})
		one, two := await(t, "a link", ms.began), await(t, "another link", ms.began)
		if one.Peer.Device == two.Peer.Device {
			t.Error("two links to one device")
		}
		for _, m := range []*meeting{ma, mz} {
			if l := await(t, "the link of who waits", m.began); l.Peer.Name != "sam" {
				t.Errorf("linked to %s", l.Peer.Name)
			}
		}
		leave()
		await(t, "the end at ann's", ma.ended)
		await(t, "the end at zoe's", mz.ended)
	}
}
