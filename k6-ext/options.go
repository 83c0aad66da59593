package wrpc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"sort"

	"github.com/grafana/sobek"
	"go.k6.io/k6/v2/js/common"
)

// options are the options of wrpc.blaster(). The Rust library checks the keys. The tags are for
// k6, and are checked here.
type options struct {
	json []byte // without tags and with sorted keys, so that equal options are equal texts
	tags []tag
}

type tag struct{ name, value string }

var errTracedTCP = errors.New("traceparent: wRPC over TCP can't carry the headers of a call: use NATS, or leave traceparent out")

func parseOptions(env *common.InitEnvironment, value sobek.Value) (options, error) {
	object, err := asObject(value)
	if err != nil {
		return options{}, fmt.Errorf("options: %w", err)
	}
	if object == nil {
		return options{}, errors.New("options are missing: give at least { nats: { url } } or { tcp: { addr } }")
	}
	tags, err := parseTags(object.Get("tags"))
	if err != nil {
		return options{}, err
	}
	written, err := object.MarshalJSON()
	if err != nil {
		return options{}, fmt.Errorf("options: %w", err)
	}
	return options{json: normalised(env, written), tags: tags}, nil
}

func normalised(env *common.InitEnvironment, written []byte) []byte {
	decoder := json.NewDecoder(bytes.NewReader(written))
	decoder.UseNumber()
	var keys map[string]any
	if decoder.Decode(&keys) != nil {
		return written // the library reports the error
	}
	delete(keys, "tags")
	findFiles(env, keys)
	ordered, err := json.Marshal(keys)
	if err != nil {
		return written
	}
	return ordered
}

// parseTraced takes the option traceparent, which the library doesn't know, out of the options.
func parseTraced(runtime *sobek.Runtime, value sobek.Value) (float64, sobek.Value, error) {
	object, err := asObject(value)
	if err != nil || object == nil || common.IsNullish(object.Get("traceparent")) {
		return 0, value, nil // parseOptions reports errors of the options
	}
	given := object.Get("traceparent")
	share := given.ToFloat()
	if kind := kindOf(given); kind != reflect.Int64 && kind != reflect.Float64 || !(share >= 0 && share <= 1) {
		return 0, nil, fmt.Errorf("traceparent: the share of calls that begin a trace is expected, from 0 to 1, not %s", typeName(given))
	}
	return share, without(runtime, object, "traceparent"), nil
}

// parseCallsTraced does so for calls that aren't HTTP: only NATS carries their headers.
func parseCallsTraced(runtime *sobek.Runtime, value sobek.Value) (float64, sobek.Value, error) {
	share, rest, err := parseTraced(runtime, value)
	if err != nil || share == 0 {
		return share, rest, err
	}
	if object, err := asObject(rest); err == nil && object != nil && !common.IsNullish(object.Get("tcp")) {
		return 0, nil, errTracedTCP
	}
	return share, rest, nil
}

func without(runtime *sobek.Runtime, object *sobek.Object, left string) *sobek.Object {
	rest := runtime.NewObject()
	for _, key := range object.Keys() {
		if key != left {
			_ = rest.Set(key, object.Get(key)) // it is new and ordinary
		}
	}
	return rest
}

// parseTags returns the tags sorted by their names, so that equal tags make equal tag sets in
// the same steps.
func parseTags(value sobek.Value) ([]tag, error) {
	object, err := asObject(value)
	if err != nil {
		return nil, fmt.Errorf("tags: %w", err)
	}
	if object == nil {
		return nil, nil
	}
	names := object.Keys()
	sort.Strings(names)
	tags := make([]tag, 0, len(names))
	for _, name := range names {
		value := object.Get(name)
		switch kindOf(value) {
		case reflect.String, reflect.Bool, reflect.Int64, reflect.Float64:
			tags = append(tags, tag{name, value.String()})
		default:
			return nil, fmt.Errorf("tags.%s: a tag must be a string, a number or a boolean, not %s", name, typeName(value))
		}
	}
	return tags, nil
}

// asObject returns nil for undefined and null.
func asObject(value sobek.Value) (*sobek.Object, error) {
	if common.IsNullish(value) {
		return nil, nil
	}
	object, ok := value.(*sobek.Object)
	if !ok || object.ClassName() != "Object" {
		return nil, fmt.Errorf("an object is expected, not %s", typeName(value))
	}
	return object, nil
}

func kindOf(value sobek.Value) reflect.Kind {
	if common.IsNullish(value) {
		return reflect.Invalid
	}
	if exported := value.ExportType(); exported != nil {
		return exported.Kind()
	}
	return reflect.Invalid
}

// typeName returns the name that JavaScript developers use for the type of a value.
func typeName(value sobek.Value) string {
	switch {
	case value == nil || sobek.IsUndefined(value):
		return "undefined"
	case sobek.IsNull(value):
		return "null"
	}
	switch kindOf(value) {
	case reflect.String:
		return fmt.Sprintf("the string %q", value.String())
	case reflect.Bool:
		return "the boolean " + value.String()
	case reflect.Int64, reflect.Float64:
		return "the number " + value.String()
	}
	if object, ok := value.(*sobek.Object); ok {
		return "an object of class " + object.ClassName()
	}
	return value.String()
}
