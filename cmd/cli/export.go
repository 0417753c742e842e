package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/echofs/echofs/cmd/localapi"
)

func (c *command) spaceExport() *cli.Command {
	return c.leaf(&cli.Command{
		Name:      "export",
		Usage:     "copy the files of a space to an ordinary folder",
		UsageText: "echofs space export NAME DIR [--log]",
		ArgsUsage: "NAME DIR",
		Description: `DIR must be empty or missing. Files that are not all here yet are left out and
named; then the exit code is 1.

With --log there is also DIR/.space/log: the signed log of the space, all that its
members have stated and written, as it travels. It shows who has changed what
when, to programs that know its format (docs/formats.md). What was written in it
is encrypted, and the key is not in it.

EXAMPLES
   echofs space export notes ~/notes-copy
   echofs space export notes ~/notes-copy --log`,
		Flags: []cli.Flag{&cli.BoolFlag{Name: "log", Usage: "also write the signed log"}},
		Action: func(ctx *cli.Context) error {
			client, err := c.client(ctx)
			if err != nil {
				return err
			}
			s, err := client.Space(ctx.Context, ctx.Args().First())
			if err != nil {
				return err
			}
			dir := ctx.Args().Get(1)
			if err := emptyFolder(dir); err != nil {
				return err
			}
			err = c.copyTree(ctx, s.Path, dir, "Try again when a device that has them is online.")
			if ctx.Bool("log") {
				err = errors.Join(err, c.exportLog(ctx, client, s.Name, dir))
			}
			return err
		},
	})
}

// emptyFolder makes dir, or makes sure that nothing is in it.
func emptyFolder(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		err = os.MkdirAll(dir, 0o755)
	}
	if err == nil && len(entries) > 0 {
		return &localapi.Error{Code: localapi.Busy, Message: dir + " is not empty", Next: "choose another folder; it is made if it is missing"}
	}
	return err
}

// copyTree copies a folder and reports what was left out.
func (c *command) copyTree(ctx *cli.Context, src, dst, next string) error {
	if _, err := os.Stat(src); err != nil {
		return &localapi.Error{Code: localapi.Failed, Message: err.Error(), Next: "run it on the machine and as the user of the daemon, which has its mount there", Err: err}
	}
	if abs, err := filepath.Abs(dst); err == nil && (abs == src || strings.HasPrefix(abs, src+"/")) {
		return usage(ctx, "%s is in the space itself", dst)
	}
	copying := &copier{progress: c.ui.progress}
	err := copying.copy(ctx.Context, src, dst)
	c.ui.clear()
	if err != nil {
		return &localapi.Error{Code: localapi.Failed, Message: fmt.Sprintf("stopped after %s: %v", plural(copying.files, "file", "files"), err), Next: "what is in " + dst + " is not complete; make room there and copy again", Err: err}
	}
	if n := len(copying.failed); n > 0 {
		shown := copying.failed[:min(n, 10)]
		return &localapi.Error{
			Code: localapi.Failed,
			Message: fmt.Sprintf("%s copied, and %d could not be read (%v): %s",
				plural(copying.files, "file was", "files were"), n, copying.first, strings.Join(shown, ", ")),
			Next: next,
		}
	}
	c.ui.notef("%s copied\n", plural(copying.files, "file was", "files were"))
	c.ui.printf("%s\n", clean(dst))
	return nil
}

func (c *command) spaceFork() *cli.Command {
	return c.leaf(&cli.Command{
		Name:      "fork",
		Usage:     "make a new space of yours with the files of another",
		UsageText: "echofs space fork NAME NEWNAME",
		ArgsUsage: "NAME NEWNAME",
		Description: `The new space has the files as they are now, and you as its only member and
founder. History and members are not taken along, and nobody is told.

EXAMPLES
   echofs space fork notes my-notes`,
		Action: func(ctx *cli.Context) error {
			client, err := c.client(ctx)
			if err != nil {
				return err
			}
			from, err := client.Space(ctx.Context, ctx.Args().First())
			if err != nil {
				return err
			}
			to, err := client.CreateSpace(ctx.Context, ctx.Args().Get(1))
			if err != nil {
				return err
			}
			return c.copyTree(ctx, from.Path, to.Path, "They are missing in "+to.Name+"; copy them when a device that has them is online.")
		},
	})
}
