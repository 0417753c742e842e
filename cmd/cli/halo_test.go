package cli

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/echofs/echofs/cmd/localapi"
)

// keys is the part of a daemon that has the keys.
type keys struct {
	localapi.Backend
	halo       localapi.Halo
	passphrase string // that was given last
	protect    localapi.ProtectRequest
	written    bool
}

func (k *keys) Halo(context.Context) (localapi.Halo, error) { return k.halo, nil }

func (k *keys) LockHalo(context.Context) (localapi.Halo, error) {
	k.halo.Locked = true
	return k.halo, nil
}

func (k *keys) UnlockHalo(_ context.Context, passphrase []byte) (localapi.Halo, error) {
	k.passphrase, k.halo.Locked = string(passphrase), false
	if k.passphrase == "wrong" {
		return k.halo, &localapi.Error{Code: localapi.Refused, Message: "that is not the passphrase"}
	}
	return k.halo, nil
}

func (k *keys) ProtectHalo(_ context.Context, req localapi.ProtectRequest) (localapi.Halo, error) {
	k.protect = localapi.ProtectRequest{Protection: req.Protection, Old: slices.Clone(req.Old), New: slices.Clone(req.New)}
	k.halo.Protection = req.Protection
	return k.halo, nil
}

func (k *keys) RecoveryWords(_ context.Context, passphrase []byte) ([]string, error) {
	k.passphrase = string(passphrase)
	if k.written {
		return nil, &localapi.Error{Code: localapi.NotFound, Message: "they cannot be shown again"}
	}
	return strings.Fields(strings.Repeat("zoo ", 24)), nil
}

func (k *keys) WordsWritten(context.Context) (localapi.Halo, error) {
	k.written = true
	return k.halo, nil
}

func (k *keys) RenameDevice(_ context.Context, device, name string) (localapi.Halo, error) {
	for i, d := range k.halo.Devices {
		if d.Name == device {
			k.halo.Devices[i].Name = name
			return k.halo, nil
		}
	}
	return k.halo, &localapi.Error{Code: localapi.NotFound, Message: "you have no device " + device}
}

func TestHaloCommands(t *testing.T) {
	k := &keys{}
	home := start(t, &fake{Backend: k})
	unlocked := localapi.Halo{
		Protection: "passphrase", Name: evil, DeviceName: "desk", Identity: "1d", Device: "de", Recovery: localapi.KeptWords,
		Devices: []localapi.HaloDevice{{Key: "de", Name: "desk", Self: true}, {Key: "ad", Name: evil}, {Key: "0d", Name: "lost", Revoked: true}},
	}
	locked := localapi.Halo{Protection: "passphrase", Locked: true}
	file := unlocked
	file.Protection = "file"
	tests := []struct {
		halo       localapi.Halo
		args       string
		stdin      string
		code       int
		out        string // part of stdout
		errOut     string // part of stderr
		passphrase string
	}{
		{halo: unlocked, args: "halo", out: "COMMANDS"},
		{halo: unlocked, args: "halo info", out: "devices     2\n"},
		{halo: unlocked, args: "halo info", out: "nobody has written the words down yet: echofs halo recovery"},
		{halo: locked, args: "halo info", out: "locked (echofs halo unlock opens it)\nprotection  a passphrase\n"},
		{halo: locked, args: "halo info --json", out: `"locked": true`},
		{halo: unlocked, args: "halo lock"},
		{halo: file, args: "halo lock", errOut: "whoever uses this account can unlock"},
		{halo: locked, args: "halo unlock", code: exitUsage, errOut: "--unlock-fd"},
		{halo: locked, args: "halo unlock --unlock-fd 0", stdin: "correct horse\nrest", passphrase: "correct horse"},
		{halo: locked, args: "halo unlock --unlock-fd 0", stdin: " correct horse\r", passphrase: "correct horse"},
		{halo: locked, args: "halo unlock --unlock-fd 0", stdin: "wrong", code: exitRefused, errOut: "not the passphrase", passphrase: "wrong"},
		{halo: locked, args: "halo unlock --unlock-fd 0", code: exitUsage, errOut: "nothing in it"},
		{halo: locked, args: "halo unlock --unlock-fd 0", stdin: strings.Repeat("x", maxSecret+1), code: exitUsage, errOut: "more than"},
		{halo: locked, args: "halo unlock --unlock-fd 1", code: exitUsage, errOut: "not a descriptor to read from"},
		{halo: locked, args: "halo unlock --unlock-fd 987", code: exitUsage, errOut: "bad file descriptor"},
		{halo: locked, args: "halo unlock --unlock-fd secret", code: exitUsage, errOut: "--unlock-fd cannot be \"secret\""},
		{halo: unlocked, args: "halo unlock"},
		{halo: unlocked, args: "halo protect nonsense", code: exitUsage, errOut: "not one of passphrase, keyring, file"},
		{halo: unlocked, args: "halo protect", code: exitUsage, errOut: "it takes one argument, HOW"},
		{halo: unlocked, args: "halo protect file", code: exitUsage, errOut: "--unlock-fd"},
		{halo: unlocked, args: "halo protect file --unlock-fd 0", stdin: "old", out: "a file beside them"},
		{halo: file, args: "halo protect passphrase --new-fd 0", stdin: "new", out: "a passphrase"},
		{halo: file, args: "halo protect passphrase", code: exitUsage, errOut: "--new-fd"},
		{halo: unlocked, args: "halo recovery", code: exitUsage, errOut: "--yes"},
		{halo: unlocked, args: "halo recovery --json", code: exitUsage, errOut: "--yes"},
		{halo: file, args: "halo recovery --yes --json", out: "[\n  \"zoo\","},
		{halo: file, args: "halo recovery --yes", code: exitNotFound, errOut: "cannot be shown again"},
		{halo: unlocked, args: "halo device list", out: " revoked "},
		{halo: locked, args: "halo device ls", code: exitLocked, errOut: "echofs halo unlock"},
		{halo: unlocked, args: "halo device list --json", out: `"self": true`},
		{halo: unlocked, args: "halo device rename desk table", out: "table"},
		{halo: unlocked, args: "halo device rename desk", code: exitUsage, errOut: "it takes 2 arguments: DEVICE NAME"},
		{halo: unlocked, args: "halo device rename chair table", code: exitNotFound, errOut: "you have no device chair"},
		{halo: unlocked, args: "halo device", out: "echofs halo device COMMAND"},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			k.halo, k.passphrase = tt.halo, ""
			k.halo.Devices = slices.Clone(tt.halo.Devices)
			r := run(home, tt.stdin, strings.Fields(tt.args)...)
			if r.code != tt.code || !strings.Contains(r.out, tt.out) || !strings.Contains(r.errOut, tt.errOut) || tt.passphrase != "" && k.passphrase != tt.passphrase {
				t.Errorf("code %d, out %q, err %q, passphrase %q; want %+v", r.code, r.out, r.errOut, k.passphrase, tt)
			}
			if !strings.Contains(tt.args, "--json") && strings.ContainsAny(r.out+r.errOut, "\x1b\x07\u202e") {
				t.Errorf("a name reaches the terminal: %q", r.out+r.errOut)
			}
		})
	}
	if string(k.protect.New) != "new" {
		t.Errorf("the last protection asked for is %+v", k.protect)
	}
}

// TestSecretFromADescriptor reads from one that a program opened for us.
func TestSecretFromADescriptor(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.WriteString("correct horse\n"); err != nil {
		t.Fatal(err)
	}
	w.Close()
	defer r.Close()
	fd, err := unix.Dup(int(r.Fd())) // which readFD closes
	if err != nil {
		t.Fatal(err)
	}
	c := &command{}
	secret, err := c.readFD(fd)
	if err != nil || string(secret) != "correct horse" {
		t.Errorf("readFD = %q, %v", secret, err)
	}
}

func TestHaloCompletion(t *testing.T) {
	home := start(t, &fake{Backend: &keys{halo: localapi.Halo{Devices: []localapi.HaloDevice{{Name: "desk"}, {Name: "lost", Revoked: true}}}}})
	for args, want := range map[string]string{
		"halo":                   "info\ncreate\nshare\nlock\nunlock\nprotect\nrecovery\nrecover\ndevice\nprofile\ncontacts\n",
		"halo protect":           "passphrase\nkeyring\nfile\n",
		"halo create --protect":  "passphrase\nkeyring\nfile\n",
		"halo device":            "invite\njoin\nlist\nrename\nrevoke\n",
		"halo device rename":     "desk\n",
		"halo device rename one": "",
		"halo info":              "",
	} {
		if r := run(home, "", append(strings.Fields(args), completionArg)...); r.out != want {
			t.Errorf("%s: %q, want %q", args, r.out, want)
		}
	}
}

// TestHaloCreate needs no daemon.
func TestHaloCreate(t *testing.T) {
	home := t.TempDir()
	if r := run(home, "", "halo", "create", "--protect", "nonsense"); r.code != exitUsage {
		t.Errorf("%+v", r)
	}
	if r := run(home, "", "halo", "create", "--name", "a\tb"); r.code != exitUsage {
		t.Errorf("%+v", r)
	}
	if r := run(home, "", "halo", "create", "--protect", "keyring"); r.code != exitFailed || !strings.Contains(r.errOut, "keyring") {
		t.Errorf("%+v", r)
	}
	r := run(home, "", "halo", "create", "--name", "ann", "--device", "desk", "--json")
	if r.code != exitOK || !strings.Contains(r.out, `"protection": "file"`) || !strings.Contains(r.out, `"deviceName": "desk"`) {
		t.Errorf("%+v", r)
	}
	if r := run(home, "", "halo", "create"); r.code != exitBusy {
		t.Errorf("a second identity: %+v", r)
	}
}
