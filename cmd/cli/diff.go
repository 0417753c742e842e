package cli

import (
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/echofs/echofs/cmd/localapi"
)

func (c *command) diff() *cli.Command {
	return c.leaf(&cli.Command{
		Name:      "diff",
		Usage:     "show what changed in a file",
		UsageText: "echofs diff PATH[@VERSION] [VERSION] [--json]",
		ArgsUsage: "PATH[@VERSION] [VERSION]",
		Description: `Prints a unified diff: of the last change, from VERSION to now, or between two
versions.

` + pathHelp + `

EXAMPLES
   echofs diff notes.txt
   echofs diff notes.txt@3fa2-17
   echofs diff notes.txt@3fa2-17 3fa2-20 | patch -R other.txt`,
		Flags: []cli.Flag{jsonFlag()},
		Action: func(ctx *cli.Context) error {
			client, err := c.client(ctx)
			if err != nil {
				return err
			}
			typed, from := cutVersion(ctx.Args().First())
			path, err := c.inSpace(ctx, client, typed)
			if err != nil {
				return err
			}
			to := strings.TrimPrefix(ctx.Args().Get(1), "@")
			d, err := client.Diff(ctx.Context, localapi.DiffRequest{Path: path, From: from, To: to})
			if err != nil {
				return err
			}
			switch {
			case ctx.Bool("json"):
				return c.ui.json(d)
			case d.Binary:
				c.ui.notef("the versions of %s differ and are not text\n", clean(path))
			default:
				c.ui.printDiff(d.Text)
			}
			return nil
		},
	})
}

// printDiff prints a diff: as it is into a pipe, and on a terminal in colour
// and so that nothing in it moves the cursor.
func (u *ui) printDiff(text string) {
	if !terminal(u.out) {
		u.printf("%s", text)
		return
	}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		colour := ""
		switch {
		case !u.bold:
		case strings.HasPrefix(line, "---"), strings.HasPrefix(line, "+++"):
			colour = "\x1b[1m"
		case strings.HasPrefix(line, "@@"):
			colour = "\x1b[36m"
		case strings.HasPrefix(line, "-"):
			colour = "\x1b[31m"
		case strings.HasPrefix(line, "+"):
			colour = "\x1b[32m"
		}
		shown := strings.ReplaceAll(clean(strings.ReplaceAll(line, "\t", "    ")), `\\`, `\`)
		if colour != "" {
			shown = colour + shown + "\x1b[0m"
		}
		u.printf("%s\n", shown)
	}
}
