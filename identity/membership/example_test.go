package membership_test

import (
	"fmt"
	"log"
	"time"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
	"github.com/echofs/echofs/identity/membership"
)

// Ada founds a space and admits Bob, whose device works the same out from the
// same credentials.
func Example() {
	ada, err := identity.NewDevice(nil, "Ada")
	if err != nil {
		log.Fatal(err)
	}
	bob, err := identity.NewDevice(nil, "Bob")
	if err != nil {
		log.Fatal(err)
	}
	now := time.Now()

	genesis, err := membership.Found(ada, now)
	if err != nil {
		log.Fatal(err)
	}
	hers := membership.New()
	if _, err := hers.Add(genesis); err != nil {
		log.Fatal(err)
	}
	admission, err := hers.Admit(ada, bob.Chain(), credential.Editor, now)
	if err != nil {
		log.Fatal(err)
	}
	for _, c := range admission {
		if _, err := hers.Add(c); err != nil {
			log.Fatal(err)
		}
	}

	his := membership.Of(hers.Space())
	for _, c := range hers.Ops() {
		received, err := credential.Decode(c.Raw)
		if err != nil {
			log.Fatal(err)
		}
		if _, err := his.Add(received); err != nil {
			log.Fatal(err)
		}
	}
	for _, m := range his.Members() {
		fmt.Println(m.Name, m.Role)
	}
	// Output:
	// Ada admin
	// Bob editor
}
