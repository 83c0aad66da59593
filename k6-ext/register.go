// Package wrpc is the k6 extension k6/x/wrpc, which calls wasm components over
// wRPC. Its files, in the order of a blast:
//
//   - register.go, module.go: the import, for the process and for each VU
//   - options.go: the options of a client
//   - blaster.go: wrpc.blaster(), blast() and blastAsync()
//   - caller.go: wrpc.client(), call() and callAsync(), with values by the package values
//   - promise.go: promises and tags, for the calls of both; the package trace begins traces
//   - meeting.go: wrpc.once() and wrpc.barrier(), by the package meeting
//   - wit.go: the functions that a client may call, from WIT files
//   - packet.go: the conversion of a packet from JavaScript
//   - client.go: the calls of a client, which the Rust library makes
//   - bridge.go: the completions of the Rust library
//   - metrics.go: the samples of a call, which the package iteration pushes
//   - transports.go: the samples of connections
//   - counts.go: the counters of the Rust library for them
//
// Only client.go, bridge.go, counts.go, wit.go, exchange.go (for HTTP) and the package
// record (k6's output encarno) use cgo.
package wrpc

import (
	"go.k6.io/k6/v2/ext"
	"go.k6.io/k6/v2/js/modules"

	"github.com/encarno/encarno/k6-ext/record"
)

const (
	moduleName = "k6/x/wrpc"
	// moduleVersion is the version of the repository. Go doesn't know the version of a module
	// that is built in its own folder, or that xk6 gets as a folder.
	moduleVersion = "v0.1.0"
	modulePath    = "github.com/encarno/encarno/k6-ext"
)

// commit is set by make with -ldflags.
var commit string

func init() {
	modules.Register(moduleName, new(RootModule))
	// `k6 version` needs this, and scripts that say "use k6 with k6/x/wrpc >= 0.1.0".
	ext.Get(ext.JSExtension)[moduleName].Version = fullVersion()
	// k6 can't find the path and the version of an output that is a function.
	output := ext.Get(ext.OutputExtension)[record.Name]
	output.Path, output.Version = modulePath+"/record", fullVersion()
}

// fullVersion returns the version with the commit in SemVer's format: v0.1.0+59828ee23a.
func fullVersion() string {
	if commit == "" {
		return moduleVersion
	}
	return moduleVersion + "+" + commit
}
