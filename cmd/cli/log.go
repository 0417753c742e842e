package cli

import (
	"fmt"
	"time"

	"github.com/urfave/cli/v2"
)

func (c *command) log() *cli.Command {
	return c.leaf(&cli.Command{
		Name:      "log",
		Usage:     "list the versions of a file",
		UsageText: "echofs log PATH [--json]",
		ArgsUsage: "PATH",
		Description: `Lists what happened to a file or folder, newest first: who changed it, when by
the clock of their device, and how.

` + pathHelp + `

The same versions are files in SPACE/.space/history/PATH/.

EXAMPLES
   echofs log notes.txt
   echofs log work/plan/a.md --json | jq -r '.[0].id'`,
		Flags: []cli.Flag{jsonFlag()},
		Action: func(ctx *cli.Context) error {
			client, err := c.client(ctx)
			if err != nil {
				return err
			}
			path, err := c.inSpace(ctx, client, ctx.Args().First())
			if err != nil {
				return err
			}
			log, err := client.Log(ctx.Context, path)
			if err != nil {
				return err
			}
			if ctx.Bool("json") {
				return c.ui.json(log)
			}
			rows := make([][]string, len(log))
			for i, v := range log {
				change := v.Change
				if v.Was != "" {
					change += " from " + v.Was
				}
				size := "-"
				if v.Data && v.Size >= 0 {
					size = bytesOf(v.Size)
				}
				rows[i] = []string{v.ID, when(v.Time), v.Name, size, change, v.Path}
			}
			c.ui.table([]string{"VERSION", "TIME", "WHO", "SIZE", "CHANGE", "PATH"}, rows)
			return nil
		},
	})
}

// when shows a time to a person.
func when(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }

// bytesOf shows a size to a person.
func bytesOf(n int64) string {
	units := []string{"KiB", "MiB", "GiB", "TiB"}
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	f := float64(n)
	for i, unit := range units {
		if f /= 1024; f < 1024 || i == len(units)-1 {
			return fmt.Sprintf("%.1f %s", f, unit)
		}
	}
	return ""
}
