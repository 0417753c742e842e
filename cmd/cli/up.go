package cli

import (
	"context"
	"fmt"
	"log/slog"
	"os/signal"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/echofs/echofs/cmd/daemon"
	"github.com/echofs/echofs/cmd/localapi"
)

// stopTime is how long stopping may take before a signal ends it by force.
const stopTime = 20 * time.Second

func (c *command) up() *cli.Command {
	return c.leaf(&cli.Command{
		Name:      "up",
		Usage:     "start the daemon: mount the spaces and connect",
		UsageText: "echofs up [--mount DIR] [--name NAME] [--http ADDR] [--signal URL ...] [--unlock-fd FD]",
		Description: `Runs in the foreground until Ctrl-C, SIGTERM or echofs down; then it commits
what is open, unmounts and exits with 0. Prints one line when it is ready; log
lines go to stderr. The first run makes your identity (echofs halo --help).

If a passphrase protects your keys it is asked for on a terminal; without one, and
without --unlock-fd, the daemon starts locked and waits for echofs halo unlock.

What --mount, --http and --signal said last time is remembered, so the next
plain "echofs up" does the same. After a crash just run it again: a mount that
was left behind is taken away first, and nothing acknowledged is lost.

Every daemon is also a signaling server, through which invited devices find it.
On other machines they can reach it only if it listens there, for example
--http 0.0.0.0:4480 --signal http://192.168.1.5:4480.

EXAMPLES
   echofs up
   echofs up --mount /mnt/shared --name ann
   echofs --home /tmp/second up --mount /tmp/second-mnt --http 127.0.0.1:0`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "mount", Usage: "mount the spaces at `DIR`, an empty folder (default: ~/echofs, made if missing)"},
			&cli.StringFlag{Name: "name", Usage: "others know you as `NAME` (default: the name of your account; only on the first run)"},
			&cli.StringFlag{Name: "http", Usage: "serve apps and signaling at `ADDR`; port 0 picks one (default: " + daemon.DefaultHTTP + ")"},
			&cli.StringSliceFlag{Name: "signal", Usage: "also find peers through the signaling server at `URL`; may be repeated"},
			secretFlag("unlock-fd", "the passphrase of your keys"),
			&cli.StringFlag{Name: "log", Value: "warn", Usage: "log at `LEVEL`: debug, info, warn or error"},
			&cli.BoolFlag{Name: "json", Usage: "print the ready line as JSON"},
		},
		Action: c.runUp,
	})
}

func (c *command) runUp(ctx *cli.Context) error {
	home, err := c.home(ctx)
	if err != nil {
		return err
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(ctx.String("log"))); err != nil {
		return usage(ctx, "--log %s is not one of debug, info, warn, error", ctx.String("log"))
	}
	run, stop := signal.NotifyContext(ctx.Context, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	// More signals while it stops change nothing (a terminal and a script may both
	// send one), unless stopping hangs: then the next one ends the process.
	context.AfterFunc(run, func() { time.AfterFunc(stopTime, stop) })
	cfg := daemon.Config{
		Home:    home,
		Mount:   ctx.String("mount"),
		Name:    ctx.String("name"),
		HTTP:    ctx.String("http"),
		Signal:  ctx.StringSlice("signal"),
		Version: Version(),
		Log:     slog.New(slog.NewTextHandler(c.Stderr, &slog.HandlerOptions{Level: level})),
		Getenv:  c.Getenv,
		Helper:  c.Helper,
	}
	cfg.Passphrase = c.askAtStart(ctx)
	return daemon.Run(run, cfg, func(s localapi.Status) {
		if ctx.Bool("json") {
			_ = c.ui.json(s) // a closed stdout is no reason to stop
			return
		}
		if s.Locked {
			c.ui.printf("ready: locked, apps and signaling at http://%s; echofs halo unlock mounts your spaces at %s; stop with Ctrl-C\n", s.HTTP, clean(s.Mount))
			return
		}
		c.ui.printf("ready: %s at %s, apps and signaling at http://%s, %s; stop with Ctrl-C\n",
			clean(s.Name), clean(s.Mount), s.HTTP, plural(len(s.Spaces), "space", "spaces"))
	})
}

// askAtStart is how the passphrase is asked for; nil if nobody can say it.
func (c *command) askAtStart(ctx *cli.Context) func(context.Context, int) ([]byte, error) {
	if ctx.IsSet("unlock-fd") {
		return func(_ context.Context, try int) ([]byte, error) {
			if try > 1 {
				return nil, &localapi.Error{Code: localapi.Refused, Message: "what --unlock-fd gave is not the passphrase"}
			}
			return c.passphrase(ctx, "unlock-fd", "")
		}
	}
	if !terminal(c.Stdin) {
		return nil
	}
	return func(_ context.Context, try int) ([]byte, error) {
		if try > 1 {
			c.ui.notef("That is not the passphrase.\n")
		}
		passphrase, err := c.typed("Passphrase (Enter alone starts locked): ")
		if len(passphrase) == 0 {
			return nil, err
		}
		return passphrase, err
	}
}

func (c *command) down() *cli.Command {
	return c.leaf(&cli.Command{
		Name:      "down",
		Usage:     "stop the daemon",
		UsageText: "echofs down",
		Description: `Commits what is open, unmounts, and returns when the daemon is gone.

EXAMPLES
   echofs down
   echofs --home /tmp/second down`,
		Action: func(ctx *cli.Context) error {
			client, err := c.client(ctx)
			if err != nil {
				return err
			}
			if err := client.Down(ctx.Context); err != nil {
				return err
			}
			wait, cancel := context.WithTimeout(ctx.Context, time.Minute)
			defer cancel()
			c.ui.progress("stopping")
			if err := daemon.WaitStopped(wait, client.Home); err != nil {
				return &localapi.Error{
					Code:    localapi.Failed,
					Message: "the daemon was asked to stop and still runs after a minute",
					Next:    "close the programs that use the mount; see what it does with: echofs status",
					Err:     err,
				}
			}
			c.ui.clear()
			return nil
		},
	})
}

func (c *command) version() *cli.Command {
	return c.leaf(&cli.Command{
		Name:        "version",
		Usage:       "print the version of this program and of the daemon",
		UsageText:   "echofs version [--json]",
		Description: "EXAMPLES\n   echofs version --json",
		Flags:       []cli.Flag{jsonFlag()},
		Action: func(ctx *cli.Context) error {
			v := struct {
				Version string `json:"version"`
				Daemon  string `json:"daemon,omitempty"` // empty: none is running
			}{Version: Version()}
			if client, err := c.client(ctx); err == nil {
				if s, err := client.Status(ctx.Context); err == nil {
					v.Daemon = s.Version
				}
			}
			if ctx.Bool("json") {
				return c.ui.json(v)
			}
			c.ui.printf("echofs %s\n", v.Version)
			if v.Daemon != "" && v.Daemon != v.Version {
				c.ui.notef("the daemon is %s; restart it: %s\n", v.Daemon, fmt.Sprintf("%s down, %s up", ctx.App.Name, ctx.App.Name))
			}
			return nil
		},
	})
}
