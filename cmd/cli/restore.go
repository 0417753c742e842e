package cli

import (
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/echofs/echofs/cmd/localapi"
)

func (c *command) restore() *cli.Command {
	return c.leaf(&cli.Command{
		Name:      "restore",
		Usage:     "make a file what it was",
		UsageText: "echofs restore PATH@VERSION [--json]",
		ArgsUsage: "PATH@VERSION",
		Description: `Restoring is an edit like any other: it merges with what others do at the same
time, and is a version that can be taken back. A file that was removed comes
back.

` + pathHelp + `

EXAMPLES
   echofs log notes.txt
   echofs restore notes.txt@3fa2-17`,
		Flags: []cli.Flag{jsonFlag()},
		Action: func(ctx *cli.Context) error {
			client, err := c.client(ctx)
			if err != nil {
				return err
			}
			typed, version := cutVersion(ctx.Args().First())
			if version == "" {
				return noVersion(typed)
			}
			path, err := c.inSpace(ctx, client, typed)
			if err != nil {
				return err
			}
			r, err := client.Restore(ctx.Context, localapi.RestoreRequest{Path: path, Version: version})
			if err != nil {
				return err
			}
			if ctx.Bool("json") {
				return c.ui.json(r)
			}
			c.ui.printf("%s\n", clean(r.Path))
			return nil
		},
	})
}

// noVersion is the error of a path without a version, or with something that
// looks like none.
func noVersion(typed string) error {
	path, wrong, found := strings.Cut(typed, "@")
	e := &localapi.Error{
		Code:    localapi.Usage,
		Message: typed + " names no version; write PATH@VERSION",
		Next:    "see the versions: echofs log " + shellWord(path),
	}
	if found {
		e.Message = wrong + " is not a version; one looks like 3fa2-17"
	}
	return e
}
