package cli

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/echofs/echofs/cmd/localapi"
)

const memberHelp = `MEMBER is a name, if only one member has it, or the first digits of an identity.`

func (c *command) spaceMembers() *cli.Command {
	return c.leaf(&cli.Command{
		Name:        "members",
		Usage:       "list who is in a space",
		UsageText:   "echofs space members NAME [--json]",
		ArgsUsage:   "NAME",
		Description: "EXAMPLES\n   echofs space members notes",
		Flags:       []cli.Flag{jsonFlag()},
		Action: func(ctx *cli.Context) error {
			client, err := c.client(ctx)
			if err != nil {
				return err
			}
			members, err := client.Members(ctx.Context, ctx.Args().First())
			if err != nil {
				return err
			}
			if ctx.Bool("json") {
				return c.ui.json(members)
			}
			rows, among := make([][]string, len(members)), false
			for i, m := range members {
				state := "-"
				switch {
				case m.Self:
					state, among = "you", true
				case m.Online:
					state = "connected"
				}
				rows[i] = []string{m.Name, m.Role, state, fmt.Sprint(len(m.Devices)), hereOn(m.Here), m.Identity[:min(16, len(m.Identity))]}
			}
			c.ui.table([]string{"NAME", "ROLE", "STATE", "DEVICES", "HERE ON", "IDENTITY"}, rows)
			if !among {
				c.ui.notef("You are not among them any more: echofs space info %s\n", quoted(ctx.Args().First()))
			}
			return nil
		},
	})
}

func (c *command) spaceRole() *cli.Command {
	return c.leaf(&cli.Command{
		Name:      "role",
		Usage:     "change what a member may do",
		UsageText: "echofs space role NAME MEMBER reader|editor|admin [--json]",
		ArgsUsage: "NAME MEMBER ROLE",
		Description: `A reader sees everything, an editor changes files, an admin also invites,
removes and changes roles. An admin can lower those who were admitted or
promoted after them, or by them, never those who are senior.

` + memberHelp + `

EXAMPLES
   echofs space role notes ben admin
   echofs space role notes 3fa2c1 reader`,
		Flags: []cli.Flag{jsonFlag()},
		Action: func(ctx *cli.Context) error {
			client, err := c.client(ctx)
			if err != nil {
				return err
			}
			role := ctx.Args().Get(2)
			if role == "none" {
				return usage(ctx, "to take every role away: echofs space remove %s %s", ctx.Args().Get(0), ctx.Args().Get(1))
			}
			if !isRole(role) {
				return usage(ctx, "%s is not one of reader, editor, admin", role)
			}
			m, err := client.SetRole(ctx.Context, localapi.MemberRequest{Space: ctx.Args().Get(0), Member: ctx.Args().Get(1), Role: role})
			if err != nil {
				return err
			}
			if ctx.Bool("json") {
				return c.ui.json(m)
			}
			c.ui.notef("%s is %s in %s now\n", clean(m.Name), m.Role, clean(ctx.Args().Get(0)))
			return nil
		},
	})
}

func isRole(s string) bool { return s == "reader" || s == "editor" || s == "admin" }

func (c *command) spaceRemove() *cli.Command {
	return c.leaf(&cli.Command{
		Name:      "remove",
		Usage:     "take somebody out of a space",
		UsageText: "echofs space remove NAME MEMBER [--yes] [--json]",
		ArgsUsage: "NAME MEMBER",
		Description: `They get nothing new from then on and cannot change anything, and the space
gets a new key. What they have stays with them: their devices keep the files as
they were when they last heard from somebody. What they wrote stays in the space.

` + memberHelp + `

EXAMPLES
   echofs space remove notes ben`,
		Flags:  []cli.Flag{yesFlag(), jsonFlag()},
		Action: c.runRemove,
	})
}

func (c *command) runRemove(ctx *cli.Context) error {
	client, err := c.client(ctx)
	if err != nil {
		return err
	}
	space, who := ctx.Args().Get(0), ctx.Args().Get(1)
	if err := c.confirm(ctx, fmt.Sprintf("Remove %s from %s? They keep the files that have reached them, and get nothing new.", clean(who), clean(space))); err != nil {
		return err
	}
	m, err := client.Remove(ctx.Context, localapi.MemberRequest{Space: space, Member: who})
	if err != nil {
		return err
	}
	if ctx.Bool("json") {
		return c.ui.json(m)
	}
	c.ui.notef("%s is not in %s any more. Their %s a copy of what had reached them, which nobody can take\nback; what changes from now on does not reach them. What they wrote stays.\n",
		clean(m.Name), clean(space), keep(len(m.Devices)))
	return nil
}

func keep(devices int) string {
	if devices == 1 {
		return "device keeps"
	}
	return fmt.Sprintf("%d devices keep", devices)
}

func (c *command) spaceLeave() *cli.Command {
	return c.leaf(&cli.Command{
		Name:      "leave",
		Usage:     "go out of a space",
		UsageText: "echofs space leave NAME [--yes] [--force] [--json]",
		ArgsUsage: "NAME",
		Description: `The folder goes away from all your devices, and you need a new invitation to
come back. What you wrote stays with the others; let the last changes reach one
of them before. To keep the files: echofs space export NAME DIR.

EXAMPLES
   echofs space export notes ~/notes-copy && echofs space leave notes`,
		Flags: []cli.Flag{
			yesFlag(),
			&cli.BoolFlag{Name: "force", Usage: "also as the only admin, after whom nobody can invite or remove anybody"},
			jsonFlag(),
		},
		Action: func(ctx *cli.Context) error {
			client, err := c.client(ctx)
			if err != nil {
				return err
			}
			name := ctx.Args().First()
			if err := c.confirm(ctx, fmt.Sprintf("Leave %s? Its folder goes away from this device.", clean(name))); err != nil {
				return err
			}
			s, err := client.Leave(ctx.Context, localapi.LeaveRequest{Space: name, Force: ctx.Bool("force")})
			if err != nil {
				return err
			}
			if ctx.Bool("json") {
				return c.ui.json(s)
			}
			c.ui.notef("you are not in %s any more\n", clean(s.Name))
			if s.Frozen == "" && s.Peers == 0 && s.Members > 1 {
				c.ui.notef("Nobody else of it is connected. They hear of it when this device meets one of them;\nthe daemon tries for a week.\n")
			}
			return nil
		},
	})
}

func (c *command) spaceRotate() *cli.Command {
	return c.leaf(&cli.Command{
		Name:      "rotate",
		Usage:     "give a space a new key",
		UsageText: "echofs space rotate NAME [--json]",
		ArgsUsage: "NAME",
		Description: `What is written from then on is under a key that only the present members get.
It happens by itself when somebody is removed or a device is revoked; do it when
you fear that somebody has the key who should not, such as a lost backup.

EXAMPLES
   echofs space rotate notes`,
		Flags: []cli.Flag{jsonFlag()},
		Action: func(ctx *cli.Context) error {
			client, err := c.client(ctx)
			if err != nil {
				return err
			}
			s, err := client.Rotate(ctx.Context, ctx.Args().First())
			if err != nil {
				return err
			}
			if ctx.Bool("json") {
				return c.ui.json(s)
			}
			c.ui.notef("%s has a new key; the members' devices get it when they are online\n", clean(s.Name))
			return nil
		},
	})
}
