package signaling

import (
	"errors"
	"fmt"

	"github.com/echofs/echofs/identity/codec"
)

// Path is where a server is by convention; a URL without a path means it.
const Path = "/.well-known/dx/signal"

// A PeerID is the random name of one membership of one topic, given by the
// server.
type PeerID [16]byte

const (
	protocolVersion = 1
	maxData         = 32 << 10 // of one sealed note
	maxPacket       = 40 << 10 // of one WebSocket message: a note, or the members of a topic
	maxMembers      = 1024     // that a client believes a server
)

// Kinds of packets: the first three come from clients, the others from servers.
const (
	joinTopic = 1 // Topic
	leave     = 2 // Topic
	send      = 3 // Topic, Peer: to whom, Data
	joined    = 4 // Topic, Peer: your name, Peers: who else is there
	arrived   = 5 // Topic, Peer
	left      = 6 // Topic, Peer
	deliver   = 7 // Topic, Peer: from whom, Data
	refuse    = 8 // Topic, Text: why you are not in it
)

// A packet is one WebSocket message.
type packet struct {
	Version uint64   `cbor:"1,keyasint"`
	Kind    uint64   `cbor:"2,keyasint"`
	Topic   TopicID  `cbor:"3,keyasint"`
	Peer    PeerID   `cbor:"4,keyasint,omitzero"`
	Peers   []PeerID `cbor:"5,keyasint,omitempty"`
	Data    []byte   `cbor:"6,keyasint,omitempty"`
	Text    string   `cbor:"7,keyasint,omitempty"`
}

var errPacket = errors.New("not a signaling packet")

func (p packet) encode() []byte {
	p.Version = protocolVersion
	data, err := codec.Marshal(p)
	if err != nil {
		panic(fmt.Sprintf("encoding a packet: %v", err)) // a struct of plain fields
	}
	return data
}

func decodePacket(data []byte) (packet, error) {
	if len(data) > maxPacket {
		return packet{}, fmt.Errorf("%w: %d bytes", errPacket, len(data))
	}
	var p packet
	if err := codec.Unmarshal(data, &p); err != nil {
		return packet{}, fmt.Errorf("%w: %w", errPacket, err)
	}
	if p.Version != protocolVersion {
		return packet{}, fmt.Errorf("%w: version %d, this side speaks %d", errPacket, p.Version, protocolVersion)
	}
	if len(p.Data) > maxData || len(p.Peers) > maxMembers {
		return packet{}, fmt.Errorf("%w: too large", errPacket)
	}
	return p, nil
}
