package web

import "net/http"

// appPolicy confines an app to its own origin: it may load and talk to nothing
// else, so what it reads in the space cannot be sent away by a request. Styles
// may be inline and pictures, fonts and sounds may be data: or blob: URLs,
// because build tools write those and none of them reaches the network.
const appPolicy = "default-src 'self'; connect-src 'self'; script-src 'self' 'wasm-unsafe-eval'; " +
	"style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; " +
	"media-src 'self' data: blob:; worker-src 'self' blob:; object-src 'none'; base-uri 'none'; " +
	"form-action 'self'; frame-ancestors 'none'; webrtc 'block'"

// pagePolicy is for our own pages, which load nothing.
const pagePolicy = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

const denied = "accelerometer=(), ambient-light-sensor=(), autoplay=(self), bluetooth=(), camera=(), " +
	"display-capture=(), geolocation=(), gyroscope=(), hid=(), idle-detection=(), local-fonts=(), " +
	"magnetometer=(), microphone=(), midi=(), payment=(), publickey-credentials-get=(), " +
	"screen-wake-lock=(), serial=(), usb=(), window-management=(), xr-spatial-tracking=()"

// secure sets the headers every answer carries, whatever it is.
func secure(h http.Header, policy string) {
	h.Set("Content-Security-Policy", policy)
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Embedder-Policy", "require-corp")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Origin-Agent-Cluster", "?1")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Permissions-Policy", denied)
	h.Set("Cache-Control", "no-cache")
}
