package replicate

import (
	"reflect"
	"testing"
)

// A device that was removed gets the credentials by which that ended, once, and
// nothing else, whether it knows the key of now or only an older one.
func TestRemovedDeviceIsTold(t *testing.T) {
	farewell := [][]byte{{1}, {2}}
	for name, unsure := range map[string]bool{"connected": false, "away when the key changed": true} {
		s := &session{proved: true, unsure: unsure, member: !unsure}
		in := changed{barred: true, farewell: farewell, creds: []known{{raw: []byte{1}}, {raw: []byte{9}}}}
		out, err := s.step(in)
		if want := []output{sendNoHeads{}, sendCreds{farewell}, sendBye{}}; err != nil || !reflect.DeepEqual(out, want) {
			t.Errorf("%s: %#v, %v, want %#v", name, out, err, want)
		}
		if s.open() {
			t.Errorf("%s: entries may still go to it", name)
		}
		if out, err := s.step(in); err != nil || len(out) != 0 {
			t.Errorf("%s: once more: %#v, %v", name, out, err)
		}
	}
}
