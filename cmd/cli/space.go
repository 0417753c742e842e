package cli

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/echofs/echofs/cmd/localapi"
)

func (c *command) space() *cli.Command {
	return c.branch(&cli.Command{
		Name:  "space",
		Usage: "make, list, share and join spaces",
		Description: `A space is one shared folder with its own list of members. It stands in the
mount under its name.`,
		Subcommands: []*cli.Command{
			c.spaceCreate(), c.spaceList(), c.spaceInfo(), c.spaceShare(),
			c.spaceJoin(), c.spaceMembers(), c.spaceRole(), c.spaceRemove(), c.spaceLeave(),
			c.spaceInvitations(), c.spaceRevoke(), c.spaceRotate(), c.spaceExport(), c.spaceFork(), c.spaceRebuild(),
		},
	})
}

func (c *command) spaceCreate() *cli.Command {
	return c.leaf(&cli.Command{
		Name:        "create",
		Usage:       "make a new space",
		UsageText:   "echofs space create NAME [--json]",
		ArgsUsage:   "NAME",
		Description: "Prints the folder of the space.\n\nEXAMPLES\n   cd \"$(echofs space create notes)\"",
		Flags:       []cli.Flag{jsonFlag()},
		Action: func(ctx *cli.Context) error {
			client, err := c.client(ctx)
			if err != nil {
				return err
			}
			s, err := client.CreateSpace(ctx.Context, ctx.Args().First())
			return c.printSpace(ctx, s, err)
		},
	})
}

// printSpace prints where a space is.
func (c *command) printSpace(ctx *cli.Context, s localapi.Space, err error) error {
	if err != nil {
		return err
	}
	c.ui.clear()
	if ctx.Bool("json") {
		return c.ui.json(s)
	}
	c.ui.printf("%s\n", clean(s.Path))
	return nil
}

func (c *command) spaceList() *cli.Command {
	return c.leaf(&cli.Command{
		Name:        "list",
		Aliases:     []string{"ls"},
		Usage:       "list the spaces of this device",
		UsageText:   "echofs space list [--json]",
		Description: "EXAMPLES\n   echofs space list --json | jq -r '.[].path'",
		Flags:       []cli.Flag{jsonFlag()},
		Action: func(ctx *cli.Context) error {
			client, err := c.client(ctx)
			if err != nil {
				return err
			}
			spaces, err := client.Spaces(ctx.Context)
			if err != nil {
				return err
			}
			if ctx.Bool("json") {
				return c.ui.json(spaces)
			}
			if len(spaces) == 0 {
				c.ui.notef("no spaces yet; make one with: echofs space create NAME\n")
				return nil
			}
			c.printSpaces(spaces)
			c.printFrozen(spaces)
			return nil
		},
	})
}

func (c *command) printSpaces(spaces []localapi.Space) {
	rows := make([][]string, len(spaces))
	for i, s := range spaces {
		if s.Error != "" {
			rows[i] = []string{s.Name, "-", "-", "-", "cannot be opened, see echofs status"}
			continue
		}
		rows[i] = []string{s.Name, s.Role, fmt.Sprint(s.Members), fmt.Sprint(s.Peers), s.Path}
	}
	c.ui.table([]string{"SPACE", "ROLE", "MEMBERS", "CONNECTED", "FOLDER"}, rows)
}

// frozenNext is what to do with a space that one does not belong to any more.
func frozenNext(name string) string {
	name = quoted(name)
	return "to take the files out: echofs space export " + name + " DIR; to drop the folder: echofs space leave " + name
}

// printFrozen tells of the spaces that one does not belong to any more.
func (c *command) printFrozen(spaces []localapi.Space) {
	for _, s := range spaces {
		if s.Frozen != "" {
			c.ui.printf("%s: %s\n  → %s\n", clean(s.Name), s.Frozen, frozenNext(s.Name))
		}
	}
}

func (c *command) spaceInfo() *cli.Command {
	return c.leaf(&cli.Command{
		Name:        "info",
		Usage:       "tell about one space",
		UsageText:   "echofs space info NAME [--json]",
		ArgsUsage:   "NAME",
		Description: "NAME is its name here or the first digits of its ID.\n\nEXAMPLES\n   echofs space info notes",
		Flags:       []cli.Flag{jsonFlag()},
		Action: func(ctx *cli.Context) error {
			client, err := c.client(ctx)
			if err != nil {
				return err
			}
			s, err := client.Space(ctx.Context, ctx.Args().First())
			if err != nil {
				return err
			}
			if ctx.Bool("json") {
				return c.ui.json(s)
			}
			c.ui.printf("%s\nid       %s\nfolder   %s\nrole     %s\nmembers  %d, connected devices %d\nlog      %s in %s\n",
				clean(s.Name), s.ID, clean(s.Path), s.Role, s.Members, s.Peers,
				plural(int(s.Entries), "entry", "entries"), plural(s.Feeds, "feed", "feeds"))
			if s.Frozen != "" {
				c.ui.printf("frozen   %s\n  → %s\n", s.Frozen, frozenNext(s.Name))
			}
			if s.Kept > 0 {
				c.ui.printf("kept     %s that are not in the space: see .space/withdrawn in it\n", plural(s.Kept, "file", "files"))
			}
			if s.Missing > 0 {
				c.ui.printf("missing  %s of files, which no connected peer has sent yet\n", plural(s.Missing, "piece", "pieces"))
			}
			return nil
		},
	})
}

func (c *command) spaceRebuild() *cli.Command {
	return c.leaf(&cli.Command{
		Name:      "rebuild",
		Usage:     "make the files of a space anew from its log",
		UsageText: "echofs space rebuild NAME [--json]",
		ArgsUsage: "NAME",
		Description: `Use it when echofs status reports a damaged store. The signed log is the truth;
everything else is dropped and made again. Files stay where they are.

EXAMPLES
   echofs space rebuild notes`,
		Flags: []cli.Flag{jsonFlag()},
		Action: func(ctx *cli.Context) error {
			client, err := c.client(ctx)
			if err != nil {
				return err
			}
			c.ui.progress("rebuilding")
			s, err := client.Rebuild(ctx.Context, ctx.Args().First())
			return c.printSpace(ctx, s, err)
		},
	})
}
