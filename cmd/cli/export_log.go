package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"github.com/echofs/echofs/cmd/localapi"
	"github.com/echofs/echofs/crdt/signedlog"
)

// logPath is where the signed log is in an exported folder. No file of a space
// can have that name.
var logPath = filepath.Join(".space", "log")

// exportLog writes the signed log of a space to an exported folder. A log that is
// not complete is taken away again.
func (c *command) exportLog(ctx *cli.Context, client localapi.Client, space, dir string) error {
	path := filepath.Join(dir, logPath)
	credentials, entries, err := c.writeLog(ctx, client, space, path)
	c.ui.clear()
	if err != nil {
		return &localapi.Error{
			Code: localapi.Failed, Message: fmt.Sprintf("the signed log could not be written: %v", err),
			Next: "make room there and export again, into another folder", Err: errors.Join(err, os.Remove(path)),
		}
	}
	c.ui.notef("the signed log has %s and %s: %s\n", plural(credentials, "credential", "credentials"), plural(entries, "entry", "entries"), clean(path))
	return nil
}

func (c *command) writeLog(ctx *cli.Context, client localapi.Client, space, path string) (credentials, entries int, err error) {
	in, err := client.SignedLog(ctx.Context, space)
	if err != nil {
		return 0, 0, err
	}
	defer in.Close()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return 0, 0, err
	}
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	err = signedlog.Read(io.TeeReader(in, out), func(kind signedlog.Kind, _ []byte) error {
		if kind == signedlog.Credential {
			credentials++
			return nil
		}
		if entries++; entries%1000 == 0 {
			c.ui.progress(fmt.Sprintf("%d entries of the log written", entries))
		}
		return nil
	})
	return credentials, entries, err
}
