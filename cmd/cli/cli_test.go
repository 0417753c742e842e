package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/echofs/echofs/cmd/localapi"
)

// evil is a name that a peer chose to confuse a terminal.
const evil = "ev\x1b]0;owned\x07il\u202e\nname"

// fake is a daemon of which only the answers matter here.
type fake struct {
	localapi.Backend
	share   localapi.ShareRequest
	join    localapi.JoinRequest
	revoked string
	events  []localapi.DoorEvent
	answers chan bool
}

func (f *fake) Status(context.Context) (localapi.Status, error) {
	return localapi.Status{
		Name: evil, Version: "v1", HTTP: "127.0.0.1:4480", Mount: "/mnt",
		Spaces:   []localapi.Space{{Name: "notes", Path: "/mnt/notes"}},
		Links:    []localapi.Link{{Name: evil, State: "up"}},
		Received: []localapi.Invitation{{By: "ann", Space: evil}},
		Problems: []localapi.Problem{{Message: evil, Next: "do this"}},
	}, nil
}

func (f *fake) Spaces(context.Context) ([]localapi.Space, error) {
	return []localapi.Space{{Name: "notes", Path: "/mnt/notes"}, {Name: "work"}}, nil
}

func (f *fake) Space(_ context.Context, name string) (localapi.Space, error) {
	return localapi.Space{}, &localapi.Error{Code: localapi.NotFound, Message: "there is no space " + name, Next: "see echofs space list"}
}

func (f *fake) CreateSpace(_ context.Context, name string) (localapi.Space, error) {
	return localapi.Space{}, &localapi.Error{Code: localapi.Busy, Message: "taken"}
}

func (f *fake) Share(_ context.Context, req localapi.ShareRequest) (localapi.Invitation, error) {
	f.share = req
	in := localapi.Invitation{ID: strings.Repeat("1", 64), URL: "echofs://join#abc", QR: "echofs://join#abc", Space: req.Space, Role: req.Role, Uses: req.Uses, Expires: time.Unix(1e9, 0)}
	if req.PIN {
		in.PIN = "012345"
	}
	if req.To != "" {
		in.URL, in.To = "", req.To
	}
	return in, nil
}

func (f *fake) Invitations(_ context.Context, space string) ([]localapi.Invitation, error) {
	return []localapi.Invitation{
		{ID: strings.Repeat("2", 64), Kind: localapi.KindLink, Space: "notes", State: localapi.StateOpen, Uses: 5, Used: []string{evil, "ben"}},
		{ID: strings.Repeat("3", 64), Kind: localapi.KindReceived, Space: evil, By: evil, State: localapi.StateOpen, Uses: 1},
		{ID: strings.Repeat("4", 64), Kind: localapi.KindPIN, Space: "notes", State: localapi.StateBurned, Uses: 1},
	}, nil
}

func (f *fake) Revoke(_ context.Context, id string) (localapi.Invitation, error) {
	f.revoked = id
	return localapi.Invitation{ID: id, Space: "notes", Used: []string{"ben"}}, nil
}

func (f *fake) Door(ctx context.Context, req localapi.DoorRequest) ([]localapi.DoorEvent, error) {
	if req.After >= len(f.events) { // nothing more happens
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if f.answers == nil {
		return f.events[req.After:], nil
	}
	if req.After == 0 {
		return f.events[:1], nil
	}
	if !<-f.answers {
		return []localapi.DoorEvent{{Number: 9, Kind: localapi.DoorEnded, Why: localapi.StateWithdrawn}}, nil
	}
	return f.events[req.After:], nil
}

func (f *fake) Answer(_ context.Context, req localapi.AnswerRequest) (struct{}, error) {
	f.answers <- req.Yes
	return struct{}{}, nil
}

func (f *fake) Join(ctx context.Context, req localapi.JoinRequest, progress func(localapi.JoinStep)) (localapi.Space, error) {
	f.join = req
	progress(localapi.JoinStep{Text: "looking"})
	if req.Invitation == "pin" && req.PIN == "" {
		return localapi.Space{}, &localapi.Error{Code: localapi.NeedsPIN, Message: "takes a PIN", Next: "--pin-file"}
	}
	if req.Invitation == "pin" && req.PIN != "012345" {
		return localapi.Space{}, &localapi.Error{Code: localapi.WrongPIN, Message: "the PIN is wrong"}
	}
	if req.PIN != "" {
		progress(localapi.JoinStep{Text: "waiting", Code: "654321"})
	}
	if req.Invitation == "slow" {
		return localapi.Space{}, &localapi.Error{Code: localapi.Unreachable, Message: "no answer within " + req.Timeout.String()}
	}
	if req.Invitation == "used" {
		return localapi.Space{}, &localapi.Error{Code: localapi.Refused, Message: "used", Next: "ask for a new one"}
	}
	return localapi.Space{Name: "notes", Path: "/mnt/notes"}, nil
}

func (f *fake) Members(context.Context, string) ([]localapi.Member, error) {
	return []localapi.Member{
		{Name: evil, Role: "editor", Identity: strings.Repeat("ab", 32)},
		{Name: "ann", Role: "admin", Self: true}, {Name: "ben", Role: "reader"},
	}, nil
}

func (f *fake) SetRole(_ context.Context, req localapi.MemberRequest) (localapi.Member, error) {
	return localapi.Member{Name: req.Member, Role: req.Role}, nil
}

func (f *fake) Remove(_ context.Context, req localapi.MemberRequest) (localapi.Member, error) {
	return localapi.Member{Name: req.Member, Devices: []string{"one", "two"}}, nil
}

func (f *fake) Leave(_ context.Context, req localapi.LeaveRequest) (localapi.Space, error) {
	if !req.Force {
		return localapi.Space{}, &localapi.Error{Code: localapi.Refused, Message: "the only admin", Next: "--force"}
	}
	return localapi.Space{Name: req.Space, Members: 2}, nil
}

func (f *fake) Rotate(_ context.Context, space string) (localapi.Space, error) {
	return localapi.Space{Name: space}, nil
}

func (f *fake) Apps(context.Context) ([]localapi.App, error) {
	return []localapi.App{
		{Name: "board", Space: "notes", URL: "http://board--notes.localhost:1/"},
		{Name: "board", Space: "work", URL: "http://board--work.localhost:1/"},
		{Name: "chart", Space: "work", URL: "http://chart--work.localhost:1/"},
	}, nil
}

// start serves f in a new home until the test ends.
func start(t *testing.T, f *fake) (home string) {
	t.Helper()
	home = t.TempDir()
	l, err := localapi.Listen(home)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- localapi.Serve(ctx, l, f, "v1", slog.New(slog.DiscardHandler)) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return home
}

// result is what a command left behind.
type result struct {
	code        int
	out, errOut string
}

func run(home, stdin string, args ...string) result {
	var out, errOut bytes.Buffer
	env := map[string]string{"ECHOFS_HOME": home, "HOME": "/nowhere"}
	code := Run(context.Background(), Env{
		Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &errOut,
		Getenv: func(key string) string { return env[key] },
	}, append([]string{"echofs"}, args...))
	return result{code, out.String(), errOut.String()}
}

func TestCommands(t *testing.T) {
	f := &fake{}
	home := start(t, f)
	tests := []struct {
		args   string
		stdin  string
		code   int
		out    string // part of stdout
		errOut string // part of stderr
	}{
		{args: "", out: "COMMANDS"},
		{args: "help", out: "EXIT CODES"},
		{args: "help space share", out: "--role ROLE"},
		{args: "space share --help", out: "EXAMPLES"},
		{args: "--home /nowhere help space share", out: "--role ROLE"},
		{args: "--home=/nowhere help", out: "EXIT CODES"},
		{args: "space help share", out: "--role ROLE"},
		{args: "space help", out: "COMMANDS"},
		{args: "space help nonsense", code: exitUsage, errOut: `there is no command "nonsense"`},
		{args: "--version", out: "echofs "},
		{args: "restore a.md@zzzz", code: exitUsage, errOut: "echofs log a.md"},
		{args: "restore a.md", code: exitUsage, errOut: "echofs log a.md"},
		{args: "help nonsense", code: exitUsage, errOut: `there is no command "nonsense"`},
		{args: "spcae list", code: exitUsage, errOut: `did you mean "space"?`},
		{args: "space", out: "COMMANDS"},
		{args: "space creat x", code: exitUsage, errOut: `did you mean "create"?`},
		{args: "space create", code: exitUsage, errOut: "it takes one argument, NAME"},
		{args: "space create a b", code: exitUsage, errOut: "it takes one argument, NAME"},
		{args: "status extra", code: exitUsage, errOut: "it takes no arguments"},
		{args: "status --bogus", code: exitUsage, errOut: "see echofs status --help"},
		{args: "--bogus status", code: exitUsage, errOut: "there is no option --bogus"},
		{args: "status --home", code: exitUsage, errOut: "--home needs a value"},
		{args: "space share notes --expires 5", code: exitUsage, errOut: `--expires "5" is not a duration, such as 10m`},
		{args: "status --json=perhaps", code: exitUsage, errOut: `--json cannot be "perhaps"`},
		{args: "help help", out: "EXIT CODES"},
		{args: "status", out: "PROBLEMS"},
		{args: "status", out: "ann invites you to"},
		{args: "space create notes", code: exitBusy, errOut: "taken"},
		{args: "space info nope", code: exitNotFound, errOut: "→ see echofs space list"},
		{args: "space list", out: "/mnt/notes"},
		{args: "space ls --json", out: `"path": "/mnt/notes"`},
		{args: "space share notes --role king", code: exitUsage, errOut: "reader, editor, admin"},
		{args: "space share notes --expires -1s", code: exitUsage, errOut: "--expires"},
		{args: "space join echofs://join#x", out: "/mnt/notes\n"},
		{args: "space join used", code: exitRefused, errOut: "ask for a new one"},
		{args: "space join slow --timeout 50ms", code: exitUnreachable, errOut: "no answer within 50ms"},
		{args: "space join slow --timeout 0s", code: exitUsage, errOut: "--timeout"},
		{args: "space join -", stdin: " echofs://join#y \n", out: "/mnt/notes\n"},
		{args: "space join -", code: exitUsage, errOut: "stdin"},
		{args: "space members notes", out: "editor"},
		{args: "space members notes", out: "you"},
		{args: "space join pin", code: exitUsage, errOut: "--pin-file"},
		{args: "space join pin --pin-file -", stdin: "012345\n", out: "/mnt/notes\n", errOut: "same digits: 654 321"},
		{args: "space join pin --pin-file -", stdin: "123456\n", code: exitRefused, errOut: "the PIN is wrong"},
		{args: "space join pin --pin-file -", code: exitUsage, errOut: "no PIN in -"},
		{args: "space join pin --pin-file /nowhere", code: exitUsage, errOut: "no file /nowhere"},
		{args: "space join - --pin-file -", stdin: "pin\n 012345 \n", out: "/mnt/notes\n", errOut: "654 321"},
		{args: "space share notes --uses 0", code: exitUsage, errOut: "--uses"},
		{args: "space share notes --yes", code: exitUsage, errOut: "--yes is for --pin"},
		{args: "space share notes --uses 3", out: "echofs://join#abc\n", errOut: "for 3 people"},
		{args: "space share notes --qr", out: "echofs://join#abc\n", errOut: "█"},
		{args: "space share notes --to ben", errOut: "echofs space join notes"},
		{args: "space share notes --json", out: `"url": "echofs://join#abc"`},
		{args: "space invitations", out: "2 of 5", errOut: "invites you to"},
		{args: "space invitations notes --all", out: "burned"},
		{args: "space revoke 1234", errOut: "joined with it before: ben"},
		{args: "space revoke", code: exitUsage, errOut: "INVITATION"},
		{args: "space role notes ben admin", errOut: "ben is admin in notes"},
		{args: "space role notes ben none", code: exitUsage, errOut: "echofs space remove notes ben"},
		{args: "space role notes ben king", code: exitUsage, errOut: "reader, editor, admin"},
		{args: "space role notes ben", code: exitUsage, errOut: "3 arguments: NAME MEMBER ROLE"},
		{args: "space remove notes ben", stdin: "y\n", code: exitUsage, errOut: "say --yes"}, // nobody there to ask
		{args: "space remove notes ben --yes", errOut: "2 devices keep a copy"},
		{args: "space remove -y notes ben --json", out: `"name": "ben"`},
		{args: "space leave notes --yes", code: exitRefused, errOut: "--force"},
		{args: "space leave notes --yes --force", errOut: "Nobody else of it is connected"},
		{args: "space rotate notes", errOut: "new key"},
		{args: "app list", out: "http://chart--work.localhost:1/"},
		{args: "app open chart --print", out: "http://chart--work.localhost:1/\n"},
		{args: "app open notes/board", out: "http://board--notes.localhost:1/\n"},
		{args: "app open --space work board", out: "http://board--work.localhost:1/\n"},
		{args: "app open board", code: exitUsage, errOut: "echofs app open notes/board"},
		{args: "app open nope", code: exitNotFound, errOut: "see echofs app list"},
		{args: "--home /nowhere/at/all status", code: exitNotRunning, errOut: "echofs --home /nowhere/at/all up"},
		{args: "--home /dev/null status", code: exitNotRunning, errOut: "echofs --home /dev/null up"},
		{args: "status --home /nowhere/at/all", code: exitNotRunning, errOut: "echofs --home /nowhere/at/all up"},
		{args: "up --log loud", code: exitUsage, errOut: "--log loud"},
		{args: "version --json", out: `"daemon": "v1"`},
		{args: "completion bash", out: "complete -o default"},
		{args: "completion zsh", out: "#compdef"},
		{args: "completion fish", out: "complete -c echofs"},
		{args: "completion tcsh", code: exitUsage, errOut: "bash, zsh, fish"},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			got := run(home, tt.stdin, strings.Fields(tt.args)...)
			if got.code != tt.code || !strings.Contains(got.out, tt.out) || !strings.Contains(got.errOut, tt.errOut) {
				t.Errorf("code %d (want %d)\nstdout %q (want %q)\nstderr %q (want %q)",
					got.code, tt.code, got.out, tt.out, got.errOut, tt.errOut)
			}
			if got.code == 0 && tt.errOut == "" && strings.Contains(got.errOut, "→") {
				t.Errorf("success with a hint: %q", got.errOut)
			}
			for _, r := range got.out + got.errOut {
				if r < ' ' && r != '\n' && r != '\t' || r == '\u202e' {
					t.Fatalf("a name of a peer reached the terminal: %q%q", got.out, got.errOut)
				}
			}
		})
	}
}

func TestShareEndsWithTheInvitation(t *testing.T) {
	f := &fake{}
	home := start(t, f)
	got := run(home, "", "space", "share", "notes", "--role", "reader", "--expires", "10m")
	if got.code != 0 || got.out != "echofs://join#abc\n" || !strings.Contains(got.errOut, "This device is offline") {
		t.Errorf("got %+v", got)
	}
	if want := (localapi.ShareRequest{Space: "notes", Role: "reader", TTL: 10 * time.Minute, Uses: 1}); f.share != want {
		t.Errorf("asked for %+v, want %+v", f.share, want)
	}
}

func TestCompletion(t *testing.T) {
	home := start(t, &fake{})
	spaces := "notes\nwork\n"
	tests := []struct{ line, want string }{
		{"", "up\ndown\nstatus\nonline\noffline\nspace\nhalo\napp\nlog\ndiff\nrestore\nundelete\ncompletion\nversion\n"},
		{"space", "create\nlist\ninfo\nshare\njoin\nmembers\nrole\nremove\nleave\ninvitations\nrevoke\nrotate\nexport\nfork\nrebuild\n"},
		{"help space", "create\nlist\ninfo\nshare\njoin\nmembers\nrole\nremove\nleave\ninvitations\nrevoke\nrotate\nexport\nfork\nrebuild\n"},
		{"space info", spaces},
		{"space info notes", ""},
		{"space create", ""},
		{"help space info", ""},
		{"nonsense", ""},
		{"space nonsense", ""},
		{"space list", ""},
		{"space role", spaces},
		{"space role notes", "ben\n"},
		{"space role notes ben", "reader\neditor\nadmin\n"},
		{"space role notes ben admin", ""},
		{"space export notes", ""},
		{"space revoke", "22222222\n33333333\n"},
		{"space join", ""}, // its name cannot be typed
		{"space share --role reader", spaces},
		{"space share notes --role", "reader\neditor\nadmin\n"},
		{"space share notes --", "--home\n--role\n--uses\n--expires\n--pin\n--to\n--qr\n--no-qr\n--yes\n--json\n--help\n"},
		{"space share notes --r", "--home\n--role\n--uses\n--expires\n--pin\n--to\n--qr\n--no-qr\n--yes\n--json\n--help\n"},
		{"--home /nowhere space info", ""},
		{"space info --home /nowhere", ""},
		{"app open", "notes/board\nwork/board\nchart\n"},
		{"app open --space", spaces},
		{"up --log", "debug\ninfo\nwarn\nerror\n"},
		{"up --mount", ""},
		{"completion", "bash\nzsh\nfish\n"},
	}
	for _, tt := range tests {
		got := run(home, "", append(strings.Fields(tt.line), "--generate-bash-completion")...)
		if got.code != 0 || got.out != tt.want {
			t.Errorf("%s: code %d, %q, want %q", tt.line, got.code, got.out, tt.want)
		}
	}
}

// TestBashCompletionExpandsNothing: a space or app may be called what a peer chose.
func TestBashCompletionExpandsNothing(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Fatal("no bash: apt-get install bash")
	}
	dir := t.TempDir()
	script := bashCompletion + `
echofs() { printf '%s\n' '$(touch owned)' '` + "`touch owned`" + `' 'two words' plain; }
COMP_WORDS=(echofs space info "$1"); COMP_CWORD=3
_echofs
printf '%s\n' "${COMPREPLY[@]}"`
	for cur, want := range map[string]string{
		"":      `\$\(touch\ owned\)` + "\n\\`touch\\ owned\\`\n" + `two\ words` + "\nplain\n",
		`two\ `: "two\\ words\n",
		"p":     "plain\n",
	} {
		cmd := exec.Command(bash, "-c", script, "bash", cur)
		cmd.Dir = dir
		if got, err := cmd.Output(); err != nil || string(got) != want {
			t.Errorf("%q completes to %q, want %q; %v", cur, got, want, err)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("a name was run: %v, %v", left, err)
	}
}

func TestJSONKeepsNames(t *testing.T) {
	got := run(start(t, &fake{}), "", "space", "members", "notes", "--json")
	var members []localapi.Member
	if err := json.Unmarshal([]byte(got.out), &members); err != nil || members[0].Name != evil {
		t.Errorf("got %q, %v", got.out, err)
	}
}

func TestHome(t *testing.T) {
	tests := []struct {
		name string
		env  map[string]string
		want string
	}{
		{"default", map[string]string{"HOME": "/home/ann"}, "/home/ann/.local/share/echofs"},
		{"XDG", map[string]string{"HOME": "/home/ann", "XDG_DATA_HOME": "/data"}, "/data/echofs"},
		{"relative XDG does not count", map[string]string{"HOME": "/home/ann", "XDG_DATA_HOME": "data"}, "/home/ann/.local/share/echofs"},
		{"ECHOFS_HOME", map[string]string{"HOME": "/home/ann", "ECHOFS_HOME": "/x/../y"}, "/y"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var errOut bytes.Buffer
			code := Run(context.Background(), Env{
				Stdout: &errOut, Stderr: &errOut,
				Getenv: func(key string) string { return tt.env[key] },
			}, []string{"echofs", "status"})
			if code != exitNotRunning || !strings.Contains(errOut.String(), "no daemon is running for "+tt.want+"\n") {
				t.Errorf("code %d, %s", code, errOut.String())
			}
		})
	}
}

func TestClean(t *testing.T) {
	tests := []struct{ in, want string }{
		{"plain näme 日本", "plain näme 日本"},
		{"a\x1b[2Jb", `a\u001b[2Jb`},
		{"a\nb\tc", `a\u000ab\u0009c`},
		{"ab\u202ecd", `ab\u202ecd`},
		{"zero\u200bwidth", `zero\u200bwidth`},
		{"bad\xff", `bad\xff`},
		{"real \uFFFD", "real \uFFFD"},
		{`back\slash`, `back\\slash`},
		{"nbsp\u00a0", `nbsp\u00a0`},
	}
	for _, tt := range tests {
		if got := clean(tt.in); got != tt.want {
			t.Errorf("clean(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

func TestReorder(t *testing.T) {
	app := (&command{ui: &ui{}}).app()
	tests := []struct{ in, want string }{
		{"echofs", "echofs"},
		{"echofs space share n --role reader", "echofs space share --role reader n"},
		{"echofs --home /x space share n", "echofs --home /x space share n"},
		{"echofs space --home /x share n --json", "echofs space --home /x share --json n"},
		{"echofs space share n --role=reader -- --odd", "echofs space share --role=reader n -- --odd"},
		{"echofs space join - --name x", "echofs space join --name x -"},
		{"echofs space create list", "echofs space create list"},
	}
	for _, tt := range tests {
		if got := strings.Join(reorder(app, strings.Fields(tt.in)), " "); got != tt.want {
			t.Errorf("%s\n got %s\nwant %s", tt.in, got, tt.want)
		}
	}
}

// TestSharePIN is at the door of an invitation with a PIN.
func TestSharePIN(t *testing.T) {
	guest := []localapi.DoorEvent{
		{Number: 1, Kind: localapi.DoorGuest, Name: evil, Identity: strings.Repeat("ab", 32), Code: "654321"},
		{Number: 2, Kind: localapi.DoorJoined, Name: "ben"},
	}
	tests := []struct {
		name, stdin string
		args        string
		events      []localapi.DoorEvent
		answers     chan bool
		code        int
		errOut      []string
		revoked     bool
	}{
		{"yes", "yes\n", "", guest[:1:2], make(chan bool, 1), 0, []string{"012 345", "654 321", "Let them in?", "ben is in notes as editor"}, false},
		{"no", "\n", "", guest[:1:2], make(chan bool, 1), exitRefused, []string{"nobody was let in"}, false},
		{"nobody there", "", "", guest[:1], nil, exitUsage, []string{"nobody at this device to say yes", "withdrawn"}, true},
		{"in advance", "", " --yes", guest[:1:2], make(chan bool, 1), 0, []string{"654 321", "ben is in notes"}, false},
		{"wrong PINs", "", "", []localapi.DoorEvent{
			{Number: 1, Kind: localapi.DoorWrong, Name: "eve", Left: 2}, {Number: 2, Kind: localapi.DoorWrong, Name: "eve", Left: 1},
			{Number: 3, Kind: localapi.DoorWrong, Name: "eve"}, {Number: 4, Kind: localapi.DoorEnded, Why: localapi.StateBurned},
		}, nil, exitRefused, []string{"tries left: 2", "tries left: 0", "wrong three times"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := &fake{events: tt.events, answers: tt.answers}
			if tt.answers != nil {
				f.events = guest
			}
			got := run(start(t, f), tt.stdin, strings.Fields("space share notes --pin"+tt.args)...)
			if got.code != tt.code || got.out != "echofs://join#abc\n" || (f.revoked != "") != tt.revoked {
				t.Errorf("%+v, revoked %q", got, f.revoked)
			}
			for _, want := range tt.errOut {
				if !strings.Contains(got.errOut, want) {
					t.Errorf("no %q in %q", want, got.errOut)
				}
			}
		})
	}
}
