package space_test

import (
	"fmt"
	"os"
	"time"

	"github.com/echofs/echofs/crdt/space"
	"github.com/echofs/echofs/identity"
)

// Two programs open a file, and each saves what it made of it.
func Example() {
	dir, err := os.MkdirTemp("", "space")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	device, err := identity.NewDevice(nil, "anna")
	if err != nil {
		panic(err)
	}
	s, err := space.Create(space.Config{Dir: dir, Device: device}, "home")
	if err != nil {
		panic(err)
	}
	defer s.Close()

	file, err := s.Create(space.Root, "list.txt", space.New{Content: space.BytesContent([]byte("milk\nbread\n"))})
	if err != nil {
		panic(err)
	}
	shown := file.Version // to both
	for _, text := range []string{"eggs\nmilk\nbread\n", "milk\nbread\ntea\n"} {
		if _, err := s.Save(file.ID, &shown, space.BytesContent([]byte(text)), time.Now()); err != nil {
			panic(err)
		}
	}
	now, err := s.Open(file.ID)
	if err != nil {
		panic(err)
	}
	defer now.Close()
	text, _ := now.Bytes()
	fmt.Print(string(text))
	// Output:
	// eggs
	// milk
	// bread
	// tea
}
