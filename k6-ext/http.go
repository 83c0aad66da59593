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

// http is wrpc.http(): the functions of k6/http, over a link.
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
		return families, value, nil // what is wrong with the options is said where they are read
	}
	rest := runtime.NewObject()
	for _, key := range object.Keys() {
		if key != "metrics" {
			_ = rest.Set(key, object.Get(key)) // it is new and ordinary
		}
	}
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
