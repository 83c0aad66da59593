package http

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/grafana/sobek"
	"go.k6.io/k6/v2/js/common"
	"go.k6.io/k6/v2/js/modules"
	k6http "go.k6.io/k6/v2/js/modules/k6/http"
	"go.k6.io/k6/v2/lib"
	"go.k6.io/k6/v2/metrics"

	"github.com/encarno/encarno/k6-ext/iteration"
)

var errNotInInit = errors.New("a request can't be made in the init context: put it into the default function")

// Client is the client of a VU that wrpc.http() makes. All its methods run on the VU's
// goroutine.
type Client struct {
	vu          modules.VU
	exchanger   Exchanger
	instruments *Instruments
	families    Families
	traced      float64
	// Whether thresholds were compared with the families.
	thresholdsRead bool
	warned         *sync.Map
	addTags        func(*metrics.TagSet) *metrics.TagSet

	// The expected statuses, if a request doesn't set its own. nil means
	// that responses aren't judged.
	expected *expectedStatuses

	// The tags of the VU at the last call, and the same with the client's tags added.
	// They are kept because they change rarely.
	tagsBefore, tagsAfter *metrics.TagSet

	promises iteration.Promises
}

// Config has the parts of a client.
type Config struct {
	Exchanger   Exchanger
	Instruments *Instruments
	Families    Families
	// Traced is the share of requests that begin a trace, from 0 to 1.
	Traced float64
	// Warned has the warnings that were given. VUs share it.
	Warned *sync.Map
	// AddTags adds the client's tags to a VU's.
	AddTags func(*metrics.TagSet) *metrics.TagSet
}

// New returns the object with the functions of k6/http for a script.
func New(vu modules.VU, config Config) (*sobek.Object, error) {
	client := &Client{
		vu:          vu,
		exchanger:   config.Exchanger,
		instruments: config.Instruments,
		families:    config.Families,
		traced:      config.Traced,
		warned:      config.Warned,
		addTags:     config.AddTags,
		expected:    defaultExpected,
		promises:    iteration.Promises{GiveUp: config.Exchanger.Cancel},
	}
	exported, ok := k6http.New().NewModuleInstance(vu).Exports().Default.(*sobek.Object)
	if !ok {
		return nil, errors.New("k6/http exports something else than expected")
	}
	return client.inPlaceOf(exported)
}

// inPlaceOf returns an object to use instead of k6/http's. It has the client's functions, and
// those of k6's that make no requests. Both are lists of names, so that a function of a later k6
// can't send requests over k6's own network.
func (client *Client) inPlaceOf(exported *sobek.Object) (*sobek.Object, error) {
	ours := map[string]func(sobek.FunctionCall) sobek.Value{
		"get":                 client.bodiless("get", http.MethodGet),
		"head":                client.bodiless("head", http.MethodHead),
		"post":                client.bodied(http.MethodPost),
		"put":                 client.bodied(http.MethodPut),
		"patch":               client.bodied(http.MethodPatch),
		"del":                 client.bodied(http.MethodDelete),
		"options":             client.bodied(http.MethodOptions),
		"request":             client.request,
		"asyncRequest":        client.asyncRequest,
		"batch":               client.batch,
		"expectedStatuses":    client.expectedStatuses,
		"setResponseCallback": client.setResponseCallback,
	}
	theirs := []string{"url", "file", "cookieJar", "CookieJar"}
	object := client.vu.Runtime().NewObject()
	for _, name := range exported.Keys() {
		var err error
		switch function, isOurs := ours[name]; {
		case isOurs:
			err = object.Set(name, function)
		case slices.Contains(theirs, name):
			err = object.Set(name, exported.Get(name))
		case strings.HasPrefix(name, "TLS_"), strings.HasPrefix(name, "OCSP_"):
			err = object.DefineDataProperty(name, exported.Get(name), sobek.FLAG_FALSE, sobek.FLAG_FALSE, sobek.FLAG_TRUE)
		}
		if err != nil {
			return nil, err
		}
	}
	return object, nil
}

// bodiless implements get and head, with the arguments (url, params).
func (client *Client) bodiless(name, method string) func(sobek.FunctionCall) sobek.Value {
	return func(call sobek.FunctionCall) sobek.Value {
		if state := client.vu.State(); state != nil && len(call.Arguments) > 2 {
			state.Logger.Warnf("http.%s only accepts a url and a params argument (2 arguments), but %d were given",
				name, len(call.Arguments))
		}
		return client.perform(arguments{method, call.Argument(0), nil, call.Argument(1)})
	}
}

// bodied implements the other methods, with the arguments (url, body, params).
func (client *Client) bodied(method string) func(sobek.FunctionCall) sobek.Value {
	return func(call sobek.FunctionCall) sobek.Value {
		return client.perform(arguments{method, call.Argument(0), call.Argument(1), call.Argument(2)})
	}
}

// request implements request(method, url, body, params).
func (client *Client) request(call sobek.FunctionCall) sobek.Value {
	return client.perform(ofRequest(call))
}

// ofRequest reads the arguments of request and asyncRequest. A missing method is empty, and is
// sent as GET.
func ofRequest(call sobek.FunctionCall) arguments {
	given := arguments{"", call.Argument(1), call.Argument(2), call.Argument(3)}
	if method := call.Argument(0); !common.IsNullish(method) {
		given.method = method.String()
	}
	return given
}

// warnOfThresholds warns of thresholds on metrics of a family that these requests don't emit,
// because no request can break them.
func (client *Client) warnOfThresholds(state *lib.State) {
	if client.thresholdsRead {
		return
	}
	client.thresholdsRead = true
	for name := range state.Options.Thresholds {
		var family string
		switch {
		case !client.families.HTTP && strings.HasPrefix(name, "http_req"):
			family = "wrpc"
		case !client.families.WRPC && strings.HasPrefix(name, "wrpc_http"):
			family = "http"
		default:
			continue
		}
		client.warnOnce(state, fmt.Sprintf(
			`the threshold on %s sees no request of wrpc.http(): metrics: %q leaves that metric out`, name, family))
	}
}

// warnOnce logs a warning once for all VUs.
func (client *Client) warnOnce(state *lib.State, message string) {
	if _, isKnown := client.warned.LoadOrStore(message, true); !isKnown {
		state.Logger.Warn(message)
	}
}

// perform makes a request and waits for its response.
func (client *Client) perform(given arguments) sobek.Value {
	response, err := client.do(given)
	if err != nil {
		common.Throw(client.vu.Runtime(), err)
	}
	return client.vu.Runtime().ToValue(response)
}

func (client *Client) do(given arguments) (*Response, error) {
	state := client.stateFor()
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

// stateFor returns the VU's state. It throws in the init context, where there is none.
func (client *Client) stateFor() *lib.State {
	state := client.vu.State()
	if state == nil {
		common.Throw(client.vu.Runtime(), errNotInInit)
	}
	client.warnOfThresholds(state)
	return state
}

// unparsed returns the response or the error for arguments that can't be read.
func (client *Client) unparsed(state *lib.State, err error) (*Response, error) {
	if state.Options.Throw.Bool {
		return nil, err
	}
	state.Logger.WithField("error", err).Warn("Request Failed")
	return client.failed(err), nil
}

// tags returns the tags of the VU and the client.
func (client *Client) tags(state *lib.State) metrics.TagsAndMeta {
	tags := state.Tags.GetCurrentValues()
	if tags.Tags != client.tagsBefore {
		client.tagsBefore = tags.Tags
		client.tagsAfter = client.addTags(tags.Tags)
	}
	tags.Tags = client.tagsAfter
	return tags
}
