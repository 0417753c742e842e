package daemon

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/echofs/echofs/cmd/localapi"
)

func TestResolve(t *testing.T) {
	getenv := func(key string) string { return map[string]string{"HOME": "/home/ann"}[key] }
	tests := []struct {
		name     string
		cfg      Config
		settings settings
		want     plan // Config left out
		err      string
	}{
		{
			name: "first run",
			want: plan{mount: "/home/ann/echofs", makeMount: true, listen: DefaultHTTP},
		},
		{
			name: "told everything",
			cfg:  Config{Mount: "/mnt/x", HTTP: "127.0.0.1:0", Signal: []string{"http://h:1"}},
			want: plan{
				mount: "/mnt/x", listen: "127.0.0.1:0",
				next: settings{Mount: "/mnt/x", HTTP: "127.0.0.1:0", Signal: []string{"http://h:1"}},
			},
		},
		{
			name:     "told nothing again",
			settings: settings{Mount: "/mnt/x", HTTP: "127.0.0.1:0", Port: "1234", Signal: []string{"http://h:1"}, Met: []string{"http://m:1"}, Offline: true},
			want: plan{
				mount: "/mnt/x", listen: "127.0.0.1:1234", retry: "127.0.0.1:0",
				next: settings{Mount: "/mnt/x", HTTP: "127.0.0.1:0", Port: "1234", Signal: []string{"http://h:1"}, Met: []string{"http://m:1"}, Offline: true},
			},
		},
		{
			name:     "another address forgets the port",
			cfg:      Config{HTTP: "0.0.0.0:0"},
			settings: settings{HTTP: "127.0.0.1:0", Port: "1234"},
			want:     plan{mount: "/home/ann/echofs", makeMount: true, listen: "0.0.0.0:0", next: settings{HTTP: "0.0.0.0:0"}},
		},
		{
			name:     "a port that was asked for has no second choice",
			settings: settings{HTTP: "127.0.0.1:80", Port: "80"},
			want:     plan{mount: "/home/ann/echofs", makeMount: true, listen: "127.0.0.1:80", next: settings{HTTP: "127.0.0.1:80", Port: "80"}},
		},
		{name: "no port", cfg: Config{HTTP: "localhost"}, err: "not HOST:PORT"},
		{name: "signal without host", cfg: Config{Signal: []string{"h:1"}}, err: "not a URL"},
		{name: "signal of another kind", cfg: Config{Signal: []string{"ftp://h"}}, err: "not a URL"},
		{name: "mount in home", cfg: Config{Mount: "/data/mnt"}, err: "must not contain"},
		{name: "home in mount", cfg: Config{Mount: "/"}, err: "must not contain"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.cfg.Home, tt.cfg.Getenv = "/data", getenv
			got, err := resolve(tt.cfg, tt.settings)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) || localapi.AsError(err).Next == "" {
					t.Errorf("got %v, want %q and a next step", err, tt.err)
				}
				return
			}
			got.Config = Config{}
			if err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %+v, %v\nwant %+v", got, err, tt.want)
			}
		})
	}
}

func TestSettings(t *testing.T) {
	home := t.TempDir()
	if got, err := loadSettings(home); err != nil || !reflect.DeepEqual(got, settings{}) {
		t.Errorf("without a file: %+v, %v", got, err)
	}
	want := settings{Mount: "/m", Port: "1", Met: []string{"http://x"}, Offline: true}
	if err := want.save(home); err != nil {
		t.Fatal(err)
	}
	if got, err := loadSettings(home); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	for _, bad := range []string{"{", `{"mount": 1}`, strings.Repeat(" ", maxSettings+1)} {
		if err := os.WriteFile(settingsPath(home), []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := loadSettings(home); err == nil || localapi.AsError(err).Next == "" {
			t.Errorf("%.10q: %v", bad, err)
		}
	}
}

// A server that is none is told apart from one where nobody is.
func TestRecoverBySignal(t *testing.T) {
	_, _, err := (&daemon{}).regain(t.Context(), localapi.RecoverRequest{Signal: []string{"http://127.0.0.1:1", "nonsense"}}, nil, nil)
	if e := localapi.AsError(err); e.Code != localapi.Usage || !strings.Contains(e.Message, "nonsense") {
		t.Errorf("%+v", e)
	}
}
