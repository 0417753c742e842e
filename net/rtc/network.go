package rtc

import (
	"encoding/binary"
	"net"

	"github.com/pion/transport/v2"
	"github.com/pion/transport/v2/stdnet"
)

// network is the network as pion sees it: with large socket buffers, and
// without packets that make its STUN parser panic.
type network struct{ *stdnet.Net }

// newNetwork lists the interfaces as they are now, so every connection sees
// those that came and went since the last one.
func newNetwork() (*network, error) {
	n, err := stdnet.NewNet()
	if err != nil {
		return nil, err
	}
	return &network{n}, nil
}

// ListenUDP implements transport.Net.
func (n *network) ListenUDP(proto string, at *net.UDPAddr) (transport.UDPConn, error) {
	c, err := net.ListenUDP(proto, at)
	if err != nil {
		return nil, err
	}
	enlarge(c)
	return &socket{c}, nil
}

// ListenPacket implements transport.Net.
func (n *network) ListenPacket(proto, at string) (net.PacketConn, error) {
	c, err := net.ListenPacket(proto, at)
	if err != nil {
		return nil, err
	}
	if u, ok := c.(*net.UDPConn); ok {
		enlarge(u)
		return &socket{u}, nil
	}
	return c, nil
}

// enlarge asks for socket buffers as large as the system allows us.
func enlarge(c *net.UDPConn) {
	// A smaller buffer than asked for is slow on long paths, not wrong.
	_ = c.SetReadBuffer(socketBuffer)
	_ = c.SetWriteBuffer(socketBuffer)
	force(c)
}

// socket drops hostile packets.
type socket struct{ *net.UDPConn }

// ReadFrom implements net.PacketConn.
func (s *socket) ReadFrom(p []byte) (int, net.Addr, error) {
	for {
		n, from, err := s.UDPConn.ReadFrom(p)
		if err != nil || !hostile(p[:n]) {
			return n, from, err
		}
	}
}

// hostile reports a STUN packet with an address attribute whose length does
// not fit its family. The STUN parser of pion v3 panics on some of these, in
// a goroutine of its own where nobody can recover.
func hostile(p []byte) bool {
	const cookie = 0x2112A442
	if len(p) < 20 || p[0] > 3 || binary.BigEndian.Uint32(p[4:]) != cookie {
		return false
	}
	for p = p[20:]; len(p) >= 4; {
		typ, size := binary.BigEndian.Uint16(p), int(binary.BigEndian.Uint16(p[2:]))
		if size > len(p)-4 {
			return true
		}
		value := p[4 : 4+size]
		switch typ {
		case 0x0001, 0x0012, 0x0016, 0x0020: // (XOR-)MAPPED, PEER, RELAYED
			v4 := size == 8 && value[1] == 1
			v6 := size == 20 && value[1] == 2
			if !v4 && !v6 {
				return true
			}
		}
		p = p[min(len(p), 4+(size+3)&^3):]
	}
	return false
}
