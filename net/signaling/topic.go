// Package signaling lets devices that share a topic secret find each other and
// swap the messages that set up a connection.
//
// A Server is a board anybody can run: connections join topics, named by
// hashes, under random names that live as long as their membership, and send
// each other bytes. A Client keeps a connection to several servers. What it
// sends is sealed with a key of the topic and, inside, signed by the device,
// so a server learns neither devices nor spaces nor addresses, and can invent,
// alter or replay nothing; it can only drop.
//
// # Concurrency
//
// All methods may be called from any goroutine. The goroutines of a Client end
// with Run, those of a Server with the connections, which Close ends.
package signaling

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
)

// A Topic is the secret that the devices of one swarm share. It never leaves
// the device: a server sees only its ID.
type Topic [32]byte

// A TopicID names a topic to a server and says nothing about the secret.
type TopicID [32]byte

// ID returns the name of the topic.
func (t Topic) ID() TopicID { return TopicID(t.derive("echo/signal/topic/1")) }

func (t Topic) derive(use string) []byte {
	key, err := hkdf.Key(sha256.New, t[:], nil, use, 32)
	if err != nil {
		panic(fmt.Sprintf("deriving a key: %v", err)) // only a length over 8 KiB fails
	}
	return key
}

// sealer returns the cipher that everything on the topic is sealed with. It
// puts a random nonce before what it seals: 96 bits, good for more messages
// than a topic ever sees.
func (t Topic) sealer() cipher.AEAD {
	block, err := aes.NewCipher(t.derive("echo/signal/seal/1"))
	if err != nil {
		panic(fmt.Sprintf("making a cipher: %v", err)) // only a wrong key length fails
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(fmt.Sprintf("making a cipher: %v", err)) // only a wrong block length fails
	}
	return aead
}
