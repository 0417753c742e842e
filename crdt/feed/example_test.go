package feed_test

import (
	"fmt"
	"log"

	"github.com/echofs/echofs/crdt/feed"
	"github.com/echofs/echofs/identity"
)

func Example() {
	ada, err := identity.NewDevice(nil, "Ada")
	if err != nil {
		log.Fatal(err)
	}
	key := feed.NewKey()
	space, opened := identity.Hash("example", []byte("space")), identity.Hash("example", []byte("feed"))

	first, err := feed.Seal(ada, feed.Header{
		Space: space, Feed: opened, Seq: 1, Auth: []identity.ID{space}, First: 1, Ops: 2,
	}, key, []byte("two operations"))
	if err != nil {
		log.Fatal(err)
	}

	// On another device, which learns from the membership whose feed it is.
	e, err := feed.Decode(first.Raw)
	if err != nil {
		log.Fatal(err)
	}
	if err := e.Follows(nil); err != nil {
		log.Fatal(err)
	}
	payload, err := e.Open(key)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(e.Verify(ada.Key()), e.Next(), string(payload))
	// Output: true 3 two operations
}
