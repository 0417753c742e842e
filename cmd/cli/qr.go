package cli

import (
	"strings"

	"rsc.io/qr"
)

// quiet is how many light modules are around a QR code in a terminal: scanners
// ask for four and are content with two.
const quiet = 2

// qrCode draws text with half blocks, light on dark, as a terminal shows it best;
// nothing if it is too long.
func qrCode(text string) string {
	code, err := qr.Encode(text, qr.L)
	if err != nil {
		return ""
	}
	dark := func(x, y int) bool {
		return x >= 0 && y >= 0 && x < code.Size && y < code.Size && code.Black(x, y)
	}
	var b strings.Builder
	for y := -quiet; y < code.Size+quiet; y += 2 {
		for x := -quiet; x < code.Size+quiet; x++ {
			// A light module is drawn, a dark one is the background.
			switch top, bottom := dark(x, y), dark(x, y+1); {
			case top && bottom:
				b.WriteByte(' ')
			case top:
				b.WriteRune('▄')
			case bottom:
				b.WriteRune('▀')
			default:
				b.WriteRune('█')
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}
