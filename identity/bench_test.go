package identity

import (
	"fmt"
	"testing"
)

// BenchmarkReadHalo reads chains as they come from a peer.
func BenchmarkReadHalo(b *testing.B) {
	for _, devices := range []int{1, 3, 20} {
		b.Run(fmt.Sprint(devices, " devices"), func(b *testing.B) {
			d := device(b, 0, "Ada")
			for i := range devices - 1 {
				j, err := NewDeviceRequest(nil, d.Identity(), fmt.Sprint(i))
				if err != nil {
					b.Fatal(err)
				}
				if _, err := d.AddDevice(j.Request()); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ReadHalo(d.Chain()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkSeal(b *testing.B) {
	d := device(b, 0, "Ada")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Seal(d.SealKey(), "info", make([]byte, 32)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpenSealed(b *testing.B) {
	d := device(b, 0, "Ada")
	box, err := Seal(d.SealKey(), "info", make([]byte, 32))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.OpenSealed("info", box); err != nil {
			b.Fatal(err)
		}
	}
}
