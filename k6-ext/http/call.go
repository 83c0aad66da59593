package http

import (
	"cmp"
	"fmt"
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"time"

	"go.k6.io/k6/v2/lib"
	"go.k6.io/k6/v2/lib/netext/httpext"
	"go.k6.io/k6/v2/metrics"
)

// protocol is the value of response.proto and of the tag proto.
const protocol = "wRPC/0.0.1"

// call is a request of a script, with the requests that follow from it: redirects, and the
// answer to a digest's challenge. The caller sends the requests: begin returns the first, and
// step returns the next one or nil. After nil, result returns the response.
type call struct {
	client *Client
	state  *lib.State
	params

	named   httpext.URL
	first   hop
	refusal *Error // the reason why the request can't be sent
	body    string
	hasBody bool

	now      hop
	hops     int  // requests before this one, without those that a digest repeats
	stripped bool // a redirect led to another host, so secrets of the header are left out
	judged   bool // the first answer was judged; with a digest it must be the challenge
	deadline time.Time
	debugID  string
	// The header of that name; empty: it begins no trace.
	traceparent string

	response *httpext.Response
	err      error
}

// hop is one of a call's requests.
type hop struct {
	method   string
	url      *url.URL
	text     string // the URL as text
	host     string // the header Host, if the script set it
	header   http.Header
	user     *url.Userinfo // name and password that were removed from the URL
	digest   string        // the answer to a challenge
	bodiless bool          // a redirect dropped the body
}

// sentMethod returns the method, or GET if it is empty, as Go does.
func (hop *hop) sentMethod() string {
	return cmp.Or(hop.method, http.MethodGet)
}

// begin returns the first request, or nil if it can't be sent.
func (call *call) begin() *Request {
	call.first.text = call.first.url.String()
	shown := &httpext.Request{
		Method:  call.first.method,
		URL:     call.first.text,
		Headers: call.first.header,
		Body:    call.body,
		Cookies: requestCookies(call.first.header),
	}
	if call.auth == "digest" {
		shown.URL = call.named.GetURL().String()
	}
	call.response = &httpext.Response{
		URL:     call.named.URL,
		Request: shown,
		Headers: map[string]string{},
		Cookies: map[string][]*httpext.HTTPCookie{},
	}
	call.compress()
	call.checkLength()
	if _, ok := call.tags.Tags.Get("name"); !ok && call.state.Options.SystemTags.Has(metrics.TagName) &&
		call.named.Name != "" && call.named.Name != call.named.Clean() {
		call.tags.SetSystemTagOrMeta(metrics.TagName, call.named.Name)
	}
	call.beginTrace()
	call.now = call.first
	if call.refusal != nil {
		unsent := &Outcome{Timing: Timing{-1, -1, -1, -1, 0}, End: time.Now()}
		call.fail(unsent, k6Error(call.refusal), call.refusal.Code)
		return nil
	}
	call.deadline = time.Now().Add(call.timeout)
	return call.request(call.timeout)
}

// request returns the request of the current hop.
func (call *call) request(timeout time.Duration) *Request {
	hop := &call.now
	request := &Request{
		Method:  hop.sentMethod(),
		Scheme:  hop.url.Scheme,
		Target:  target(hop.url),
		Header:  make([]Field, 0, len(hop.header)+2),
		Timeout: timeout,
	}
	// The host was checked before.
	if hop.host != "" {
		request.Authority, _ = authority(hop.host)
	} else {
		request.Authority, _ = authority(hop.url.Host)
	}
	switch {
	case call.ignore:
		request.Reading = Ignore
	case call.responseType == httpext.ResponseTypeNone:
		request.Reading = Discard
	}
	for name, values := range hop.header {
		lower := strings.ToLower(name)
		switch lower {
		case "host", "transfer-encoding", "trailer": // set by the transport, as in net/http
			continue
		case "user-agent":
			if values[0] == "" {
				continue
			}
		}
		for _, value := range values {
			request.Header = append(request.Header, Field{lower, textproto.TrimString(value)})
		}
	}
	if call.traceparent != "" {
		request.Header = append(request.Header, Field{"traceparent", call.traceparent})
	}
	if authorization := call.authorization(); authorization != "" {
		request.Header = append(request.Header, Field{"authorization", authorization})
	}
	if !hop.bodiless {
		request.Body = call.body
	}
	// As in net/http, a method that expects a body has a content-length of 0 without one.
	expects := hop.method == http.MethodPost || hop.method == http.MethodPut || hop.method == http.MethodPatch
	if len(request.Body) > 0 || expects {
		request.Header = append(request.Header, Field{"content-length", strconv.Itoa(len(request.Body))})
	}
	call.debugRequest(request)
	return request
}

// step takes the outcome of the last request, and returns the next one or nil.
func (call *call) step(outcome *Outcome) *Request {
	call.debugOutcome(outcome)
	if failure := outcome.check(); failure != nil {
		call.fail(outcome, k6Error(failure), failure.Code)
		return nil
	}
	follows, err := call.answerChallenge(outcome), error(nil)
	if !follows {
		follows, err = call.redirect(outcome)
	}
	if err != nil {
		call.fail(outcome, err, invalidResponse)
		return nil
	}
	if !follows {
		call.finish(outcome)
		return nil
	}
	// The library refuses a request whose time has run out.
	return call.request(max(time.Until(call.deadline), 1))
}

// finish makes the response from the last answer.
func (call *call) finish(outcome *Outcome) {
	response := call.response
	body, err := call.readAnswer(outcome)
	response.Body = body
	if err != nil {
		call.fail(outcome, err, invalidResponse)
		return
	}
	call.emit(outcome, &call.now, nil, "")
	if cookies := answerCookies(outcome.Header); len(cookies) > 0 {
		if call.jar != nil {
			call.jar.SetCookies(call.now.url, cookies)
		}
		response.Cookies = shownCookies(cookies)
	}
	response.URL = call.now.text
	response.Status = outcome.Status
	response.StatusText = statusText(outcome.Status)
	response.Proto = protocol
	response.Timings = timings(outcome.Timing)
	if outcome.Status >= 400 {
		response.ErrorCode = 1000 + outcome.Status
	}
	for _, field := range outcome.Header {
		name := textproto.CanonicalMIMEHeaderKey(field.Name)
		if before, ok := response.Headers[name]; ok {
			response.Headers[name] = before + ", " + field.Value
		} else {
			response.Headers[name] = field.Value
		}
	}
}

// fail makes the response for an error with a code of the library's list.
func (call *call) fail(outcome *Outcome, err error, code string) {
	call.endWith(err, code)
	call.response.Timings = timings(outcome.Timing)
	call.emit(outcome, &call.now, err, code)
}

// giveUp makes the response for a request that isn't sent. It emits no samples.
func (call *call) giveUp() {
	call.endWith(k6Error(&Error{cancelled, "the iteration has ended"}), cancelled)
}

func (call *call) endWith(err error, code string) {
	call.response.ErrorCode, call.response.Error = codeOf(err)
	method := call.first.sentMethod()
	operation := method[:1] + strings.ToLower(method[1:])
	call.err = &url.Error{Op: operation, URL: call.now.clean(), Err: err}
	if !call.throw && code != cancelled {
		call.state.Logger.WithField("error", call.err).Warn("Request Failed")
	}
}

// result returns the script's response or error, when no request follows.
func (call *call) result() (*Response, error) {
	if call.err != nil && call.throw {
		return nil, call.err
	}
	if body, ok := call.response.Body.([]byte); ok {
		call.response.Body = call.client.vu.Runtime().NewArrayBuffer(body)
	}
	return &Response{Response: call.response, client: call.client}, nil
}

// readAnswer returns the body in the type that the script asks for.
func (call *call) readAnswer(outcome *Outcome) (any, error) {
	if call.ignore || call.responseType == httpext.ResponseTypeNone ||
		outcome.Status == http.StatusNoContent || outcome.Status == http.StatusNotModified {
		return nil, nil
	}
	if call.now.method == http.MethodHead {
		outcome.Body = nil // a component may send a body, as for GET
	}
	body, err := decompressed(outcome.Body, headerOf(outcome.Header, "content-encoding"))
	if call.responseType == httpext.ResponseTypeBinary {
		return append([]byte{}, body...), err
	}
	return textOf(body), err
}

// headerOf returns the first value of a header.
func headerOf(header []Field, name string) string {
	for _, field := range header {
		if strings.EqualFold(field.Name, name) {
			return field.Value
		}
	}
	return ""
}

// clean returns the URL, with a mask in place of a name and a password.
func (hop *hop) clean() string {
	if hop.url.User == nil {
		return hop.text
	}
	anonymous := *hop.url
	anonymous.User = nil
	mask := "****@"
	if _, ok := hop.url.User.Password(); ok {
		mask = "****:****@"
	}
	text, scheme := anonymous.String(), len(anonymous.Scheme)+len("://")
	return text[:scheme] + mask + text[scheme:]
}

func statusText(status int) string {
	if text := http.StatusText(status); text != "" {
		return strconv.Itoa(status) + " " + text
	}
	return fmt.Sprint(status, " ")
}
