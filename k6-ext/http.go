package wrpc

import (
	"fmt"

	"github.com/grafana/sobek"
	"go.k6.io/k6/v2/metrics"

	"github.com/encarno/encarno/k6-ext/http"
)

// http is wrpc.http(): the functions of k6/http, over a link.
func (module *ModuleInstance) http(call sobek.FunctionCall) sobek.Value {
	runtime := module.vu.Runtime()
	if module.vu.InitEnv() == nil || module.vu.State() != nil {
		throw(runtime, errHTTPNotInInit)
	}
	options, err := parseOptions(runtime, call.Argument(0))
	if err != nil {
		throw(runtime, fmt.Errorf("wrpc.http(): %w", err))
	}
	client, err := openClient(options.json)
	if err != nil {
		throw(runtime, fmt.Errorf("wrpc.http(): %w", err))
	}
	addTags := func(set *metrics.TagSet) *metrics.TagSet { return withTags(set, options.tags) }
	object, err := http.New(module.vu, &link{client: client}, module.instruments.http, addTags)
	if err != nil {
		throw(runtime, fmt.Errorf("wrpc.http(): %w", err))
	}
	return object
}
