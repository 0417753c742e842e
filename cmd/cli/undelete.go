package cli

import (
	"github.com/urfave/cli/v2"

	"github.com/echofs/echofs/cmd/localapi"
)

func (c *command) undelete() *cli.Command {
	return c.leaf(&cli.Command{
		Name:      "undelete",
		Usage:     "bring back what was removed",
		UsageText: "echofs undelete [PATH] [--all] [--json]",
		ArgsUsage: "[PATH]",
		Description: `Without PATH it lists what can come back, in all spaces. With one it brings back
what had that name last, with its folders, and prints where it is: beside a
file that has the name now, it gets another one. Of a folder, --all brings back
everything that was ever removed below it. ` + pathHelp + `

EXAMPLES
   echofs undelete
   echofs undelete notes.txt
   echofs undelete work/plan --all`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "all", Usage: "also what was removed below the folder"},
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
		if ctx.Bool("all") {
			return usage(ctx, "--all needs a folder")
		}
		return c.listRemoved(ctx, client)
	}
	path, err := c.inSpace(ctx, client, ctx.Args().First())
	if err != nil {
		return err
	}
	back, err := client.Undelete(ctx.Context, localapi.UndeleteRequest{Path: path, All: ctx.Bool("all")})
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
	rows := make([][]string, len(removed))
	for i, r := range removed {
		size := "folder"
		if !r.Dir {
			size = bytesOf(r.Size)
		}
		rows[i] = []string{when(r.Time), r.Name, size, r.Path}
	}
	c.ui.table([]string{"REMOVED", "BY", "SIZE", "PATH"}, rows)
	return nil
}
