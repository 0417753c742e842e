package web

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/hex"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
)

// caller is the other end of a connection. Which user that is, is looked up
// once, at the first request.
type caller struct {
	remote, local net.Addr

	once  sync.Once
	uid   int
	known bool // uid is set
	can   bool // the kernel has a table of connections
}

// looks is how often a connection is looked for: the kernel's table can miss a
// row while others come and go.
const looks = 3

// is reports whether the caller is the user uid, or root. Who is not in the
// kernel's table is neither; where there is no table nobody can be told apart.
func (c *caller) is(uid int) bool {
	c.once.Do(func() {
		remote, ok1 := c.remote.(*net.TCPAddr)
		local, ok2 := c.local.(*net.TCPAddr)
		for i := 0; ok1 && ok2 && i < looks && !c.known; i++ {
			c.uid, c.known, c.can = socketOwner(remote, local)
		}
	})
	if !c.known {
		return !c.can
	}
	return c.uid == uid || c.uid == 0
}

// socketOwner finds the user of the socket that is bound to from and connected
// to to, in the kernel's tables. An IPv4 caller may have an IPv6 socket. can is
// false where there are no tables.
func socketOwner(from, to *net.TCPAddr) (uid int, known, can bool) {
	if from.IP.To4() != nil {
		uid, known, can = ownerIn("/proc/net/tcp", kernelAddr(from.IP.To4(), from.Port), kernelAddr(to.IP.To4(), to.Port))
		if known {
			return uid, known, can
		}
	}
	uid, known, can6 := ownerIn("/proc/net/tcp6", kernelAddr(from.IP.To16(), from.Port), kernelAddr(to.IP.To16(), to.Port))
	return uid, known, can || can6
}

func ownerIn(table, from, to string) (uid int, known, can bool) {
	f, err := os.Open(table)
	if err != nil {
		return 0, false, false
	}
	defer func() { _ = f.Close() }()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) > 7 && f[1] == from && f[2] == to {
			uid, err := strconv.Atoi(f[7])
			return uid, err == nil, true
		}
	}
	return 0, false, true
}

// kernelAddr writes an address as /proc/net does: the words of the address in
// the machine's byte order, then the port.
func kernelAddr(ip net.IP, port int) string {
	var raw []byte
	for i := 0; i+4 <= len(ip); i += 4 {
		raw = binary.NativeEndian.AppendUint32(raw, binary.BigEndian.Uint32(ip[i:]))
	}
	return strings.ToUpper(hex.EncodeToString(raw)) + ":" +
		strings.ToUpper(hex.EncodeToString(binary.BigEndian.AppendUint16(nil, uint16(port))))
}

// sameUser reports whether the connection comes from a program of this user (or
// of root, who can do everything anyway). Loopback is shared by all users.
func (s *Server) sameUser(r *http.Request) bool {
	c, ok := r.Context().Value(callerKey{}).(*caller)
	return !ok || c.is(s.uid)
}

type callerKey struct{}

func withCaller(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, callerKey{}, &caller{remote: c.RemoteAddr(), local: c.LocalAddr()})
}
