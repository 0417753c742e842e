package web

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"net"
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
	known bool
}

// is reports whether the caller is the user uid, or root, or cannot be told:
// the kernel's table does not exist everywhere.
func (c *caller) is(uid int) bool {
	c.once.Do(func() {
		remote, ok1 := c.remote.(*net.TCPAddr)
		local, ok2 := c.local.(*net.TCPAddr)
		if ok1 && ok2 {
			c.uid, c.known = socketOwner(remote, local)
		}
	})
	return !c.known || c.uid == uid || c.uid == 0
}

// socketOwner finds the user of the socket that is bound to from and connected
// to to, in the kernel's tables. An IPv4 caller may have an IPv6 socket.
func socketOwner(from, to *net.TCPAddr) (uid int, ok bool) {
	if from.IP.To4() != nil {
		if uid, ok = ownerIn("/proc/net/tcp", kernelAddr(from.IP.To4(), from.Port), kernelAddr(to.IP.To4(), to.Port)); ok {
			return uid, true
		}
	}
	return ownerIn("/proc/net/tcp6", kernelAddr(from.IP.To16(), from.Port), kernelAddr(to.IP.To16(), to.Port))
}

func ownerIn(table, from, to string) (uid int, ok bool) {
	f, err := os.Open(table)
	if err != nil {
		return 0, false
	}
	defer func() { _ = f.Close() }()
	return findOwner(bufio.NewScanner(f), from, to)
}

func findOwner(lines *bufio.Scanner, from, to string) (uid int, ok bool) {
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) > 7 && f[1] == from && f[2] == to {
			uid, err := strconv.Atoi(f[7])
			return uid, err == nil
		}
	}
	return 0, false
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
