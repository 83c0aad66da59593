package http

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/grafana/sobek"
	"go.k6.io/k6/v2/js/common"
	"go.k6.io/k6/v2/lib/netext/httpext"
	"go.k6.io/k6/v2/lib/types"
)

// known are the keys of params: k6/http's and, last, ours.
var known = []string{
	"auth", "compression", "cookies", "headers", "jar", "redirects", "responseCallback",
	"responseType", "tags", "throw", "timeout", "consume",
}

// readRequest checks the arguments of one request; it gives those for k6's code.
func (client *Client) readRequest(position int, arguments []sobek.Value) ([]sobek.Value, reading, error) {
	at, none := 0, reading{}
	if position == 3 { // request(method, url, body, params)
		at = 1
		if len(arguments) == 0 || !isMethod(arguments[0]) {
			return nil, none, errors.New("the method must be a token such as GET")
		}
	}
	if len(arguments) <= at {
		return nil, none, errors.New("the URL is missing")
	}
	params := sobek.Undefined()
	if len(arguments) > position {
		params = arguments[position]
	}
	address, params, wanted, err := client.readOne(arguments[at], params)
	if err != nil {
		return nil, none, err
	}
	arguments = slices.Clone(arguments)
	arguments[at] = address
	if len(arguments) > position {
		arguments[position] = params
	}
	return arguments, wanted, nil
}

// readBatch checks the entries of a batch; it gives the batch for k6's code. One
// transport serves them all, so that they agree on consume.
func (client *Client) readBatch(batch sobek.Value) (checked sobek.Value, wanted reading, room int, err error) {
	entries, ok := batch.(*sobek.Object)
	if !ok {
		return batch, wanted, 4, nil // k6's code says what is wrong
	}
	entries = client.copied(entries)
	ignored, discarded := 0, 0
	keys := entries.Keys()
	for _, key := range keys {
		entry := entries.Get(key)
		addressAt, paramsAt := "url", "params"
		fields, ok := entry.(*sobek.Object)
		switch {
		case ok && fields.ClassName() == "Array":
			addressAt, paramsAt = "1", "3"
		case !ok || fields.Get("url") == nil: // a URL by itself
			_, _, alone, err := client.readOne(entry, sobek.Undefined())
			if err != nil {
				return nil, wanted, 0, fmt.Errorf("entry %s: %w", key, err)
			}
			if alone.discard {
				discarded++
			}
			continue
		}
		address, params, one, err := client.readOne(fields.Get(addressAt), fields.Get(paramsAt))
		if err != nil {
			return nil, wanted, 0, fmt.Errorf("entry %s: %w", key, err)
		}
		fields = client.copied(fields)
		_ = fields.Set(addressAt, address) // it is ours and ordinary
		if !common.IsNullish(params) {
			_ = fields.Set(paramsAt, params)
		}
		_ = entries.Set(key, fields)
		if one.ignore {
			ignored++
		}
		if one.discard {
			discarded++
		}
	}
	if ignored > 0 && ignored < len(keys) {
		return nil, wanted, 0, errors.New("consume: all entries of a batch need the same")
	}
	wanted = reading{ignore: ignored > 0, discard: discarded == len(keys)}
	return entries, wanted, 2*len(keys) + 4, nil
}

// readOne checks URL and params of a request, and puts what only we know of into
// words of k6/http.
func (client *Client) readOne(address, params sobek.Value) (sobek.Value, sobek.Value, reading, error) {
	options, err := client.readParams(params)
	if err != nil {
		return nil, nil, reading{}, err
	}
	if common.IsNullish(address) {
		return nil, nil, reading{}, errors.New("the URL is missing")
	}
	checked, err := readURL(address, options.user)
	if err != nil {
		return nil, nil, reading{}, err
	}
	if options.user != nil {
		address = client.Runtime().ToValue(checked)
	}
	return address, options.params, options.reading, nil
}

// copied gives an array or object with the same fields.
func (client *Client) copied(object *sobek.Object) *sobek.Object {
	runtime := client.Runtime()
	fresh := runtime.NewObject()
	if object.ClassName() == "Array" {
		fresh = runtime.NewArray()
	}
	for _, key := range object.Keys() {
		_ = fresh.Set(key, object.Get(key)) // it is new and ordinary
	}
	return fresh
}

type options struct {
	reading reading
	user    *url.Userinfo
	params  sobek.Value // without what k6's code doesn't know
}

func (client *Client) readParams(value sobek.Value) (options, error) {
	read := options{params: value}
	if state := client.VU.State(); state != nil {
		read.reading.discard = state.Options.DiscardResponseBodies.Bool
	}
	if common.IsNullish(value) {
		return read, nil
	}
	params, ok := value.(*sobek.Object)
	if !ok || params.ClassName() != "Object" {
		return read, fmt.Errorf("params must be an object, not %s", value)
	}
	forK6 := client.copied(params)
	read.params = forK6
	for _, key := range params.Keys() {
		value := params.Get(key)
		if !slices.Contains(known, key) {
			return read, fmt.Errorf("params.%s isn't known: there are %s", key, strings.Join(known, ", "))
		}
		if common.IsNullish(value) {
			continue
		}
		var err error
		switch key {
		case "consume":
			read.reading.ignore = !value.ToBoolean()
			if read.reading.ignore {
				_ = forK6.Set("responseType", "none")
			}
		case "responseType":
			read.reading.discard = value.String() == "none"
		case "headers":
			err = checkHeaders(value.ToObject(client.Runtime()))
		case "timeout":
			timeout, parseErr := types.GetDurationValue(value.Export())
			if parseErr != nil || timeout <= 0 {
				err = fmt.Errorf("%s: a number of ms or text such as \"10s\" is expected, above 0", value)
			}
		case "redirects":
			if value.ToInteger() < 0 {
				err = fmt.Errorf("%s is below 0", value)
			}
		case "auth":
			if user, ok := value.(*sobek.Object); ok {
				read.user, err = readUser(user)
				_ = forK6.Delete("auth")
			} else if !slices.Contains([]string{"basic", "digest", "ntlm"}, value.String()) {
				err = fmt.Errorf("%q isn't known: basic, digest, ntlm, or { username, password }", value.String())
			}
		}
		if err != nil {
			return read, fmt.Errorf("params.%s: %w", key, err)
		}
	}
	return read, nil
}

func checkHeaders(headers *sobek.Object) error {
	for _, name := range headers.Keys() {
		if !isToken(name) {
			return fmt.Errorf("%q can't be a header's name", name)
		}
		if !isFieldValue(headers.Get(name).String()) {
			return fmt.Errorf("the value of %s has a line break or a zero byte", name)
		}
	}
	return nil
}

func readUser(object *sobek.Object) (*url.Userinfo, error) {
	name, password := object.Get("username"), object.Get("password")
	if common.IsNullish(name) || common.IsNullish(password) || len(object.Keys()) != 2 {
		return nil, errors.New("{ username, password } is expected")
	}
	return url.UserPassword(name.String(), password.String()), nil
}

// readURL checks a URL, and puts name and password into it as k6/http wants them.
func readURL(value sobek.Value, user *url.Userinfo) (httpext.URL, error) {
	address, err := httpext.ToURL(value.Export())
	if err != nil {
		return address, fmt.Errorf("the URL can't be read: %w", err)
	}
	parsed := address.GetURL()
	if parsed.Host == "" {
		return address, fmt.Errorf("the URL %q has no host", address.URL)
	}
	if parsed.Scheme != "http" && parsed.Scheme != "https" {
		return address, fmt.Errorf("the URL %q begins neither with http:// nor with https://", address.URL)
	}
	if user == nil {
		return address, nil
	}
	// Tags show the name. Left to itself, k6 would blot out as many bytes as the
	// password has, and not as its escaped form in the URL.
	name := address.Name
	if name == "" || name == address.URL {
		anonymous := *parsed
		anonymous.User = nil
		name = anonymous.String()
	}
	named := *parsed
	named.User = user
	return httpext.NewURL(named.String(), name)
}

func isMethod(value sobek.Value) bool {
	return !common.IsNullish(value) && isToken(value.String())
}
