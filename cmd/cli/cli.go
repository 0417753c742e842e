// Package cli is the command line of echofs: one file per group of verbs, each
// a thin layer over package localapi, except `up`, which is the daemon.
//
// Run has no state of its own. Everything it touches (arguments, terminal,
// environment) comes in Env, so that tests run commands as functions.
package cli

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"

	"github.com/urfave/cli/v2"

	"github.com/echofs/echofs/cmd/daemon"
	"github.com/echofs/echofs/cmd/localapi"
)

// Env is what a command sees of the world.
type Env struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Getenv         func(string) string
	Helper         []string // see daemon.Config
}

// The exit codes, as `echofs help` explains them.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitNotRunning  = 3
	exitNotFound    = 4
	exitBusy        = 5
	exitRefused     = 6
	exitUnreachable = 7
	exitLocked      = 8
)

const exitCodes = `   0  it worked
   1  it failed; the message says why
   2  the command makes no sense as it was typed
   3  no daemon is running for this home
   4  there is no space, app, file or version of that name
   5  something is taken: the home, the port, the mount point, the name
   6  refused: the invitation is used, expired or damaged, or your role does not allow it
   7  no peer answered in time
   8  your keys are locked: echofs halo unlock`

// Run executes one command and returns its exit code. args includes the name
// of the program.
func Run(ctx context.Context, env Env, args []string) int {
	c := &command{Env: env, ui: newUI(env)}
	app := c.app()
	if n := len(args) - 1; n > 0 && args[n] == completionArg {
		c.complete(ctx, app, args[:n])
		return exitOK
	}
	err := app.RunContext(ctx, reorder(app, help(app, args)))
	if err == nil {
		return exitOK
	}
	e := localapi.AsError(err)
	if errors.Is(err, context.Canceled) {
		e = &localapi.Error{Message: "interrupted"}
	}
	c.ui.failure(e)
	return exitCode(e.Code)
}

func exitCode(code localapi.Code) int {
	switch code {
	case localapi.Usage, localapi.NeedsPIN:
		return exitUsage
	case localapi.NotRunning:
		return exitNotRunning
	case localapi.NotFound:
		return exitNotFound
	case localapi.Busy:
		return exitBusy
	case localapi.Refused, localapi.WrongPIN:
		return exitRefused
	case localapi.Unreachable:
		return exitUnreachable
	case localapi.Locked:
		return exitLocked
	default:
		return exitFailed
	}
}

// A command is one run of the program.
type command struct {
	Env
	ui    *ui
	input *bufio.Reader // of Stdin; see line
}

func (c *command) app() *cli.App {
	return &cli.App{
		Name:      "echofs",
		Usage:     "shared folders that merge",
		UsageText: "echofs [--home DIR] COMMAND [ARGUMENTS]",
		Description: `A daemon (echofs up) mounts your spaces as folders and keeps them in step with
the other devices in them, directly and encrypted. All other commands talk to
the daemon. Start with:

   echofs up                    in one terminal; it stays in the foreground
   echofs space create notes    in another
   echofs space share notes     prints an invitation for somebody else`,
		Version:                Version(),
		HideVersion:            true,
		HideHelpCommand:        true, // see help
		Writer:                 c.Stdout,
		ErrWriter:              c.Stderr,
		Reader:                 c.Stdin,
		Suggest:                false,
		UseShortOptionHandling: false,
		CustomAppHelpTemplate:  appHelp,
		ExitErrHandler:         func(*cli.Context, error) {}, // Run prints errors
		OnUsageError:           usageError,
		Flags:                  []cli.Flag{homeFlag()},
		Action:                 c.group,
		Commands: []*cli.Command{
			c.up(), c.down(), c.status(), c.online(), c.offline(),
			c.space(), c.halo(), c.appCommands(),
			c.log(), c.diff(), c.restore(), c.undelete(),
			c.completion(), c.version(),
		},
	}
}

func homeFlag() cli.Flag {
	return &cli.StringFlag{Name: "home", Usage: "use the daemon whose home is `DIR`"}
}

func jsonFlag() cli.Flag {
	return &cli.BoolFlag{Name: "json", Usage: "print JSON, for programs"}
}

// home is the folder of the daemon that a command means.
func (c *command) home(ctx *cli.Context) (string, error) {
	for _, scope := range ctx.Lineage() {
		if dir := scope.String("home"); dir != "" {
			return c.homeAt(dir)
		}
	}
	return c.homeAt("")
}

// homeAt is the folder that --home dir means; it may be empty.
func (c *command) homeAt(dir string) (string, error) {
	if dir == "" {
		dir = c.Getenv("ECHOFS_HOME")
	}
	if dir == "" {
		return c.usualHome()
	}
	return filepath.Abs(dir)
}

// usualHome is the folder of the daemon that is meant when nothing else is said.
func (c *command) usualHome() (string, error) {
	if data := c.Getenv("XDG_DATA_HOME"); filepath.IsAbs(data) {
		return filepath.Abs(filepath.Join(data, "echofs"))
	}
	if home := c.Getenv("HOME"); home != "" {
		return filepath.Abs(filepath.Join(home, ".local", "share", "echofs"))
	}
	return "", &localapi.Error{
		Code:    localapi.Usage,
		Message: "there is no home folder to keep things in",
		Next:    "choose one with --home DIR or ECHOFS_HOME",
	}
}

// client is the connection to the daemon that a command means.
func (c *command) client(ctx *cli.Context) (localapi.Client, error) {
	home, err := c.home(ctx)
	return c.clientOf(home), err
}

// clientAt is the connection to the daemon that --home dir means.
func (c *command) clientAt(dir string) (localapi.Client, error) {
	home, err := c.homeAt(dir)
	return c.clientOf(home), err
}

// clientOf is the connection to the daemon of a home.
func (c *command) clientOf(home string) localapi.Client {
	client := localapi.Client{Home: home}
	if usual, err := c.usualHome(); err != nil || usual != home {
		client.Up = "echofs --home " + shellWord(home) + " up"
	}
	return client
}

// Version is the version of this build: a release's tag, or the commit.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return "devel-" + s.Value[:12]
		}
	}
	return "devel"
}

// Main runs the program for a person or a script and returns its exit code.
func Main(ctx context.Context) int {
	if daemon.IsHelper(os.Args) {
		return daemon.Helper(os.Stdin, os.Stdout)
	}
	return Run(ctx, Env{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv, Helper: daemon.HelperCommand()}, os.Args)
}
