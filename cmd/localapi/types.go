// Package localapi is how the commands of a person reach the daemon on the same
// machine: the types both sides share, a typed client and a server.
//
// It speaks HTTP with JSON bodies over a unix socket in the daemon's home. The
// socket has mode 0600 in a folder of mode 0700, and every connection must come
// from a process of the same user. The daemon implements Backend; everything
// the server knows about it is in that interface.
//
// # Concurrency
//
// A Client has no state and may be used from any goroutine. The server calls
// Backend from one goroutine per request.
package localapi

import "time"

// Status is what a daemon tells about itself.
type Status struct {
	Version  string    `json:"version"`
	PID      int       `json:"pid"`
	Started  time.Time `json:"started"`
	Home     string    `json:"home"`
	Mount    string    `json:"mount"`
	HTTP     string    `json:"http"` // host:port of the web server
	Identity string    `json:"identity"`
	Device   string    `json:"device"`
	Name     string    `json:"name"`
	Locked   bool      `json:"locked"` // the identity and what follows is then unknown
	Online   bool      `json:"online"`
	Signal   []string  `json:"signal"` // signaling servers in use
	Spaces   []Space   `json:"spaces"`
	Links    []Link    `json:"links"`
	Problems []Problem `json:"problems"`

	Received []Invitation `json:"received"` // invitations that wait for an answer
}

// Space is one space of this device.
type Space struct {
	Name    string `json:"name"`
	ID      string `json:"id"`
	Role    string `json:"role"`
	Path    string `json:"path"`             // its folder in the mount
	Members int    `json:"members"`          // identities with a role in it
	Peers   int    `json:"peers"`            // devices connected now
	Feeds   int    `json:"feeds"`            // logs it is made of
	Entries uint64 `json:"entries"`          // signed entries in those logs
	Missing int    `json:"missing"`          // pieces of files that no peer has sent yet
	Frozen  string `json:"frozen,omitempty"` // why this device keeps it as it was, read-only
	Kept    int    `json:"kept,omitempty"`   // files in .space/withdrawn
	Error   string `json:"error,omitempty"`  // why it could not be opened; the numbers are then zero
}

// Link is a connection, or an attempt at one, to another device.
type Link struct {
	Name     string `json:"name"`
	Identity string `json:"identity"`
	Device   string `json:"device"`
	Space    string `json:"space"` // empty while it serves an invitation
	// DeviceName and File are known while the peer is here; see Presence.
	DeviceName string    `json:"deviceName,omitempty"`
	File       string    `json:"file,omitempty"`
	State      string    `json:"state"`
	Since      time.Time `json:"since"`
	RTT        string    `json:"rtt"`
	Error      string    `json:"error,omitempty"`
}

// Problem is something a person should know of, with what to do about it.
type Problem struct {
	Time    time.Time `json:"time"`
	Space   string    `json:"space,omitempty"`
	Message string    `json:"message"`
	Next    string    `json:"next,omitempty"`
	Count   int       `json:"count"`
}

// App is a web app in a space.
type App struct {
	Name  string `json:"name"`
	Space string `json:"space"`
	URL   string `json:"url"`
	Path  string `json:"path"` // its folder in the mount
}
