package integration

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// A Capture has every byte that daemons started after it send each other: they
// live in a network of their own, which has a loopback interface and nothing
// else.
type Capture struct {
	t    testing.TB
	fd   int
	stop chan struct{}
	done chan struct{}

	mu      sync.Mutex
	packets [][]byte // as they came in, from the IP header on
}

// mayWait is how much of the capture may wait to be read: a lot, on a machine
// that has other things to do.
const mayWait = 256 << 20

// NewCapture begins to capture, until End or the end of the test. It returns nil
// where root may not make networks, as in some containers.
func NewCapture(t testing.TB) *Capture {
	t.Helper()
	c := &Capture{t: t, stop: make(chan struct{}), done: make(chan struct{})}
	failed := make(chan error, 1)
	var back int
	launch <- func() { failed <- c.enter(&back) }
	if err := <-failed; errors.Is(err, unix.EPERM) {
		t.Logf("nothing is captured on this machine: %v", err)
		return nil
	} else if err != nil {
		t.Fatal(err)
	}
	go c.read()
	t.Cleanup(func() {
		launch <- func() { failed <- unix.Setns(back, unix.CLONE_NEWNET) }
		if err := <-failed; err != nil {
			t.Error(err)
		}
		_ = unix.Close(back)
		c.End()
	})
	return c
}

// enter gives the thread that starts daemons another network. It runs there. If
// it fails, all is as before.
func (c *Capture) enter(back *int) (err error) {
	if *back, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
		return err
	}
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("making a network: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, unix.Setns(*back, unix.CLONE_NEWNET))
		}
	}()
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	if err := unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, lo); err != nil {
		return fmt.Errorf("starting the loopback interface: %w", err)
	}
	all := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ALL))
	if c.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, int(all)); err != nil {
		return fmt.Errorf("capturing: %w", err)
	}
	if err := unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, mayWait); err != nil {
		return err
	}
	return unix.SetsockoptTimeval(c.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 50_000})
}

func (c *Capture) read() {
	defer close(c.done)
	buf := make([]byte, 1<<18)
	for {
		n, from, err := unix.Recvfrom(c.fd, buf, unix.MSG_TRUNC)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN): // all is read
			select {
			case <-c.stop:
				return
			default:
			}
		case err != nil:
			c.t.Errorf("capturing: %v", err)
			return
		case n > len(buf):
			c.t.Errorf("a packet of %d bytes is not captured whole", n)
		default:
			if at, ok := from.(*unix.SockaddrLinklayer); ok && at.Pkttype == unix.PACKET_OUTGOING {
				continue // it comes in, too
			}
			c.mu.Lock()
			c.packets = append(c.packets, bytes.Clone(buf[:n]))
			c.mu.Unlock()
		}
	}
}

// End ends the capture when all that waits is read. None may be missing.
func (c *Capture) End() {
	if c == nil {
		return
	}
	select {
	case <-c.stop:
		return
	default:
	}
	close(c.stop)
	<-c.done
	if s, err := unix.GetsockoptTpacketStats(c.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS); err != nil || s.Drops > 0 {
		c.t.Errorf("not everything was captured: %+v, %v", s, err)
	}
	_ = unix.Close(c.fd)
}

// A flow is what one port has sent to another: the datagrams one after the
// other, or the stream.
type flow struct {
	from, to netip.AddrPort
	tcp      bool
}

func (f flow) String() string {
	return fmt.Sprintf("%s, %s to %s", map[bool]string{true: "tcp", false: "udp"}[f.tcp], f.from, f.to)
}

// Flows returns what was sent.
func (c *Capture) Flows() map[flow][]byte {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	flows := map[flow][]byte{}
	segments := map[flow][]segment{}
	for _, p := range c.packets {
		switch f, body, ok := dissect(p); {
		case !ok: // neither TCP nor UDP: nothing of ours, but it is searched
			flows[flow{}] = append(flows[flow{}], p...)
		case f.tcp:
			segments[f] = append(segments[f], tcpSegment(body))
		default:
			flows[f] = append(flows[f], body[8:]...)
		}
	}
	for f, list := range segments {
		flows[f] = join(list)
	}
	return flows
}

// dissect returns the ports of a packet and what follows the IP header.
func dissect(p []byte) (f flow, body []byte, ok bool) {
	if len(p) < 20 {
		return f, nil, false
	}
	var proto byte
	var from, to netip.Addr
	switch p[0] >> 4 {
	case 4:
		head := int(p[0]&15) * 4
		if len(p) < head {
			return f, nil, false
		}
		proto, body = p[9], p[head:]
		from, to = netip.AddrFrom4([4]byte(p[12:16])), netip.AddrFrom4([4]byte(p[16:20]))
	case 6:
		if len(p) < 40 {
			return f, nil, false
		}
		proto, body = p[6], p[40:]
		from, to = netip.AddrFrom16([16]byte(p[8:24])), netip.AddrFrom16([16]byte(p[24:40]))
	}
	if proto == unix.IPPROTO_TCP && len(body) < 20 || proto == unix.IPPROTO_UDP && len(body) < 8 ||
		proto != unix.IPPROTO_TCP && proto != unix.IPPROTO_UDP {
		return f, nil, false
	}
	return flow{
		from: netip.AddrPortFrom(from, binary.BigEndian.Uint16(body)),
		to:   netip.AddrPortFrom(to, binary.BigEndian.Uint16(body[2:])),
		tcp:  proto == unix.IPPROTO_TCP,
	}, body, true
}

// A segment is a piece of a TCP stream.
type segment struct {
	seq  uint32
	syn  bool
	data []byte
}

func tcpSegment(p []byte) segment {
	head := min(int(p[12]>>4)*4, len(p))
	return segment{seq: binary.BigEndian.Uint32(p[4:]), syn: p[13]&2 != 0, data: p[head:]}
}

// join makes a stream of its pieces, some of which may be there twice. A port
// that is used again makes streams one after the other.
func join(list []segment) (stream []byte) {
	for len(list) > 0 {
		n := 1
		for n < len(list) && (!list[n].syn || list[n].seq == list[0].seq) {
			n++
		}
		one := slices.Clone(list[:n])
		list = list[n:]
		first := one[0].seq
		at := func(s segment) int64 { return int64(int32(s.seq - first)) }
		slices.SortStableFunc(one, func(a, b segment) int { return cmp.Compare(at(a), at(b)) })
		next := int64(1)
		for _, s := range one {
			if end := at(s) + int64(len(s.data)); end > next {
				stream = append(stream, s.data[min(max(0, next-at(s)), int64(len(s.data))):]...)
				next = end
			}
		}
	}
	return stream
}

// messages returns what is in the frames of a WebSocket stream, unmasked.
func messages(stream []byte) (all []byte, is bool, err error) {
	head, rest, ok := bytes.Cut(stream, []byte("\r\n\r\n"))
	if !ok || !bytes.Contains(bytes.ToLower(head), []byte("upgrade: websocket")) {
		return nil, false, nil
	}
	for len(rest) >= 2 {
		if rest[0]&0x70 != 0 {
			return all, true, errors.New("its messages are compressed: nobody can search them")
		}
		masked, size := rest[1]&0x80 != 0, uint64(rest[1]&0x7f)
		rest = rest[2:]
		long := map[uint64]int{126: 2, 127: 8}[size]
		mask := map[bool]int{true: 4}[masked]
		if len(rest) < long+mask {
			break
		}
		switch long {
		case 2:
			size = uint64(binary.BigEndian.Uint16(rest))
		case 8:
			size = binary.BigEndian.Uint64(rest)
		}
		key := rest[long : long+mask]
		rest = rest[long+mask:]
		data := bytes.Clone(rest[:min(size, uint64(len(rest)))])
		rest = rest[len(data):]
		for i := range data {
			if masked {
				data[i] ^= key[i%4]
			}
		}
		all = append(all, data...)
	}
	return all, true, nil
}

// Memory returns what a process has in its memory, without empty pages and
// without files: keys would be in none, and what a daemon shows is in some.
func Memory(t testing.TB, pid int) (all []byte) {
	t.Helper()
	regions, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		t.Fatal(err)
	}
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer mem.Close()
	page := make([]byte, os.Getpagesize())
	empty := make([]byte, len(page))
	for line := range strings.Lines(string(regions)) {
		var from, to uint64
		var access string
		if _, err := fmt.Sscanf(line, "%x-%x %s", &from, &to, &access); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if access != "rw-p" {
			continue
		}
		for ; from < to; from += uint64(len(page)) {
			if _, err := mem.ReadAt(page, int64(from)); err != nil {
				break // it has gone meanwhile
			}
			if !bytes.Equal(page, empty) {
				all = append(all, page...)
			}
		}
	}
	return all
}

// forms are the ways in which bytes may be written.
func forms(b []byte) (all [][]byte) {
	all = append(all, b, []byte(hex.EncodeToString(b)), []byte(strings.ToUpper(hex.EncodeToString(b))))
	for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for shift := range 3 {
			text := enc.EncodeToString(append(make([]byte, shift), b...))
			from, to := (shift*8+5)/6, (shift+len(b))*8/6 // the characters that are of b alone
			all = append(all, []byte(text[from:to]))
		}
	}
	return all
}

// finds returns the names of those of secrets that are in data.
func finds(data []byte, secrets map[string][]byte) (found []string) {
	for name, secret := range secrets {
		if slices.ContainsFunc(forms(secret), func(f []byte) bool { return bytes.Contains(data, f) }) {
			found = append(found, name)
		}
	}
	slices.Sort(found)
	return found
}
