package daemon

import "testing"

func TestOnlyHere(t *testing.T) {
	for url, want := range map[string]bool{
		"http://127.0.0.1:4480": true, "http://127.5.0.1:4480": true, "http://[::1]:4480": true, "http://localhost:1": true,
		"http://192.168.1.5:4480": false, "https://meet.example": false, "http://[fd00::1]:4480": false,
	} {
		if got := onlyHere([]string{"http://127.0.0.1:1", url}); got != want {
			t.Errorf("%s: %v, want %v", url, got, want)
		}
	}
}
