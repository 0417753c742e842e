package cli

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/echofs/echofs/cmd/localapi"
)

func (c *command) haloContacts() *cli.Command {
	return c.leaf(&cli.Command{
		Name:      "contacts",
		Usage:     "list the people you share spaces with",
		UsageText: "echofs halo contacts [--json]",
		Description: `Who is in a space with you is a contact, and can be invited to another one:
echofs space share NAME --to CONTACT.

EXAMPLES
   echofs halo contacts
   echofs halo contacts --json | jq -r '.[] | select(.online).name'`,
		Flags: []cli.Flag{jsonFlag()},
		Action: func(ctx *cli.Context) error {
			client, err := c.client(ctx)
			if err != nil {
				return err
			}
			all, err := client.Contacts(ctx.Context)
			if err != nil {
				return err
			}
			if ctx.Bool("json") {
				return c.ui.json(all)
			}
			rows := make([][]string, len(all))
			for i, p := range all {
				state := "-"
				if p.Online {
					state = "connected"
				}
				rows[i] = []string{p.Name, state, hereOn(p.Here), strings.Join(p.Spaces, ", "), p.Identity[:min(16, len(p.Identity))]}
			}
			c.ui.table([]string{"NAME", "STATE", "HERE ON", "SPACES", "IDENTITY"}, rows)
			return nil
		},
	})
}

// hereOn lists the devices on which somebody is here, with what they look at.
func hereOn(all []localapi.Presence) string {
	var names []string
	for _, p := range all {
		name := p.DeviceName
		if p.File != "" {
			name += " (" + p.File + ")"
		}
		names = append(names, name)
	}
	if len(names) == 0 {
		return "-"
	}
	return strings.Join(names, ", ")
}

// maxPictureFile is how much of a picture's file is read: more than is allowed,
// so that the daemon can say how much that is.
const maxPictureFile = 32 << 10

func (c *command) haloProfile() *cli.Command {
	return c.leaf(&cli.Command{
		Name:      "profile",
		Usage:     "show or change what others see of you",
		UsageText: "echofs halo profile [--name NAME] [--picture FILE] [--share-activity on|off] [--json]",
		Description: `The name and the picture are shown to the members of all your spaces, also of
those that you make or join later. A picture is a PNG, JPEG or WebP of 16 KiB at
most; --picture "" takes it away.

With --share-activity on, the members of a space who are connected see which of
its files you look at on this device: the one opened last by a program that still
runs. It is off at first, nothing of it is stored, and it is of this device only.
Who is here, on which device and since when, they see in any case, in .space/who.

EXAMPLES
   echofs halo profile
   echofs halo profile --name "Ann Lee" --picture ann.png
   echofs halo profile --share-activity on`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "name", Usage: "others know you as `NAME`"},
			&cli.StringFlag{Name: "picture", Usage: "they see the picture in `FILE`"},
			&cli.StringFlag{Name: "share-activity", Usage: "`on|off`: whether they see which file you look at here"},
			jsonFlag(),
		},
		Action: c.runProfile,
	})
}

func (c *command) runProfile(ctx *cli.Context) error {
	client, err := c.client(ctx)
	if err != nil {
		return err
	}
	var req localapi.ProfileRequest
	if ctx.IsSet("name") {
		name := ctx.String("name")
		req.Name = &name
	}
	if ctx.IsSet("picture") {
		picture, err := readPicture(ctx, ctx.String("picture"))
		if err != nil {
			return err
		}
		req.Picture = &picture
	}
	if ctx.IsSet("share-activity") {
		share := ctx.String("share-activity")
		if share != "on" && share != "off" {
			return usage(ctx, "--share-activity %s is neither on nor off", share)
		}
		on := share == "on"
		req.ShareActivity = &on
	}
	var p localapi.Profile
	if req == (localapi.ProfileRequest{}) {
		p, err = client.Profile(ctx.Context)
	} else {
		p, err = client.SetProfile(ctx.Context, req)
	}
	if err != nil {
		return err
	}
	if ctx.Bool("json") {
		return c.ui.json(p)
	}
	picture, activity := "none", "not shared"
	if len(p.Picture) > 0 {
		picture = fmt.Sprintf("%s, %d bytes", p.PictureType, len(p.Picture))
	}
	if p.ShareActivity {
		activity = "others see which file you look at on this device"
	}
	c.ui.printf("name      %s\nidentity  %s\npicture   %s\nactivity  %s\n", clean(p.Name), p.Identity, picture, activity)
	return nil
}

func readPicture(ctx *cli.Context, path string) ([]byte, error) {
	if path == "" {
		return []byte{}, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, usage(ctx, "the picture cannot be read: %v", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxPictureFile+1))
	if err != nil {
		return nil, usage(ctx, "the picture cannot be read: %v", err)
	}
	if len(data) > maxPictureFile {
		return nil, usage(ctx, "the picture has more than %d KiB, and 16 are allowed", maxPictureFile>>10)
	}
	return data, nil
}

// anybodyLooks reports whether a table of links needs a column for it.
func anybodyLooks(links []localapi.Link) bool {
	return slices.ContainsFunc(links, func(l localapi.Link) bool { return l.File != "" })
}
