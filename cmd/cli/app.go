package cli

import (
	"context"
	"os/exec"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/echofs/echofs/cmd/localapi"
)

func (c *command) appCommands() *cli.Command {
	return c.branch(&cli.Command{
		Name:  "app",
		Usage: "list and open the web apps in your spaces",
		Description: `A folder with an index.html under apps/ of a space is an app. Installing one is
copying its folder; the next request serves what is there.`,
		Subcommands: []*cli.Command{c.appList(), c.appOpen()},
	})
}

func (c *command) appList() *cli.Command {
	return c.leaf(&cli.Command{
		Name:        "list",
		Aliases:     []string{"ls"},
		Usage:       "list the web apps in your spaces",
		UsageText:   "echofs app list [--json]",
		Description: "EXAMPLES\n   echofs app list --json | jq -r '.[].url'",
		Flags:       []cli.Flag{jsonFlag()},
		Action: func(ctx *cli.Context) error {
			client, err := c.client(ctx)
			if err != nil {
				return err
			}
			apps, err := client.Apps(ctx.Context)
			if err != nil {
				return err
			}
			if ctx.Bool("json") {
				return c.ui.json(apps)
			}
			if len(apps) == 0 {
				c.ui.notef("no apps yet; copy a folder with an index.html into SPACE/apps/\n")
				return nil
			}
			rows := make([][]string, len(apps))
			for i, a := range apps {
				rows[i] = []string{a.Name, a.Space, a.URL}
			}
			c.ui.table([]string{"APP", "SPACE", "URL"}, rows)
			return nil
		},
	})
}

func (c *command) appOpen() *cli.Command {
	return c.leaf(&cli.Command{
		Name:      "open",
		Usage:     "open a web app in the browser",
		UsageText: "echofs app open NAME [--space SPACE] [--print]",
		ArgsUsage: "NAME",
		Description: `Prints the URL and opens it when there is a browser. NAME may be APP or
SPACE/APP.

EXAMPLES
   echofs app open board
   firefox "$(echofs app open notes/board --print)"`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "space", Usage: "the app of that name in `SPACE`"},
			&cli.BoolFlag{Name: "print", Usage: "only print the URL"},
		},
		Action: c.runAppOpen,
	})
}

func (c *command) runAppOpen(ctx *cli.Context) error {
	client, err := c.client(ctx)
	if err != nil {
		return err
	}
	apps, err := client.Apps(ctx.Context)
	if err != nil {
		return err
	}
	app, err := pickApp(apps, ctx.String("space"), ctx.Args().First())
	if err != nil {
		return err
	}
	c.ui.printf("%s\n", app.URL)
	if ctx.Bool("print") {
		return nil
	}
	return c.browse(ctx.Context, app.URL)
}

// pickApp finds the one app that is meant.
func pickApp(apps []localapi.App, space, name string) (localapi.App, error) {
	if s, n, ok := strings.Cut(name, "/"); ok && space == "" {
		space, name = s, n
	}
	var found []localapi.App
	for _, a := range apps {
		if a.Name == name && (space == "" || a.Space == space) {
			found = append(found, a)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return localapi.App{}, &localapi.Error{Code: localapi.NotFound, Message: "there is no app " + name, Next: "see echofs app list"}
	default:
		return localapi.App{}, &localapi.Error{
			Code:    localapi.Usage,
			Message: "several spaces have an app " + name,
			Next:    "name the space: echofs app open " + found[0].Space + "/" + name,
		}
	}
}

// browse opens url when there is a browser to open it with. Without one the
// printed URL has to do.
func (c *command) browse(ctx context.Context, url string) error {
	opener := c.Getenv("BROWSER")
	if opener == "" {
		if c.Getenv("DISPLAY") == "" && c.Getenv("WAYLAND_DISPLAY") == "" {
			return nil
		}
		opener = "xdg-open"
	}
	path, err := exec.LookPath(opener)
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := exec.CommandContext(ctx, path, url).Run(); err != nil && ctx.Err() == nil {
		return &localapi.Error{
			Code:    localapi.Failed,
			Message: opener + " could not open the app: " + err.Error(),
			Next:    "open the URL above yourself",
			Err:     err,
		}
	}
	return nil
}
