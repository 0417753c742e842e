package cli

import (
	"context"
	"strings"
	"testing"

	"github.com/echofs/echofs/cmd/localapi"
)

// devices is the part of a daemon that makes, ends and gets back devices.
type devices struct {
	keys
	joins    []localapi.JoinDeviceRequest
	recovers []localapi.RecoverRequest
	revoked  []string
}

func (d *devices) JoinDevice(_ context.Context, req localapi.JoinDeviceRequest, progress func(localapi.JoinStep)) (localapi.Halo, error) {
	d.joins = append(d.joins, req)
	if req.PIN == "" {
		return localapi.Halo{}, &localapi.Error{Code: localapi.NeedsPIN, Message: "it takes a PIN", Next: "--pin-file"}
	}
	progress(localapi.JoinStep{Text: "waiting", Code: "123456"})
	return localapi.Halo{Name: evil, DeviceName: "phone"}, nil
}

func (d *devices) RecoverHalo(_ context.Context, req localapi.RecoverRequest, _ func(localapi.JoinStep)) (localapi.Recovered, error) {
	d.recovers = append(d.recovers, req)
	return localapi.Recovered{
		Halo: localapi.Halo{Name: evil, DeviceName: "new"}, Spaces: []string{evil}, Waiting: []string{"work"},
		Lost: []string{"diary"}, Revoked: []string{"phone"},
	}, nil
}

func (d *devices) RevokeDevice(_ context.Context, device string) (localapi.Halo, error) {
	d.revoked = append(d.revoked, device)
	return localapi.Halo{Devices: []localapi.HaloDevice{{Name: "desk", Key: "de", Self: true}, {Name: evil, Key: "ab", Online: true}}}, nil
}

func TestDeviceCommands(t *testing.T) {
	d := &devices{}
	home := start(t, &fake{Backend: d})
	words := strings.Repeat("abandon ", 23) + "art"
	for _, test := range []struct {
		args, stdin string
		code        int
		says        []string
	}{
		{"halo device join echofs://join#x --pin-file -", "123 456\n", exitOK, []string{"same digits: 123 456", "on phone"}},
		{"halo device join - --pin-file -", "echofs://join#x\n123456\n", exitOK, []string{"on phone"}},
		{"halo device join echofs://join#x", "", exitUsage, []string{"it takes a PIN"}},
		{"halo device join echofs://join#x --pin-file -", "", exitUsage, []string{"no PIN"}},
		{"halo device join echofs://join#x --timeout 0s", "", exitUsage, []string{"--timeout"}},
		{"halo device revoke phone", "", exitUsage, []string{"--yes"}},
		{"halo device revoke phone --yes", "", exitOK, []string{"keeps the files", "this device", "online"}},
		{"halo recover --words-fd 0 --signal http://a", words, exitOK, []string{"on new", "come back when a member is online: work", "lost: diary", "revoked: phone", "new ones"}},
		{"halo recover --words-fd 0 --signal http://a", strings.ReplaceAll(strings.ToUpper(words), " ", "\n"), exitOK, []string{"on new"}},
		{"halo recover --words-fd 0", "abandon\nabandom", exitUsage, []string{"word 2", "abandon"}},
		{"halo recover --words-fd 0", strings.Repeat("abandon ", 24), exitUsage, []string{"do not belong together"}},
		{"halo recover --words-fd 0", "", exitUsage, []string{"0 words"}},
		{"halo recover", words, exitUsage, []string{"--words-fd"}},
		{"halo recover --words-fd 2", words, exitUsage, []string{"not a descriptor"}},
	} {
		r := run(home, test.stdin, strings.Fields(test.args)...)
		if r.code != test.code {
			t.Errorf("%s: exit code %d, want %d\n%s%s", test.args, r.code, test.code, r.out, r.errOut)
		}
		for _, s := range test.says {
			if !strings.Contains(r.out+r.errOut, s) {
				t.Errorf("%s does not say %q:\n%s%s", test.args, s, r.out, r.errOut)
			}
		}
		if strings.ContainsAny(r.out+r.errOut, "\x1b\x07\u202e") {
			t.Errorf("%s lets a name reach the terminal: %q", test.args, r.out+r.errOut)
		}
	}
	if len(d.joins) != 3 || d.joins[0].PIN != "123 456" || d.joins[1].PIN != "123456" || d.joins[1].Invitation != "echofs://join#x" {
		t.Errorf("joined with %+v", d.joins)
	}
	if len(d.recovers) != 2 || len(d.revoked) != 1 || d.revoked[0] != "phone" {
		t.Errorf("recovered %d times, revoked %q", len(d.recovers), d.revoked)
	}
}
