package wrpc

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/grafana/sobek"
	"go.k6.io/k6/v2/js/common"
	"go.k6.io/k6/v2/lib"
	"go.k6.io/k6/v2/metrics"

	"github.com/encarno/encarno/k6-ext/http"
	"github.com/encarno/encarno/k6-ext/iteration"
	"github.com/encarno/encarno/k6-ext/trace"
	"github.com/encarno/encarno/k6-ext/values"
)

var (
	errClientNotInInit = errors.New("wrpc.client() must be called in the init context, at the top of the script")
	errCallOnlyInInit  = errors.New("a call can't be made in the init context: put it into the default function")
)

// protocolViolation is the library's code of bytes that a function's type doesn't allow.
const protocolViolation = "protocol_violation"

// caller is what wrpc.client() gives to one VU: it calls any function that its WIT
// declares. All its methods run on the VU's goroutine.
type caller struct {
	module     *ModuleInstance
	client     *client
	interfaces *values.Interfaces
	options    callerOptions
	traced     float64 // the share of calls that begin a trace
	functions  map[string]*calledFunction

	tags     callTags
	promises iteration.Promises
}

// calledFunction is a function that was called, and its number in the library.
type calledFunction struct {
	*values.Function
	number uint64
}

// callerOptions are those of a client beside its transport.
type callerOptions struct {
	wit     string
	timeout time.Duration
	headers []http.Field
}

// caller is wrpc.client().
func (module *ModuleInstance) caller(call sobek.FunctionCall) sobek.Value {
	runtime := module.vu.Runtime()
	env := module.vu.InitEnv()
	if env == nil || module.vu.State() != nil {
		throw(runtime, errClientNotInInit)
	}
	opened, err := module.openCaller(env, call.Argument(0))
	if err != nil {
		throw(runtime, fmt.Errorf("wrpc.client(): %w", err))
	}
	object := runtime.NewObject()
	for name, method := range map[string]func(sobek.FunctionCall) sobek.Value{
		"call":      opened.call,
		"callAsync": opened.callAsync,
	} {
		if err := object.Set(name, method); err != nil {
			throw(runtime, err)
		}
	}
	return object
}

func (module *ModuleInstance) openCaller(env *common.InitEnvironment, given sobek.Value) (*caller, error) {
	traced, given, err := parseCallsTraced(module.vu.Runtime(), given)
	if err != nil {
		return nil, err
	}
	own, transport, err := splitOptions(module.vu.Runtime(), given)
	if err != nil {
		return nil, err
	}
	options, err := parseOptions(env, transport)
	if err != nil {
		return nil, err
	}
	interfaces, err := interfacesOf(env, own.wit)
	if err != nil {
		return nil, fmt.Errorf("wit: %w", err)
	}
	client, err := module.client(options)
	if err != nil {
		return nil, err
	}
	opened := &caller{
		module: module, client: client, interfaces: interfaces, options: own, traced: traced,
		functions: map[string]*calledFunction{},
	}
	opened.tags.own = options.tags
	opened.promises.GiveUp = client.cancel
	return opened, nil
}

// splitOptions takes out what is the caller's: the rest is the transport's, and the tags.
func splitOptions(runtime *sobek.Runtime, given sobek.Value) (callerOptions, sobek.Value, error) {
	own := callerOptions{timeout: timeoutDefault}
	object, err := asObject(given)
	if err != nil {
		return own, nil, fmt.Errorf("options: %w", err)
	}
	if object == nil {
		return own, nil, errors.New("options are missing: { nats: { url }, wit } or { tcp: { addr }, wit } is the least")
	}
	rest := runtime.NewObject()
	for _, key := range object.Keys() {
		value := object.Get(key)
		if common.IsNullish(value) && key != "wit" {
			continue
		}
		switch key {
		case "wit":
			text, ok := value.(sobek.String)
			if !ok || text.String() == "" {
				return own, nil, fmt.Errorf("wit: the name of a file or a folder of WIT is expected, not %s", typeName(value))
			}
			own.wit = text.String()
		case "timeout":
			if own.timeout, err = parseTimeout(value); err != nil {
				return own, nil, fmt.Errorf("timeout: %w", err)
			}
		case "headers":
			if own.headers, err = parseCallHeaders(value); err != nil {
				return own, nil, err
			}
		default:
			if err := rest.Set(key, value); err != nil {
				return own, nil, err
			}
		}
	}
	if own.wit == "" {
		return own, nil, errors.New("wit is missing: the file or the folder of the WIT that declares what is called")
	}
	return own, rest, nil
}

func parseCallHeaders(value sobek.Value) ([]http.Field, error) {
	tags, err := parseTags(value) // texts by their names, in order
	if err != nil {
		return nil, errors.New("headers: an object of names and texts is expected")
	}
	headers := make([]http.Field, len(tags))
	for index, tag := range tags {
		headers[index] = http.Field{Name: tag.name, Value: tag.value}
	}
	return headers, nil
}

// preparedCall is a call that is made next.
type preparedCall struct {
	function *calledFunction
	params   []byte
	state    *lib.State
	tags     metrics.TagsAndMeta
	headers  []http.Field
}

// call is client.call(): it blocks the VU until the call's end.
func (caller *caller) call(jsCall sobek.FunctionCall) sobek.Value {
	prepared := caller.prepare("call", jsCall)
	ctx := caller.module.vu.Context()
	done, err := caller.client.callFunction(ctx, caller.carried(&prepared))
	if err != nil {
		throw(caller.module.vu.Runtime(), fmt.Errorf("call(): %w", err))
	}
	value := caller.decode(&prepared, &done)
	caller.module.instruments.pushCall(ctx, prepared.state, prepared.tags, &done)
	return caller.toResult(&done, value)
}

// callAsync is client.callAsync(): it gives a promise of call's result.
func (caller *caller) callAsync(jsCall sobek.FunctionCall) sobek.Value {
	prepared := caller.prepare("callAsync", jsCall)
	ctx := caller.module.vu.Context()
	submit := func(notify func(*call)) error {
		return caller.client.submitFunction(caller.carried(&prepared), notify)
	}
	return caller.module.promise("callAsync", caller.client, &caller.promises, submit, func(done *completion) sobek.Value {
		value := caller.decode(&prepared, done)
		caller.module.instruments.pushCall(ctx, prepared.state, prepared.tags, done)
		return caller.toResult(done, value)
	})
}

func (caller *caller) carried(prepared *preparedCall) functionCall {
	return functionCall{
		function: prepared.function.number,
		params:   prepared.params,
		headers:  prepared.headers,
		timeout:  caller.options.timeout,
	}
}

func (caller *caller) prepare(method string, jsCall sobek.FunctionCall) preparedCall {
	runtime := caller.module.vu.Runtime()
	state := caller.module.vu.State()
	if state == nil {
		throw(runtime, errCallOnlyInInit)
	}
	name, ok := jsCall.Argument(0).(sobek.String)
	if !ok {
		throw(runtime, fmt.Errorf("%s(): the name of a function is expected, such as \"a:b/c@1.0.0.run\", not %s",
			method, typeName(jsCall.Argument(0))))
	}
	function, err := caller.function(name.String())
	if err != nil {
		throw(runtime, fmt.Errorf("%s(): %w", method, err))
	}
	params, err := function.Encode(jsCall.Arguments[1:])
	if err != nil {
		throw(runtime, fmt.Errorf("%s(): %s: %w", method, function.FullName(), err))
	}
	tags := caller.tags.with(state.Tags.GetCurrentValues())
	tags.Tags = tags.Tags.With("function", function.FullName())
	headers := caller.options.headers
	if begun := trace.Begin(caller.traced); begun.IsThere() {
		headers = append(slices.Clone(headers), http.Field{Name: "traceparent", Value: begun.Traceparent()})
		tags = begun.Mark(tags)
	}
	return preparedCall{function: function, params: params, state: state, tags: tags, headers: headers}
}

// function finds a function, and tells the library of it when it is called first.
func (caller *caller) function(name string) (*calledFunction, error) {
	if known := caller.functions[name]; known != nil {
		return known, nil
	}
	declared, err := caller.interfaces.Function(name)
	if err != nil {
		return nil, err
	}
	number, err := caller.client.openFunction(declared.Interface, declared.Name)
	if err != nil {
		return nil, err
	}
	opened := &calledFunction{Function: declared, number: number}
	caller.functions[name] = opened
	return opened, nil
}

// decode gives the results as JavaScript has them. Results that can't be are a failure.
func (caller *caller) decode(prepared *preparedCall, done *completion) sobek.Value {
	if done.errorCode != "" {
		return sobek.Undefined()
	}
	value, err := prepared.function.Decode(caller.module.vu.Runtime(), done.results)
	if err != nil {
		done.errorCode = protocolViolation
		done.errorText = prepared.function.FullName() + ": " + err.Error()
		return sobek.Undefined()
	}
	return value
}

func (caller *caller) toResult(done *completion, value sobek.Value) sobek.Value {
	result := caller.module.vu.Runtime().NewObject()
	// These can't fail: the object is new and ordinary.
	_ = result.Set("ok", done.errorCode == "")
	_ = result.Set("value", value)
	_ = result.Set("error", done.errorText)
	_ = result.Set("error_code", done.errorCode)
	_ = result.Set("duration", float64(done.finished)/float64(time.Millisecond))
	return result
}
