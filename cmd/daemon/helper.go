package daemon

import (
	"fmt"
	"io"
	"os"

	"github.com/echofs/echofs/fs/fusefs"
)

// HelperCommand is the command line that makes this program a helper.
func HelperCommand() []string {
	return []string{"/proc/self/exe", fusefs.HelperArg} // as it is, even when an update replaced the file
}

// IsHelper reports whether a daemon started this process to be its helper.
func IsHelper(args []string) bool { return fusefs.IsHelper(args) }

// Helper tells programs that watch the mount of remote changes, for the daemon
// at the other end of the pipes. It returns the exit code.
func Helper(in io.Reader, out io.Writer) int {
	if err := fusefs.Helper(in, out); err != nil {
		fmt.Fprintln(os.Stderr, "helper:", err)
		return 1
	}
	return 0
}
