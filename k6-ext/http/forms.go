package http

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"

	"github.com/grafana/sobek"
	"go.k6.io/k6/v2/js/common"
)

// SubmitForm sends the form that a selector finds in the page. Its options are
// { formSelector, submitSelector, fields, params }.
func (response *Response) SubmitForm(options ...sobek.Value) (*Response, error) {
	runtime := response.client.vu.Runtime()
	given := func(name string) sobek.Value { return option(runtime, options, name) }
	selector := textOr(given("formSelector"), "form")
	form := response.HTML(selector)
	if form.Size() == 0 {
		return nil, fmt.Errorf("no form found for selector '%s' in response '%s'", selector, response.URL)
	}
	method := strings.ToUpper(textOr(form.Attr("method"), http.MethodGet))
	target, err := response.resolve(textOr(form.Attr("action"), ""))
	if err != nil {
		return nil, err
	}
	values := form.SerializeObject()
	button := form.Find(textOr(given("submitSelector"), `[type="submit"]`))
	if name, value := button.Attr("name"), button.Val(); !sobek.IsUndefined(name) && !sobek.IsUndefined(value) {
		values[name.String()] = value
	}
	var fields map[string]sobek.Value
	if value := given("fields"); !common.IsNullish(value) && runtime.ExportTo(value, &fields) == nil {
		maps.Copy(values, fields)
	}
	sent := arguments{method, nil, nil, given("params")}
	if method == http.MethodGet {
		query := url.Values{}
		for name, value := range values {
			query.Add(name, value.String())
		}
		target.RawQuery = query.Encode()
	} else {
		sent.body = runtime.ToValue(values)
	}
	sent.url = runtime.ToValue(target.String())
	return response.client.do(sent)
}

// ClickLink follows the link that a selector finds in the page. Its options are
// { selector, params }.
func (response *Response) ClickLink(options ...sobek.Value) (*Response, error) {
	runtime := response.client.vu.Runtime()
	selector := textOr(option(runtime, options, "selector"), "a[href]")
	link := response.HTML(selector)
	if link.Size() == 0 {
		return nil, fmt.Errorf("no element found for selector '%s' in response '%s'", selector, response.URL)
	}
	address := link.Attr("href")
	if sobek.IsUndefined(address) {
		return nil, fmt.Errorf("no valid href attribute value found on element '%s' in response '%s'", selector, response.URL)
	}
	target, err := response.resolve(address.String())
	if err != nil {
		return nil, err
	}
	return response.client.do(arguments{
		http.MethodGet, runtime.ToValue(target.String()), nil, option(runtime, options, "params"),
	})
}

// resolve resolves an address relative to the page.
func (response *Response) resolve(address string) (*url.URL, error) {
	page, err := url.Parse(response.URL)
	if err != nil {
		return nil, err
	}
	target, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	return page.ResolveReference(target), nil
}

func option(runtime *sobek.Runtime, options []sobek.Value, name string) sobek.Value {
	if len(options) == 0 || common.IsNullish(options[0]) {
		return nil
	}
	return options[0].ToObject(runtime).Get(name)
}

func textOr(value sobek.Value, otherwise string) string {
	if common.IsNullish(value) {
		return otherwise
	}
	return value.String()
}
