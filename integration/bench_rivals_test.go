package integration

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"

	fusenode "github.com/hanwen/go-fuse/v2/fs"
	"github.com/pion/datachannel"
	"github.com/pion/transport/v2"
	"github.com/pion/transport/v2/stdnet"
	"github.com/pion/webrtc/v3"
)

// The rivals are child processes, as our daemons are: this binary runs itself
// with a variable set to what the child is to be.

const rivalVariable = "ECHOFS_BENCH_RIVAL"

// rivalMain is a rival's whole life; it ends when standard input does.
func rivalMain(raw string) error {
	var args []string
	if err := json.Unmarshal([]byte(raw), &args); err != nil {
		return err
	}
	switch {
	case len(args) == 3 && args[0] == "loopback":
		return loopbackMain(args[1], args[2])
	case len(args) == 1 && args[0] == "channel":
		return channelMain()
	}
	return fmt.Errorf("there is no such rival: %q", args)
}

// A rival is a running child.
type rival struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	out   *bufio.Reader
}

func startRival(t testing.TB, args ...string) *rival {
	t.Helper()
	raw, err := json.Marshal(args)
	if err != nil {
		t.Fatal(err)
	}
	r := &rival{cmd: exec.Command("/proc/self/exe")}
	r.cmd.Env = append(os.Environ(), rivalVariable+"="+string(raw))
	r.cmd.Stderr = os.Stderr
	if r.stdin, err = r.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	r.out = bufio.NewReader(out)
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rival) stop(t testing.TB) {
	t.Helper()
	r.stdin.Close()
	if err := r.cmd.Wait(); err != nil {
		t.Errorf("the rival ended with %v", err)
	}
}

// A loopback is go-fuse's own loopback file system, mounted with the options of
// its example program. For root the kernel takes the data of open files straight
// from the files behind them (FUSE passthrough): then its reads and writes are
// those of the disk, and only names cost requests.
type loopback struct {
	t         testing.TB
	from, dir string
	child     *rival
}

func newLoopback(t testing.TB) *loopback {
	t.Helper()
	l := &loopback{t: t, from: t.TempDir(), dir: t.TempDir()}
	l.mount()
	t.Cleanup(l.unmount)
	return l
}

func (l *loopback) mount() {
	l.t.Helper()
	l.child = startRival(l.t, "loopback", l.from, l.dir)
	if line, err := l.child.out.ReadString('\n'); line != "ready\n" {
		l.t.Fatalf("the loopback did not mount: %v", err)
	}
}

func (l *loopback) unmount() {
	l.t.Helper()
	l.child.stop(l.t)
}

func loopbackMain(from, to string) error {
	root, err := fusenode.NewLoopbackRoot(from)
	if err != nil {
		return err
	}
	second := time.Second
	opts := &fusenode.Options{EntryTimeout: &second, AttrTimeout: &second, NullPermissions: true}
	opts.DirectMountStrict = os.Geteuid() == 0
	server, err := fusenode.Mount(to, root, opts)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	_, err = io.Copy(io.Discard, os.Stdin)
	return errors.Join(err, server.Unmount())
}

// A channel is one end of a bare pion data channel: nothing around it but the
// flow control without which it eats all memory, and the buffers that ours has.
type channel struct {
	*datachannel.DataChannel
	pc  *webrtc.PeerConnection
	low chan struct{} // capacity 1
}

// The first byte of a message.
const (
	messageData = iota
	messageLast // the receiver answers it
	messageEcho
)

const (
	channelHigh    = 1 << 20 // bytes pion holds when send starts to wait, until it holds half
	channelReceive = 8 << 20
	channelSocket  = 4 << 20
)

// newChannel starts a child with the other end.
func newChannel(t testing.TB) *channel {
	t.Helper()
	child := startRival(t, "channel")
	c, err := openChannel(true, child.out, child.stdin)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		child.stop(t)
		if err := c.pc.GracefulClose(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// channelMain answers messages until standard input ends.
func channelMain() error {
	in := bufio.NewReader(os.Stdin)
	c, err := openChannel(false, in, os.Stdout)
	if err != nil {
		return err
	}
	go func() {
		buf := make([]byte, 64<<10)
		for {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			if n > 0 && buf[0] != messageData {
				_, _ = c.Write(buf[:min(n, 64)]) // an error ends the loop at the next Read
			}
		}
	}()
	_, err = io.Copy(io.Discard, in)
	return errors.Join(err, c.pc.GracefulClose())
}

// openChannel connects with the process at the other end of in and out.
func openChannel(offer bool, in *bufio.Reader, out io.Writer) (*channel, error) {
	n, err := stdnet.NewNet()
	if err != nil {
		return nil, err
	}
	var s webrtc.SettingEngine
	s.DetachDataChannels()
	s.SetNet(largeBuffers{n})
	s.SetIncludeLoopbackCandidate(true)
	s.SetHostAcceptanceMinWait(0)
	s.SetSrflxAcceptanceMinWait(0)
	s.SetPrflxAcceptanceMinWait(0)
	s.SetSCTPMaxReceiveBufferSize(channelReceive)
	pc, err := webrtc.NewAPI(webrtc.WithSettingEngine(s)).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		return nil, err
	}
	yes, id := true, uint16(0)
	dc, err := pc.CreateDataChannel("bare", &webrtc.DataChannelInit{Negotiated: &yes, ID: &id})
	if err != nil {
		return nil, err
	}
	opened := make(chan error, 1)
	c := &channel{pc: pc, low: make(chan struct{}, 1)}
	dc.OnOpen(func() {
		raw, err := dc.Detach()
		if err == nil {
			c.DataChannel = raw.(*datachannel.DataChannel)
			c.SetBufferedAmountLowThreshold(channelHigh / 2)
			c.OnBufferedAmountLow(func() {
				select {
				case c.low <- struct{}{}:
				default:
				}
			})
		}
		opened <- err
	})
	describe := pc.CreateOffer
	if !offer {
		if err := hear(pc, in); err != nil {
			return nil, err
		}
		describe = func(*webrtc.OfferOptions) (webrtc.SessionDescription, error) { return pc.CreateAnswer(nil) }
	}
	desc, err := describe(nil)
	if err != nil {
		return nil, err
	}
	complete := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(desc); err != nil {
		return nil, err
	}
	<-complete
	if err := json.NewEncoder(out).Encode(pc.LocalDescription()); err != nil {
		return nil, err
	}
	if offer {
		if err := hear(pc, in); err != nil {
			return nil, err
		}
	}
	return c, <-opened
}

// hear reads the description of the other end.
func hear(pc *webrtc.PeerConnection, in *bufio.Reader) error {
	line, err := in.ReadBytes('\n')
	if err != nil {
		return err
	}
	var desc webrtc.SessionDescription
	if err := json.Unmarshal(line, &desc); err != nil {
		return err
	}
	return pc.SetRemoteDescription(desc)
}

// roundTrip sends 64 bytes there and back.
func (c *channel) roundTrip(t testing.TB) time.Duration {
	t.Helper()
	start := time.Now()
	c.ask(t, append([]byte{messageEcho}, make([]byte, 63)...))
	return time.Since(start)
}

// bulk sends that many bytes in messages of that size and waits until the last
// has arrived.
func (c *channel) bulk(t testing.TB, total, message int) time.Duration {
	t.Helper()
	data := slices.Repeat([]byte{messageData}, message)
	start := time.Now()
	for ; total > message; total -= message {
		for c.BufferedAmount() > channelHigh {
			<-c.low
		}
		if _, err := c.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	data[0] = messageLast
	c.ask(t, data[:total])
	return time.Since(start)
}

func (c *channel) ask(t testing.TB, message []byte) {
	t.Helper()
	if _, err := c.Write(message); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 64)); err != nil {
		t.Fatal(err)
	}
}

// largeBuffers gives each socket the buffers that package rtc gives its own.
type largeBuffers struct{ *stdnet.Net }

func (largeBuffers) ListenUDP(network string, at *net.UDPAddr) (transport.UDPConn, error) {
	c, err := net.ListenUDP(network, at)
	if err != nil {
		return nil, err
	}
	return c, enlarge(c)
}

func (largeBuffers) ListenPacket(network, at string) (net.PacketConn, error) {
	c, err := net.ListenPacket(network, at)
	if u, ok := c.(*net.UDPConn); ok && err == nil {
		err = enlarge(u)
	}
	return c, err
}

func enlarge(c *net.UDPConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	// As for ours: without the capability the limit of the system stays.
	return errors.Join(c.SetReadBuffer(channelSocket), c.SetWriteBuffer(channelSocket), raw.Control(func(fd uintptr) {
		_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUFFORCE, channelSocket)
		_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_SNDBUFFORCE, channelSocket)
	}))
}
