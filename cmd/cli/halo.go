package cli

import (
	"context"

	"github.com/urfave/cli/v2"

	"github.com/echofs/echofs/cmd/daemon"
	"github.com/echofs/echofs/cmd/localapi"
)

func (c *command) halo() *cli.Command {
	return c.branch(&cli.Command{
		Name:  "halo",
		Usage: "you: your keys, devices and recovery words, your profile, the people you know",
		Description: `Your identity (HALO) is what others know you by. It is made on the first run of
echofs up, or with echofs halo create, and acts through your devices: each has
keys of its own, which never leave it. On disk they are encrypted.

Of all devices lost, 24 recovery words bring the identity back. They exist from
the beginning; write them down: echofs halo recovery`,
		Subcommands: []*cli.Command{
			c.haloInfo(), c.haloCreate(), c.haloShare(), c.haloLock(), c.haloUnlock(), c.haloProtect(),
			c.haloRecovery(), c.haloRecover(), c.haloDevice(), c.haloProfile(), c.haloContacts(),
		},
	})
}

func (c *command) haloInfo() *cli.Command {
	return c.leaf(&cli.Command{
		Name:      "info",
		Usage:     "show who you are and how your keys are protected",
		UsageText: "echofs halo info [--json]",
		Description: `While the keys are locked, only their protection is known.

EXAMPLES
   echofs halo info
   echofs halo info --json | jq -r .identity`,
		Flags: []cli.Flag{jsonFlag()},
		Action: func(ctx *cli.Context) error {
			client, err := c.client(ctx)
			if err != nil {
				return err
			}
			h, err := client.Halo(ctx.Context)
			return c.printHalo(ctx, h, err)
		},
	})
}

// protections explains how keys are protected.
var protections = map[string]string{
	"passphrase": "a passphrase",
	"keyring":    "the keyring of your session",
	"file":       "a file beside them: whoever can read your files can use them",
}

func (c *command) printHalo(ctx *cli.Context, h localapi.Halo, err error) error {
	if err != nil {
		return err
	}
	c.ui.clear()
	if ctx.Bool("json") {
		return c.ui.json(h)
	}
	if h.Locked {
		c.ui.printf("locked (echofs halo unlock opens it)\nprotection  %s\n", protections[h.Protection])
		return nil
	}
	c.ui.printf("%s, on %s\nidentity    %s\ndevice      %s\nprotection  %s\nrecovery    ", clean(h.Name), clean(h.DeviceName), h.Identity, h.Device, protections[h.Protection])
	switch h.Recovery {
	case localapi.KeptWords:
		c.ui.printf("nobody has written the words down yet: echofs halo recovery\n")
	case localapi.PaperWords:
		c.ui.printf("the 24 words, which are not on this device any more\n")
	default:
		c.ui.printf("none\n")
	}
	live, revoked := 0, false
	for _, d := range h.Devices {
		if !d.Revoked {
			live++
		}
		revoked = revoked || d.Self && d.Revoked
	}
	c.ui.printf("devices     %d\n", live)
	if revoked {
		c.ui.printf("This device was revoked: it keeps the files it has, and gets and sends nothing any more.\n")
	}
	return nil
}

func (c *command) haloCreate() *cli.Command {
	return c.leaf(&cli.Command{
		Name:      "create",
		Usage:     "make your identity, with choices that echofs up makes for you",
		UsageText: "echofs halo create [--name NAME] [--device NAME] [--protect HOW] [--unlock-fd FD] [--json]",
		Description: `No daemon may run for this home, and no identity be in it. Somebody who has an
identity on another device wants that one here, not a second one.

HOW the keys of this device are protected on disk:

   passphrase  encrypted under what only you know; after a restart the daemon
               waits for echofs halo unlock
   keyring     encrypted under a key that the keyring of your desktop session
               keeps, which is unlocked by your login
   file        encrypted under a key in a file beside them. Protects backups that
               leave identity/unlock.key out, not against who reads your files

Without --protect it is keyring if there is one, else file. It can be changed:
echofs halo protect.

EXAMPLES
   echofs halo create --name ann --device laptop --protect passphrase
   pass show echofs | echofs halo create --protect passphrase --unlock-fd 0`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "name", Usage: "others know you as `NAME` (default: the name of your account)"},
			&cli.StringFlag{Name: "device", Usage: "this device is called `NAME` (default: the name of the host)"},
			&cli.StringFlag{Name: "protect", Usage: "protect the keys by `HOW`: passphrase, keyring or file"},
			secretFlag("unlock-fd", "the passphrase"),
			jsonFlag(),
		},
		Action: func(ctx *cli.Context) error {
			home, err := c.home(ctx)
			if err != nil {
				return err
			}
			who := daemon.Person{Name: ctx.String("name"), Device: ctx.String("device"), Protection: ctx.String("protect")}
			if who.Protection == "passphrase" {
				if who.Passphrase, err = c.newPassphrase(ctx, "unlock-fd"); err != nil {
					return err
				}
				defer clear(who.Passphrase)
			}
			h, err := daemon.Create(daemon.Config{Home: home, Getenv: c.Getenv}, who)
			if err := c.printHalo(ctx, h, err); err != nil {
				return err
			}
			c.ui.notef("Next: echofs up, and then write your recovery words down: echofs halo recovery\n")
			return nil
		},
	})
}

func (c *command) haloLock() *cli.Command {
	return c.leaf(&cli.Command{
		Name:      "lock",
		Usage:     "unmount, disconnect and forget the keys until they are unlocked",
		UsageText: "echofs halo lock",
		Description: `What is open is committed first, as with echofs down; programs that still work
in the mount get errors. The daemon runs on and waits for echofs halo unlock.
It still serves as a signaling server for others.

Memory that held keys is given back, but neither Go nor the kernel promises that
no copy is left in it; a reboot does.

EXAMPLES
   echofs halo lock`,
		Action: func(ctx *cli.Context) error {
			client, err := c.client(ctx)
			if err != nil {
				return err
			}
			c.ui.progress("closing")
			h, err := client.LockHalo(ctx.Context)
			if err != nil {
				return err
			}
			if h.Protection != "passphrase" {
				c.ui.notef("Locked. No passphrase protects the keys, so whoever uses this account can unlock them;\nechofs halo protect passphrase changes that.\n")
			}
			c.ui.clear()
			return nil
		},
	})
}

func (c *command) haloUnlock() *cli.Command {
	return c.leaf(&cli.Command{
		Name:      "unlock",
		Usage:     "unlock the keys, mount the spaces and connect",
		UsageText: "echofs halo unlock [--unlock-fd FD]",
		Description: `Asks for the passphrase if the keys have one. After each wrong one the next takes
longer to be looked at, up to half a minute.

EXAMPLES
   echofs halo unlock
   pass show echofs | echofs halo unlock --unlock-fd 0`,
		Flags: []cli.Flag{secretFlag("unlock-fd", "the passphrase")},
		Action: func(ctx *cli.Context) error {
			client, err := c.client(ctx)
			if err != nil {
				return err
			}
			passphrase, err := c.oldPassphrase(ctx, client, true)
			if err != nil {
				return err
			}
			defer clear(passphrase)
			c.ui.progress("unlocking")
			_, err = client.UnlockHalo(ctx.Context, passphrase)
			c.ui.clear()
			return err
		},
	})
}

// oldPassphrase returns the passphrase of the keys, nil if they have none. The
// caller may need it only if they are locked.
func (c *command) oldPassphrase(ctx *cli.Context, client localapi.Client, onlyLocked bool) ([]byte, error) {
	h, err := client.Halo(ctx.Context)
	if err != nil || h.Protection != "passphrase" || onlyLocked && !h.Locked {
		return nil, err
	}
	return c.passphrase(ctx, "unlock-fd", "Passphrase: ")
}

func (c *command) haloProtect() *cli.Command {
	return c.leaf(&cli.Command{
		Name:      "protect",
		Usage:     "change the passphrase, or how the keys are protected",
		UsageText: "echofs halo protect passphrase|keyring|file [--unlock-fd FD] [--new-fd FD] [--json]",
		ArgsUsage: "HOW",
		Description: `echofs halo create --help explains the three ways. The old passphrase is asked
for if there is one, and a new one if there is to be. Old copies of the key
store, such as backups, keep the protection they had.

EXAMPLES
   echofs halo protect passphrase
   echofs halo protect keyring
   echofs halo protect passphrase --unlock-fd 3 --new-fd 4 3<old 4<new`,
		Flags: []cli.Flag{secretFlag("unlock-fd", "the old passphrase"), secretFlag("new-fd", "the new passphrase"), jsonFlag()},
		Action: func(ctx *cli.Context) error {
			client, err := c.client(ctx)
			if err != nil {
				return err
			}
			req := localapi.ProtectRequest{Protection: ctx.Args().First()}
			if protections[req.Protection] == "" {
				return usage(ctx, "%q is not one of passphrase, keyring, file", req.Protection)
			}
			if req.Old, err = c.oldPassphrase(ctx, client, false); err != nil {
				return err
			}
			defer clear(req.Old)
			if req.Protection == "passphrase" {
				if req.New, err = c.newPassphrase(ctx, "new-fd"); err != nil {
					return err
				}
				defer clear(req.New)
			}
			h, err := client.ProtectHalo(ctx.Context, req)
			return c.printHalo(ctx, h, err)
		},
	})
}

func (c *command) haloDevice() *cli.Command {
	branch := c.branch(&cli.Command{
		Name:        "device",
		Usage:       "add, list, name and revoke your devices",
		Description: "A device is named by its name or the first digits of its key.",
		Subcommands: []*cli.Command{c.deviceInvite(), c.deviceJoin(), c.deviceList(), c.deviceRename(), c.deviceRevoke()},
	})
	branch.UsageText = "echofs halo device COMMAND [ARGUMENTS]"
	return branch
}

func (c *command) deviceList() *cli.Command {
	return c.leaf(&cli.Command{
		Name:      "list",
		Aliases:   []string{"ls"},
		Usage:     "list your devices",
		UsageText: "echofs halo device list [--json]",
		Description: `Those that were revoked come last.

EXAMPLES
   echofs halo device list
   echofs halo device list --json | jq -r '.[] | select(.self).key'`,
		Flags: []cli.Flag{jsonFlag()},
		Action: func(ctx *cli.Context) error {
			client, err := c.client(ctx)
			if err != nil {
				return err
			}
			h, err := client.Halo(ctx.Context)
			if err == nil && h.Locked {
				err = &localapi.Error{Code: localapi.Locked, Message: "your keys are locked", Next: "unlock them: echofs halo unlock"}
			}
			return c.printDevices(ctx, h, err)
		},
	})
}

func (c *command) printDevices(ctx *cli.Context, h localapi.Halo, err error) error {
	if err != nil {
		return err
	}
	if ctx.Bool("json") {
		return c.ui.json(h.Devices)
	}
	rows := make([][]string, len(h.Devices))
	for i, d := range h.Devices {
		state := "-"
		switch {
		case d.Revoked:
			state = "revoked"
		case d.Self:
			state = "this device"
		case d.Online:
			state = "online"
		}
		rows[i] = []string{d.Name, state, d.Key[:min(16, len(d.Key))]}
	}
	c.ui.table([]string{"DEVICE", "STATE", "KEY"}, rows)
	return nil
}

func (c *command) deviceRename() *cli.Command {
	return c.leaf(&cli.Command{
		Name:      "rename",
		Usage:     "give one of your devices another name",
		UsageText: "echofs halo device rename DEVICE NAME [--json]",
		ArgsUsage: "DEVICE NAME",
		Description: `EXAMPLES
   echofs halo device rename vm-0017 "the old laptop"`,
		Flags: []cli.Flag{jsonFlag()},
		Action: func(ctx *cli.Context) error {
			client, err := c.client(ctx)
			if err != nil {
				return err
			}
			h, err := client.RenameDevice(ctx.Context, localapi.RenameRequest{Device: ctx.Args().Get(0), Name: ctx.Args().Get(1)})
			return c.printDevices(ctx, h, err)
		},
	})
}

// offerDevices completes the name of a device.
func (c *command) offerDevices(ctx context.Context, home string) {
	client, err := c.clientAt(home)
	if err != nil {
		return
	}
	h, err := client.Halo(ctx)
	if err != nil {
		return
	}
	for _, d := range h.Devices {
		if !d.Revoked {
			c.offer(d.Name)
		}
	}
}
