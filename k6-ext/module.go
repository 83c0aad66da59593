package wrpc

import (
	"sync"

	"github.com/grafana/sobek"
	"go.k6.io/k6/v2/js/common"
	"go.k6.io/k6/v2/js/modules"
)

// RootModule is the module that k6 registers. All VUs share it.
type RootModule struct {
	endIsAwaited sync.Once
	warned       sync.Map // warnings that were logged
}

// ModuleInstance is the module of one VU. VUs share only its root.
type ModuleInstance struct {
	root        *RootModule
	vu          modules.VU
	clients     map[string]*client // by their options
	instruments instruments
	exports     modules.Exports
}

// NewModuleInstance returns the module of a VU that imports it.
func (root *RootModule) NewModuleInstance(vu modules.VU) modules.Instance {
	root.endIsAwaited.Do(func() { theReporter.reportAtEnd(vu) })
	instruments, err := newInstruments(vu.InitEnv().Registry)
	if err != nil {
		common.Throw(vu.Runtime(), err)
	}
	module := &ModuleInstance{root: root, vu: vu, clients: map[string]*client{}, instruments: instruments}
	module.exports = modules.Exports{Named: map[string]any{
		"blaster": module.blaster, "client": module.caller, "http": module.http,
		"once": module.once, "barrier": module.barrier,
	}}
	return module
}

// Exports returns the functions for scripts.
func (module *ModuleInstance) Exports() modules.Exports {
	return module.exports
}

// client returns the VU's client for these options. Objects of a script with the same options
// share a client, and so its connection.
func (module *ModuleInstance) client(options options) (*client, error) {
	key := string(options.json)
	if opened := module.clients[key]; opened != nil {
		return opened, nil
	}
	opened, err := openClient(options.json)
	if err == nil {
		module.clients[key] = opened
	}
	return opened, err
}

// throw ends the script's function with a TypeError, for a mistake in the script. A call that
// fails returns its error as a result instead.
func throw(runtime *sobek.Runtime, err error) {
	panic(runtime.NewTypeError("%s", err.Error()))
}
