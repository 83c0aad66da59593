package http

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/grafana/sobek"
	"go.k6.io/k6/v2/lib"
	"go.k6.io/k6/v2/lib/netext/httpext"
)

// arguments are the arguments of a request in a script. A missing one is nil, undefined or
// null.
type arguments struct {
	method                string
	url, body, parameters sobek.Value
}

// parse makes a call from the arguments. For arguments that can't be read, it returns the same
// errors as k6/http. If a request can be read but not sent, the call has a refusal.
func (client *Client) parse(state *lib.State, given arguments) (*call, error) {
	address, err := httpext.ToURL(exported(given.url))
	if err != nil {
		return nil, err
	}
	parsed := &call{
		client: client,
		state:  state,
		named:  address,
		first:  hop{method: given.method, url: address.GetURL(), header: make(http.Header, 2)},
		params: params{
			timeout:   60 * time.Second,
			redirects: state.Options.MaxRedirects,
			throw:     state.Options.Throw.Bool,
			expected:  client.expected,
			jar:       state.CookieJar,
			tags:      client.tags(state),
		},
	}
	if state.Options.DiscardResponseBodies.Bool {
		parsed.responseType = httpext.ResponseTypeNone
	}
	// Params may override a header that the body needs.
	if err := parsed.readBody(given.body); err != nil {
		return nil, err
	}
	parsed.first.header["User-Agent"] = []string{state.Options.UserAgent.String}
	if err := parsed.readParams(client.vu.Runtime(), given.parameters); err != nil {
		return nil, err
	}
	parsed.keepSecret()
	if parsed.refusal == nil {
		parsed.refusal = parsed.check()
	}
	if parsed.jar != nil {
		parsed.first.setCookies(parsed.jar, parsed.cookies)
	}
	return parsed, nil
}

// keepSecret removes name and password from the URL if they must not be sent in it.
func (call *call) keepSecret() {
	if call.auth != "digest" || call.first.url.User == nil {
		return
	}
	anonymous := *call.first.url
	anonymous.User = nil
	call.first.url, call.first.user = &anonymous, call.first.url.User
}

// batchEntry reads one entry of a batch: a URL, [method, url, body, params] or
// { method, url, body, params }.
func batchEntry(key string, entry sobek.Value) (arguments, error) {
	object, ok := entry.(*sobek.Object)
	if !ok {
		return arguments{http.MethodGet, entry, nil, nil}, nil
	}
	if object.ClassName() == "Array" {
		given := arguments{"", object.Get("1"), object.Get("2"), object.Get("3")}
		method, ok := stringOf(object.Get("0"))
		if given.url == nil {
			return given, fmt.Errorf("invalid batch request '%v'", entry.Export())
		} else if !ok {
			return given, fmt.Errorf("invalid method type '%#v'", exported(object.Get("0")))
		}
		given.method = method
		return given, nil
	}
	if _, ok := object.Export().(httpext.URL); ok {
		return arguments{http.MethodGet, entry, nil, nil}, nil
	}
	given := arguments{http.MethodGet, object.Get("url"), object.Get("body"), object.Get("params")}
	if given.url == nil {
		return given, fmt.Errorf("batch request %s doesn't have a url key", key)
	}
	if value := object.Get("method"); value != nil {
		method, ok := stringOf(value)
		if !ok {
			return given, fmt.Errorf("invalid method type '%#v'", exported(value))
		}
		given.method = strings.ToUpper(method)
		if slices.Contains([]string{http.MethodGet, http.MethodHead}, given.method) {
			given.body = nil
		}
	}
	return given, nil
}

func stringOf(value sobek.Value) (string, bool) {
	text, ok := exported(value).(string)
	return text, ok
}

func exported(value sobek.Value) any {
	if value == nil {
		return nil
	}
	return value.Export()
}
