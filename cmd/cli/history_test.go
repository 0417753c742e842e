package cli

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/echofs/echofs/cmd/localapi"
)

func (f *fake) Log(_ context.Context, path string) ([]localapi.Version, error) {
	return []localapi.Version{{ID: "ab12-3", Change: "renamed", Was: "notes/old", Path: path, Name: evil, Time: time.Unix(1e9, 0), Size: 2048, Data: true}}, nil
}

func (f *fake) Diff(_ context.Context, req localapi.DiffRequest) (localapi.Diff, error) {
	if req.From == "ff-1" {
		return localapi.Diff{Binary: true}, nil
	}
	return localapi.Diff{Text: "--- " + req.Path + "\n+" + req.From + ".." + req.To + "\n"}, nil
}

func (f *fake) Restore(_ context.Context, req localapi.RestoreRequest) (localapi.Restored, error) {
	return localapi.Restored{Path: "/mnt/" + req.Path + " is " + req.Version}, nil
}

func (f *fake) Removed(_ context.Context, path string) ([]localapi.Removed, error) {
	return []localapi.Removed{{Path: "notes/gone" + path, Name: evil, Size: 5}, {Path: "notes/dir", Dir: true}, {Path: "notes/dir/in/it"}}, nil
}

func (f *fake) Undelete(_ context.Context, req localapi.UndeleteRequest) ([]localapi.Restored, error) {
	if req.All {
		return []localapi.Restored{{Path: "/mnt/" + req.Path}, {Path: "/mnt/" + req.Path + "/more"}}, nil
	}
	return []localapi.Restored{{Path: "/mnt/" + req.Path}}, nil
}

func TestHistoryCommands(t *testing.T) {
	home := start(t, &fake{})
	tests := []struct {
		args   string
		code   int
		out    string
		errOut string
	}{
		{args: "log /mnt/notes/a.txt", out: "ab12-3   2001-09-0"},
		{args: "log notes/a.txt", out: "2.0 KiB  renamed from notes/old  notes/a.txt"},
		{args: "log /mnt/notes/../notes/b@c --json", out: `"path": "notes/b@c"`},
		{args: "log /etc/passwd", code: exitUsage, errOut: "not in the mount at /mnt"},
		{args: "log ../x", code: exitUsage, errOut: "not in the mount"},
		{args: "log", code: exitUsage, errOut: "one argument, PATH"},
		{args: "diff notes/a.txt", out: "--- notes/a.txt\n+..\n"},
		{args: "diff notes/a.txt@ab12-3", out: "+ab12-3..\n"},
		{args: "diff notes/a.txt@ab12-3 cd-4", out: "+ab12-3..cd-4\n"},
		{args: "diff notes/a.txt@ff-1", errOut: "are not text"},
		{args: "diff notes/a.txt b c", code: exitUsage, errOut: "2 arguments"},
		{args: "restore notes/a@b.txt@ab12-3", out: "/mnt/notes/a@b.txt is ab12-3\n"},
		{args: "restore notes/a.txt", code: exitUsage, errOut: "PATH@VERSION"},
		{args: "undelete", out: "folder  notes/dir"},
		{args: "undelete --json", out: `"path": "notes/gone"`},
		{args: "undelete", errOut: "and 1 more in these folders"},
		{args: "undelete --all", out: "notes/dir/in/it"},
		{args: "undelete notes/gone", out: "/mnt/notes/gone\n"},
		{args: "undelete notes/gone --all", out: "/mnt/notes/gone/more\n"},
		{args: "help undelete", out: "--all"},
		{args: "help restore", out: "EXAMPLES"},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			got := run(home, "", strings.Fields(tt.args)...)
			if got.code != tt.code || !strings.Contains(got.out, tt.out) || !strings.Contains(got.errOut, tt.errOut) {
				t.Errorf("code %d (want %d)\nstdout %q (want %q)\nstderr %q (want %q)",
					got.code, tt.code, got.out, tt.out, got.errOut, tt.errOut)
			}
			if !strings.Contains(tt.args, "--json") && strings.ContainsAny(got.out, "\x1b\u202e") {
				t.Errorf("a peer's name reaches the terminal: %q", got.out)
			}
		})
	}
}
