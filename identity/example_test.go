package identity_test

import (
	"fmt"

	"github.com/echofs/echofs/identity"
)

// Ann adds her laptop, loses it, and revokes it. Whoever sees her chain knows.
func Example() {
	phone, err := identity.NewDevice(nil, "phone")
	if err != nil {
		panic(err)
	}
	joining, err := identity.NewDeviceRequest(nil, phone.Identity(), "laptop")
	if err != nil {
		panic(err)
	}
	chain, err := phone.AddDevice(joining.Request())
	if err != nil {
		panic(err)
	}
	laptop, err := joining.Finish(chain)
	if err != nil {
		panic(err)
	}
	_, err = identity.VerifyChain(laptop.Chain(), laptop.Key())
	fmt.Println(len(laptop.Halo().Devices()), "devices,", err)

	if err := phone.RevokeDevice(laptop.Key()); err != nil {
		panic(err)
	}
	_, err = identity.VerifyChain(phone.Chain(), laptop.Key())
	fmt.Println(err)
	// Output:
	// 2 devices, <nil>
	// the device was revoked by its identity
}
