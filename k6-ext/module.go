package wrpc

import (
	"sync"

	"github.com/grafana/sobek"
	"go.k6.io/k6/v2/js/common"
	"go.k6.io/k6/v2/js/modules"
)

// RootModule is the module as k6 knows it: one for all VUs.
type RootModule struct {
	endIsAwaited sync.Once
	warned       sync.Map // warnings that were given
}

// ModuleInstance is the module of one VU. But for the root, nothing in it is shared
// between VUs.
type ModuleInstance struct {
	root        *RootModule
	vu          modules.VU
	clients     map[string]*client // by their options
	instruments instruments
	exports     modules.Exports
}

// NewModuleInstance makes the module of a VU that imports it.
func (root *RootModule) NewModuleInstance(vu modules.VU) modules.Instance {
	root.endIsAwaited.Do(func() { theReporter.reportAtEnd(vu) })
	instruments, err := newInstruments(vu.InitEnv().Registry)
	if err != nil {
		common.Throw(vu.Runtime(), err)
	}
	module := &ModuleInstance{root: root, vu: vu, clients: map[string]*client{}, instruments: instruments}
	module.exports = modules.Exports{Named: map[string]any{"blaster": module.blaster, "client": module.caller, "http": module.http}}
	return module
}

// Exports gives what a script sees.
func (module *ModuleInstance) Exports() modules.Exports {
	return module.exports
}

// client gives the VU's client of these options. All that a script opens with the same
// options shares it, and with it its connection.
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

// throw ends the script's function with a TypeError: the way to say that the
// script is wrong. What goes wrong with a call is a result instead.
func throw(runtime *sobek.Runtime, err error) {
	panic(runtime.NewTypeError("%s", err.Error()))
}
