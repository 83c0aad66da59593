package http

import (
	"errors"
	"net/http"

	"github.com/grafana/sobek"
	"go.k6.io/k6/v2/js/common"
	"go.k6.io/k6/v2/js/modules"
	k6http "go.k6.io/k6/v2/js/modules/k6/http"
	"go.k6.io/k6/v2/lib"
	"go.k6.io/k6/v2/metrics"

	"github.com/encarno/encarno/k6-ext/iteration"
)

var errNotInInit = errors.New("a request can't be made in the init context: put it into the default function")

// Client is what wrpc.http() gives to one VU. All its methods run on the VU's
// goroutine.
type Client struct {
	vu          modules.VU
	exchanger   Exchanger
	instruments *Instruments
	families    Families
	addTags     func(*metrics.TagSet) *metrics.TagSet

	// What a response is judged by where its request doesn't say; nil: not at all.
	expected *expectedStatuses

	// Tags of the VU as they were at the last call, and with ours added: they change
	// rarely.
	tagsBefore, tagsAfter *metrics.TagSet

	promises iteration.Promises
}

// Config is what a client needs.
type Config struct {
	Exchanger   Exchanger
	Instruments *Instruments
	Families    Families
	// AddTags adds those of the client to a VU's.
	AddTags func(*metrics.TagSet) *metrics.TagSet
}

// New makes the object that a script calls k6/http's functions of.
func New(vu modules.VU, config Config) (*sobek.Object, error) {
	client := &Client{
		vu:          vu,
		exchanger:   config.Exchanger,
		instruments: config.Instruments,
		families:    config.Families,
		addTags:     config.AddTags,
		expected:    defaultExpected,
		promises:    iteration.Promises{GiveUp: config.Exchanger.Cancel},
	}
	// What makes no requests is k6's: url, file, cookieJar, CookieJar and the constants.
	object, ok := k6http.New().NewModuleInstance(vu).Exports().Default.(*sobek.Object)
	if !ok {
		return nil, errors.New("k6/http exports something else than expected")
	}
	functions := map[string]func(sobek.FunctionCall) sobek.Value{
		"get":                 client.bodiless("get", http.MethodGet),
		"head":                client.bodiless("head", http.MethodHead),
		"post":                client.bodied("post", http.MethodPost),
		"put":                 client.bodied("put", http.MethodPut),
		"patch":               client.bodied("patch", http.MethodPatch),
		"del":                 client.bodied("del", http.MethodDelete),
		"options":             client.bodied("options", http.MethodOptions),
		"request":             client.request,
		"asyncRequest":        client.asyncRequest,
		"batch":               client.batch,
		"expectedStatuses":    client.expectedStatuses,
		"setResponseCallback": client.setResponseCallback,
	}
	for name, function := range functions {
		if err := object.Set(name, function); err != nil {
			return nil, err
		}
	}
	return object, nil
}

// bodiless is get and head: (url, params).
func (client *Client) bodiless(name, method string) func(sobek.FunctionCall) sobek.Value {
	return func(call sobek.FunctionCall) sobek.Value {
		if state := client.vu.State(); state != nil && len(call.Arguments) > 2 {
			state.Logger.Warnf("http.%s only accepts a url and a params argument (2 arguments), but %d were given",
				name, len(call.Arguments))
		}
		return client.perform(name, arguments{method, call.Argument(0), nil, call.Argument(1)})
	}
}

// bodied is the rest: (url, body, params).
func (client *Client) bodied(name, method string) func(sobek.FunctionCall) sobek.Value {
	return func(call sobek.FunctionCall) sobek.Value {
		return client.perform(name, arguments{method, call.Argument(0), call.Argument(1), call.Argument(2)})
	}
}

// request is request(method, url, body, params).
func (client *Client) request(call sobek.FunctionCall) sobek.Value {
	return client.perform("request", client.ofRequest("request", call))
}

// ofRequest reads the arguments of request and asyncRequest.
func (client *Client) ofRequest(name string, call sobek.FunctionCall) arguments {
	method := call.Argument(0)
	if common.IsNullish(method) || !isToken(method.String()) {
		client.throw(name, misuse{errors.New("the method must be a token such as GET")})
	}
	return arguments{method.String(), call.Argument(1), call.Argument(2), call.Argument(3)}
}

// perform makes a request and waits for its response.
func (client *Client) perform(name string, given arguments) sobek.Value {
	response, err := client.do(name, given)
	if err != nil {
		client.throw(name, err)
	}
	return client.vu.Runtime().ToValue(response)
}

func (client *Client) do(name string, given arguments) (*Response, error) {
	state := client.stateFor(name)
	call, err := client.parse(state, given)
	if err != nil {
		return client.unparsed(state, err)
	}
	ctx := client.vu.Context()
	if state.RPSLimit != nil {
		if err := state.RPSLimit.Wait(ctx); err != nil {
			return nil, err
		}
	}
	for request := call.begin(); request != nil; {
		request = call.step(client.exchanger.Wait(ctx, request))
	}
	return call.result()
}

// stateFor is the VU's state, without which there are no requests.
func (client *Client) stateFor(name string) *lib.State {
	state := client.vu.State()
	if state == nil {
		client.throw(name, errNotInInit)
	}
	return state
}

// unparsed is what becomes of arguments that k6/http doesn't throw for.
func (client *Client) unparsed(state *lib.State, err error) (*Response, error) {
	if _, ok := errors.AsType[misuse](err); ok || state.Options.Throw.Bool {
		return nil, err
	}
	state.Logger.WithField("error", err).Warn("Request Failed")
	return client.failed(err), nil
}

// throw ends the script's call.
func (client *Client) throw(name string, err error) {
	runtime := client.vu.Runtime()
	if misuse, ok := errors.AsType[misuse](err); ok {
		panic(runtime.NewTypeError("%s(): %v", name, misuse))
	}
	common.Throw(runtime, err)
}

// tags are those of the VU with those of the client.
func (client *Client) tags(state *lib.State) metrics.TagsAndMeta {
	tags := state.Tags.GetCurrentValues()
	if tags.Tags != client.tagsBefore {
		client.tagsBefore = tags.Tags
		client.tagsAfter = client.addTags(tags.Tags)
	}
	tags.Tags = client.tagsAfter
	return tags
}
