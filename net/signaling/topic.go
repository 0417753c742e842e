// Package signaling lets devices that share a topic secret find each other and
// swap the messages that set up a connection.
package signaling

// A Topic is the secret that the devices of one swarm share. It never leaves
// the device: the server sees only ID.
type Topic [32]byte
