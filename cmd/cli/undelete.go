package cli

import (
	"path"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/echofs/echofs/cmd/localapi"
)

func (c *command) undelete() *cli.Command {
	return c.leaf(&cli.Command{
		Name:      "undelete",
		Usage:     "bring back what was removed",
		UsageText: "echofs undelete [PATH] [--all] [--json]",
		ArgsUsage: "[PATH]",
		Description: `Without PATH it lists what can come back, in all spaces; what is in a removed
folder only with --all. With PATH it brings back what had that name last, with
its folders, and prints where it is: beside a file that has the name now, it
gets another one. Of a folder, --all brings back everything that was ever
removed below it.

` + pathHelp + `

EXAMPLES
   echofs undelete
   echofs undelete notes.txt
   echofs undelete work/plan --all`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "all", Usage: "also what was removed below a folder"},
			jsonFlag(),
		},
		Action: c.runUndelete,
	})
}

func (c *command) runUndelete(ctx *cli.Context) error {
	client, err := c.client(ctx)
	if err != nil {
		return err
	}
	if !ctx.Args().Present() {
		return c.listRemoved(ctx, client)
	}
	name, err := c.inSpace(ctx, client, ctx.Args().First())
	if err != nil {
		return err
	}
	back, err := client.Undelete(ctx.Context, localapi.UndeleteRequest{Path: name, All: ctx.Bool("all")})
	if err != nil {
		return err
	}
	if ctx.Bool("json") {
		return c.ui.json(back)
	}
	for _, r := range back {
		c.ui.printf("%s\n", clean(r.Path))
	}
	return nil
}

func (c *command) listRemoved(ctx *cli.Context, client localapi.Client) error {
	removed, err := client.Removed(ctx.Context, "")
	if err != nil {
		return err
	}
	if ctx.Bool("json") {
		return c.ui.json(removed)
	}
	if len(removed) == 0 {
		c.ui.notef("nothing was removed\n")
		return nil
	}
	shown := removed
	if !ctx.Bool("all") {
		shown = outermost(removed)
	}
	rows := make([][]string, len(shown))
	for i, r := range shown {
		size := "folder"
		if !r.Dir {
			size = bytesOf(r.Size)
		}
		rows[i] = []string{when(r.Time), r.Name, size, r.Path}
	}
	c.ui.table([]string{"REMOVED", "BY", "SIZE", "PATH"}, rows)
	if n := len(removed) - len(shown); n > 0 {
		c.ui.notef("and %d more in these folders; list them with --all\n", n)
	}
	return nil
}

// outermost leaves out what is below a removed folder.
func outermost(removed []localapi.Removed) []localapi.Removed {
	folders := map[string]bool{}
	for _, r := range removed {
		if r.Dir {
			folders[r.Path] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(removed), func(r localapi.Removed) bool {
		for dir := path.Dir(r.Path); dir != "." && dir != "/"; dir = path.Dir(dir) {
			if folders[dir] {
				return true
			}
		}
		return false
	})
}
