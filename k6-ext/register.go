// Package wrpc is the k6 extension k6/x/wrpc: it calls wasm components over
// wRPC. The files in the order in which a blast meets them:
//
//   - register.go, module.go: the import, once for all and once for each VU
//   - options.go: the options of a client
//   - blaster.go: wrpc.blaster(), blast() and blastAsync()
//   - packet.go: the packet, from JavaScript to numbers and bytes
//   - bridge.go: the way to the Rust library and back
//   - metrics.go: what a call leaves in k6's results, by the package iteration
//   - transports.go: what the connections leave there
//   - counts.go: what Rust counted for that; with bridge.go, all of the cgo
package wrpc

import "go.k6.io/k6/v2/js/modules"

func init() {
	modules.Register("k6/x/wrpc", new(RootModule))
}
