// Command echofs mounts shared spaces as folders, keeps them in step with the
// other devices in them, and serves the web apps they hold.
package main

import (
	"context"
	"os"

	"github.com/echofs/echofs/cmd/cli"
)

func main() {
	os.Exit(cli.Main(context.Background()))
}
