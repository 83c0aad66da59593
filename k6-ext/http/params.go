package http

import (
	"errors"
	"fmt"
	"net/http/cookiejar"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/grafana/sobek"
	"go.k6.io/k6/v2/js/common"
	k6http "go.k6.io/k6/v2/js/modules/k6/http"
	"go.k6.io/k6/v2/lib/netext/httpext"
	"go.k6.io/k6/v2/lib/types"
	"go.k6.io/k6/v2/metrics"
	"gopkg.in/guregu/null.v3"
)

// params are the params of a request, or their defaults.
type params struct {
	auth         string
	compressions []httpext.CompressionType
	ignore       bool // consume: false
	cookies      map[string]*httpext.HTTPRequestCookie
	jar          *cookiejar.Jar
	redirects    null.Int
	expected     *expectedStatuses
	responseType httpext.ResponseType
	tags         metrics.TagsAndMeta
	throw        bool
	timeout      time.Duration
}

// ParamNames are the keys of params: those of k6/http, and consume at the end.
var ParamNames = []string{
	"auth", "compression", "cookies", "headers", "jar", "redirects", "responseCallback",
	"responseType", "tags", "throw", "timeout", "consume",
}

func (call *call) readParams(runtime *sobek.Runtime, value sobek.Value) error {
	if common.IsNullish(value) {
		return nil
	}
	given, ok := value.(*sobek.Object)
	if !ok || given.ClassName() != "Object" {
		call.warnOnce("params must be an object: what is something else has no effect")
		return nil
	}
	for _, key := range given.Keys() {
		value := given.Get(key)
		if !slices.Contains(ParamNames, key) {
			call.warnOnce(fmt.Sprintf("params.%s isn't known and has no effect: there are %s",
				key, strings.Join(ParamNames, ", ")))
			continue
		}
		if err := call.readParam(runtime, key, value); err != nil {
			return err
		}
	}
	return nil
}

func (call *call) readParam(runtime *sobek.Runtime, key string, value sobek.Value) (err error) {
	// null has a meaning for these keys.
	switch key {
	case "redirects":
		call.redirects = null.IntFrom(value.ToInteger())
		return nil
	case "throw":
		call.throw = value.ToBoolean()
		return nil
	case "responseCallback":
		call.expected, err = toExpected(value)
		return err
	}
	if common.IsNullish(value) {
		return nil
	}
	switch key {
	case "consume":
		call.ignore = !value.ToBoolean()
	case "compression":
		call.compressions, err = readCompressions(value.String())
	case "responseType":
		call.responseType, err = httpext.ResponseTypeString(value.String())
	case "tags":
		if err := common.ApplyCustomUserTags(runtime, &call.tags, value); err != nil {
			return fmt.Errorf("invalid HTTP request metric tags: %w", err)
		}
	case "cookies":
		call.cookies = readCookies(runtime, value.ToObject(runtime))
	case "headers":
		call.readHeaders(value.ToObject(runtime))
	case "timeout":
		if call.timeout, err = types.GetDurationValue(value.Export()); err != nil {
			return fmt.Errorf("invalid timeout value: %w", err)
		}
	case "jar":
		if jar, ok := value.Export().(*k6http.CookieJar); ok {
			call.jar = jar.Jar
		} else {
			call.warnOnce("params.jar has no effect: a jar from cookieJar() or new CookieJar() is expected")
		}
	case "auth":
		return call.readAuth(value)
	}
	return err
}

func (call *call) readHeaders(given *sobek.Object) {
	for _, name := range given.Keys() {
		value := given.Get(name).String()
		if strings.EqualFold(name, "host") {
			call.first.host = value
		}
		call.first.header.Set(name, value)
	}
}

func (call *call) readAuth(value sobek.Value) error {
	if given, ok := value.(*sobek.Object); ok {
		name, password := given.Get("username"), given.Get("password")
		if common.IsNullish(name) || common.IsNullish(password) || len(given.Keys()) != 2 {
			return errors.New("params.auth: { username, password } is expected")
		}
		call.first.user = url.UserPassword(name.String(), password.String())
		return nil
	}
	switch call.auth = value.String(); call.auth {
	case "basic", "digest":
	case "ntlm":
		call.refusal = invalid("params.auth: ntlm authenticates a connection, and a request over wRPC has no connection " +
			"of its own: use basic, digest, or { username, password }")
	default:
		call.warnOnce(`params.auth has no effect: "basic", "digest" or { username, password } is expected`)
	}
	return nil
}

// warnOnce logs a warning once for all VUs, because a script repeats its params.
func (call *call) warnOnce(message string) {
	call.client.warnOnce(call.state, message)
}

func readCookies(runtime *sobek.Runtime, given *sobek.Object) map[string]*httpext.HTTPRequestCookie {
	cookies := map[string]*httpext.HTTPRequestCookie{}
	for _, name := range given.Keys() {
		value := given.Get(name)
		if common.IsNullish(value) {
			continue
		}
		cookie := &httpext.HTTPRequestCookie{Name: name}
		cookies[name] = cookie
		if value.ExportType() != reflect.TypeFor[map[string]any]() {
			cookie.Value = value.String()
			continue
		}
		parts := value.ToObject(runtime)
		for _, part := range parts.Keys() {
			switch strings.ToLower(part) {
			case "replace":
				cookie.Replace = parts.Get(part).ToBoolean()
			case "value":
				cookie.Value = parts.Get(part).String()
			}
		}
	}
	return cookies
}

func readCompressions(text string) ([]httpext.CompressionType, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	var compressions []httpext.CompressionType
	for name := range strings.SplitSeq(text, ",") {
		name = strings.TrimSpace(name)
		compression, err := httpext.CompressionTypeString(name)
		if err != nil {
			return nil, fmt.Errorf("unknown compression algorithm %s, supported algorithms are %s",
				name, httpext.CompressionTypeValues())
		}
		compressions = append(compressions, compression)
	}
	return compressions, nil
}
