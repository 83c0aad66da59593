// Package wrpc is the k6 extension k6/x/wrpc: it calls wasm components over
// wRPC. The files in the order in which a blast meets them:
//
//   - register.go, module.go: the import, once for all and once for each VU
//   - options.go: the options of a client
//   - blaster.go: wrpc.blaster(), blast() and blastAsync()
//   - caller.go: wrpc.client(), call() and callAsync(), with values by the package values
//   - promise.go: what the calls of both share: promises of their ends, and tags
//   - wit.go: the functions that a client may call, from files of WIT
//   - packet.go: the packet, from JavaScript to numbers and bytes
//   - client.go: the calls of a client, given to the Rust library
//   - bridge.go: the way back from there
//   - metrics.go: what a call leaves in k6's results, by the package iteration
//   - transports.go: what the connections leave there
//   - counts.go: what Rust counted for that
//
// All of the cgo is in client.go, bridge.go, counts.go, wit.go and, for HTTP, exchange.go; and in the package
// record, which is k6's output encarno.
package wrpc

import (
	"go.k6.io/k6/v2/ext"
	"go.k6.io/k6/v2/js/modules"

	"github.com/encarno/encarno/k6-ext/record"
)

const (
	moduleName = "k6/x/wrpc"
	// moduleVersion is that of the repository. It is told to k6 by us: Go knows none of a module
	// that is built in its own folder, or that xk6 was given as a folder.
	moduleVersion = "v0.1.0"
	modulePath    = "github.com/encarno/encarno/k6-ext"
)

// commit is set by make, with -ldflags.
var commit string

func init() {
	modules.Register(moduleName, new(RootModule))
	// For `k6 version`, and for scripts that say "use k6 with k6/x/wrpc >= 0.1.0".
	ext.Get(ext.JSExtension)[moduleName].Version = fullVersion()
	// k6 finds neither path nor version of an output that is a function.
	output := ext.Get(ext.OutputExtension)[record.Name]
	output.Path, output.Version = modulePath+"/record", fullVersion()
}

// fullVersion is the version with the commit, as SemVer has it: v0.1.0+59828ee23a.
func fullVersion() string {
	if commit == "" {
		return moduleVersion
	}
	return moduleVersion + "+" + commit
}
