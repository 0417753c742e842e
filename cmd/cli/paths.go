package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/echofs/echofs/cmd/localapi"
)

const pathHelp = `PATH is a file or folder in the mount, which may have been removed; or, from
anywhere, SPACE/PATH.`

var versionSuffix = regexp.MustCompile(`^(.*)@([0-9a-f]{1,64}-[0-9]{1,20})$`)

// cutVersion splits PATH@VERSION.
func cutVersion(arg string) (path, version string) {
	if m := versionSuffix.FindStringSubmatch(arg); m != nil {
		return m[1], m[2]
	}
	return arg, ""
}

// inSpace turns a path that somebody typed into SPACE/PATH.
func (c *command) inSpace(ctx *cli.Context, client localapi.Client, path string) (string, error) {
	status, err := client.Status(ctx.Context)
	if err != nil {
		return "", err
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	mount := filepath.Clean(status.Mount)
	if !filepath.IsAbs(path) && namesSpace(status.Spaces, path) {
		return filepath.ToSlash(filepath.Clean(path)), nil
	}
	if rest, ok := below(mount, abs); ok {
		return rest, nil
	}
	// The shell may be in the mount by way of a symbolic link.
	if dir, err := filepath.EvalSymlinks(filepath.Dir(abs)); err == nil {
		if rest, ok := below(mount, filepath.Join(dir, filepath.Base(abs))); ok {
			return rest, nil
		}
	}
	if filepath.IsAbs(path) || strings.HasPrefix(path, ".") {
		return "", usage(ctx, "%s is not in the mount at %s", path, mount)
	}
	return filepath.ToSlash(filepath.Clean(path)), nil
}

// namesSpace reports whether a path begins with the name of a space, and not
// with that of something in the present folder.
func namesSpace(spaces []localapi.Space, path string) bool {
	first, _, _ := strings.Cut(filepath.ToSlash(filepath.Clean(path)), "/")
	if _, err := os.Lstat(first); err == nil {
		return false
	}
	return slices.ContainsFunc(spaces, func(s localapi.Space) bool { return s.Name == first })
}

func below(mount, abs string) (string, bool) {
	rest, ok := strings.CutPrefix(abs, mount+"/")
	return rest, ok && rest != ""
}
