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

// params are the params of a request, or what holds without them.
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

// known are the keys of params: k6/http's and, last, ours.
var known = []string{
	"auth", "compression", "cookies", "headers", "jar", "redirects", "responseCallback",
	"responseType", "tags", "throw", "timeout", "consume",
}

func (call *call) readParams(runtime *sobek.Runtime, value sobek.Value) error {
	if common.IsNullish(value) {
		return nil
	}
	given, ok := value.(*sobek.Object)
	if !ok || given.ClassName() != "Object" {
		return misuse{fmt.Errorf("params must be an object, not %s", value)}
	}
	for _, key := range given.Keys() {
		value := given.Get(key)
		if !slices.Contains(known, key) {
			return misuse{fmt.Errorf("params.%s isn't known: there are %s", key, strings.Join(known, ", "))}
		}
		if err := call.readParam(runtime, key, value); err != nil {
			return err
		}
	}
	return nil
}

func (call *call) readParam(runtime *sobek.Runtime, key string, value sobek.Value) error {
	// These mean something when they are null.
	switch key {
	case "redirects":
		call.redirects = null.IntFrom(value.ToInteger())
		if call.redirects.Int64 < 0 {
			return misuse{fmt.Errorf("params.redirects: %s is below 0", value)}
		}
		return nil
	case "throw":
		call.throw = value.ToBoolean()
		return nil
	case "responseCallback":
		expected, err := toExpected(value)
		call.expected = expected
		return err
	}
	if common.IsNullish(value) {
		return nil
	}
	var err error
	switch key {
	case "consume":
		call.ignore = !value.ToBoolean()
	case "compression":
		call.compressions, err = readCompressions(value.String())
		return err
	case "responseType":
		call.responseType, err = httpext.ResponseTypeString(value.String())
		return err
	case "tags":
		if err := common.ApplyCustomUserTags(runtime, &call.tags, value); err != nil {
			return fmt.Errorf("invalid HTTP request metric tags: %w", err)
		}
	case "cookies":
		call.cookies = readCookies(runtime, value.ToObject(runtime))
	case "headers":
		err = call.readHeaders(value.ToObject(runtime))
	case "timeout":
		call.timeout, err = types.GetDurationValue(value.Export())
		if err != nil || call.timeout <= 0 {
			err = fmt.Errorf("%s: a number of ms or text such as \"10s\" is expected, above 0", value)
		}
	case "jar":
		jar, ok := value.Export().(*k6http.CookieJar)
		if !ok {
			err = errors.New("a jar from cookieJar() or new CookieJar() is expected")
		} else {
			call.jar = jar.Jar
		}
	case "auth":
		err = call.readAuth(value)
	}
	if err != nil {
		return misuse{fmt.Errorf("params.%s: %w", key, err)}
	}
	return nil
}

func (call *call) readHeaders(given *sobek.Object) error {
	for _, name := range given.Keys() {
		value := given.Get(name).String()
		if !isToken(name) {
			return fmt.Errorf("%q can't be a header's name", name)
		}
		if !isFieldValue(value) {
			return fmt.Errorf("the value of %s has a line break or a zero byte", name)
		}
		if strings.EqualFold(name, "host") {
			call.first.host = value
		}
		call.first.header.Set(name, value)
	}
	return nil
}

func (call *call) readAuth(value sobek.Value) error {
	if given, ok := value.(*sobek.Object); ok {
		name, password := given.Get("username"), given.Get("password")
		if common.IsNullish(name) || common.IsNullish(password) || len(given.Keys()) != 2 {
			return errors.New("{ username, password } is expected")
		}
		call.first.user = url.UserPassword(name.String(), password.String())
		return nil
	}
	call.auth = value.String()
	switch call.auth {
	case "basic", "digest":
		return nil
	case "ntlm":
		return errors.New("ntlm authenticates a connection, and a request over wRPC has none of its own: " +
			"take basic, digest, or { username, password }")
	default:
		return fmt.Errorf("%q isn't known: basic, digest, or { username, password }", call.auth)
	}
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
