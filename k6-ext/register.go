// Package wrpc is the k6 extension k6/x/wrpc: it calls wasm components over
// wRPC. The files in the order in which a blast meets them:
//
//   - register.go, module.go: the import, once for all and once for each VU
//   - options.go: the options of a client
//   - blaster.go: wrpc.blaster(), blast() and blastAsync()
//   - packet.go: the packet, from JavaScript to numbers and bytes
//   - client.go: the calls of a client, given to the Rust library
//   - bridge.go: the way back from there
//   - metrics.go: what a call leaves in k6's results, by the package iteration
//   - transports.go: what the connections leave there
//   - counts.go: what Rust counted for that
//
// All of the cgo is in client.go, bridge.go, counts.go and, for HTTP, exchange.go.
package wrpc

import "go.k6.io/k6/v2/js/modules"

func init() {
	modules.Register("k6/x/wrpc", new(RootModule))
}
