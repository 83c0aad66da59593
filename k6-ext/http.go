package wrpc

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/grafana/sobek"
	"go.k6.io/k6/v2/js/common"
	"go.k6.io/k6/v2/metrics"

	"github.com/encarno/encarno/k6-ext/http"
)

// http implements wrpc.http(): the functions of k6/http, over a link.
func (module *ModuleInstance) http(call sobek.FunctionCall) sobek.Value {
	runtime := module.vu.Runtime()
	env := module.vu.InitEnv()
	if env == nil || module.vu.State() != nil {
		throw(runtime, errHTTPNotInInit)
	}
	families, rest, err := parseFamilies(runtime, call.Argument(0))
	if err != nil {
		throw(runtime, fmt.Errorf("wrpc.http(): %w", err))
	}
	traced, rest, err := parseTraced(runtime, rest)
	if err != nil {
		throw(runtime, fmt.Errorf("wrpc.http(): %w", err))
	}
	options, err := parseOptions(env, rest)
	if err != nil {
		throw(runtime, fmt.Errorf("wrpc.http(): %w", err))
	}
	client, err := module.client(options)
	if err != nil {
		throw(runtime, fmt.Errorf("wrpc.http(): %w", err))
	}
	object, err := http.New(module.vu, http.Config{
		Exchanger:   &link{client: client},
		Instruments: module.instruments.http,
		Families:    families,
		Traced:      traced,
		Warned:      &module.root.warned,
		AddTags:     func(set *metrics.TagSet) *metrics.TagSet { return withTags(set, options.tags) },
	})
	if err != nil {
		throw(runtime, fmt.Errorf("wrpc.http(): %w", err))
	}
	return object
}

// parseFamilies takes the option metrics, which is ours alone, out of the options.
func parseFamilies(runtime *sobek.Runtime, value sobek.Value) (http.Families, sobek.Value, error) {
	families := http.Families{HTTP: true, WRPC: true}
	object, err := asObject(value)
	if err != nil || object == nil || common.IsNullish(object.Get("metrics")) {
		return families, value, nil // parseOptions reports errors of the options
	}
	rest := without(runtime, object, "metrics")
	given := object.Get("metrics")
	var names []string
	if err := runtime.ExportTo(given, &names); err != nil || kindOf(given) != reflect.Slice {
		names = []string{given.String()}
	}
	families = http.Families{}
	for _, name := range names {
		switch name {
		case "http":
			families.HTTP = true
		case "wrpc":
			families.WRPC = true
		default:
			return families, nil, fmt.Errorf(`metrics: %q isn't known: "http", "wrpc", or a list of both is expected`, name)
		}
	}
	if len(names) == 0 {
		return families, nil, errors.New(`metrics: the list is empty: "http", "wrpc" or both is expected`)
	}
	return families, rest, nil
}
