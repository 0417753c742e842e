//go:build !linux

package rtc

import "net"

func force(*net.UDPConn) {}
