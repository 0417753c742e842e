package localapi

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
)

// maxPath is the longest socket path the kernel takes.
const maxPath = 107

// SocketPath is where the daemon of a home listens.
func SocketPath(home string) string { return filepath.Join(home, "run", "sock") }

// short returns a name for path that the kernel accepts as a socket address,
// however long path is: the folder is opened and named through /proc. The
// folder must stay open while the name is in use.
func short(path string) (name string, folder *os.File, err error) {
	if len(path) <= maxPath {
		return path, nil, nil
	}
	folder, err = os.Open(filepath.Dir(path))
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", folder.Fd(), filepath.Base(path)), folder, nil
}

// Listen makes the socket of a home. The caller holds the lock of the home, so
// a socket that is there already belongs to a daemon that died. Connections of
// other users are closed unanswered. Close removes the socket.
func Listen(home string) (net.Listener, error) {
	path := SocketPath(home)
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the folder of the command socket: %w", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the folder of the command socket private: %w", err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("removing the command socket of an earlier daemon: %w", err)
	}
	name, folder, err := short(path)
	if err != nil {
		return nil, fmt.Errorf("making the command socket: %w", err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: name, Net: "unix"})
	if err != nil {
		if folder != nil {
			_ = folder.Close()
		}
		return nil, fmt.Errorf("making the command socket: %w", err)
	}
	l.SetUnlinkOnClose(false)
	own := &listener{UnixListener: l, path: path, folder: folder}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("making the command socket private: %w", err), own.Close())
	}
	return own, nil
}

// A listener accepts connections of our own user only.
type listener struct {
	*net.UnixListener
	path   string
	folder *os.File // nil unless the path is too long to be an address
}

func (l *listener) Accept() (net.Conn, error) {
	for {
		conn, err := l.AcceptUnix()
		if err != nil {
			return nil, err
		}
		uid, err := peerUID(conn)
		if err == nil && uid == uint32(os.Geteuid()) {
			return conn, nil
		}
		_ = conn.Close()
	}
}

func (l *listener) Close() error {
	err := os.Remove(l.path)
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	err = errors.Join(l.UnixListener.Close(), err)
	if l.folder != nil {
		err = errors.Join(err, l.folder.Close())
	}
	return err
}

// peerUID asks the kernel which user made the connection.
func peerUID(conn *net.UnixConn) (uint32, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *syscall.Ucred
	var optErr error
	err = raw.Control(func(fd uintptr) {
		cred, optErr = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if err := errors.Join(err, optErr); err != nil {
		return 0, err
	}
	return cred.Uid, nil
}

// dial connects to the daemon of a home.
func dial(home string) (net.Conn, error) {
	name, folder, err := short(SocketPath(home))
	if err != nil {
		return nil, err
	}
	if folder != nil {
		defer folder.Close()
	}
	return net.DialUnix("unix", nil, &net.UnixAddr{Name: name, Net: "unix"})
}
