package http

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unsafe"

	"github.com/grafana/sobek"
	"github.com/tidwall/gjson"
	"go.k6.io/k6/v2/js/common"
	"go.k6.io/k6/v2/js/modules/k6/html"
	"go.k6.io/k6/v2/lib/netext/httpext"
)

// Response is a response for a script. Its fields are k6's, and so are the names that the
// runtime gives to fields and methods.
type Response struct {
	*httpext.Response `js:"-"`

	client *Client
	parsed any // the parsed JSON of the body, after the first call of JSON
	valid  bool
}

// failed returns the response for arguments that can't be read.
func (client *Client) failed(err error) *Response {
	response := httpext.NewResponse()
	response.Error = err.Error()
	if known, ok := errors.AsType[httpext.K6Error](err); ok {
		response.ErrorCode = int(known.Code)
	}
	return &Response{Response: response, client: client}
}

// HTML parses the body, and returns the elements that the selector finds.
func (response *Response) HTML(selector ...string) html.Selection {
	runtime := response.client.vu.Runtime()
	body, err := common.ToString(response.bodyFor("HTML"))
	if err != nil {
		common.Throw(runtime, err)
	}
	selection, err := html.ParseHTML(runtime, body)
	if err != nil {
		common.Throw(runtime, err)
	}
	selection.URL = response.URL
	if len(selector) > 0 {
		selection = selection.Find(selector[0])
	}
	return selection
}

// JSON parses the body. With a selector of gjson it returns a part of the body, or undefined.
func (response *Response) JSON(selector ...string) sobek.Value {
	runtime := response.client.vu.Runtime()
	if len(selector) == 0 && response.parsed != nil {
		return runtime.ToValue(response.parsed)
	}
	body, err := common.ToBytes(response.bodyFor("JSON"))
	if err != nil {
		common.Throw(runtime, err)
	}
	if len(selector) > 0 {
		response.valid = response.valid || gjson.ValidBytes(body)
		if !response.valid {
			return sobek.Undefined()
		}
		found := gjson.GetBytes(body, selector[0])
		if !found.Exists() {
			return sobek.Undefined()
		}
		return runtime.ToValue(found.Value())
	}
	if err := json.Unmarshal(body, &response.parsed); err != nil {
		common.Throw(runtime, located(body, err))
	}
	response.valid = true
	return runtime.ToValue(response.parsed)
}

func (response *Response) bodyFor(form string) any {
	if response.Body == nil {
		common.Throw(response.client.vu.Runtime(), fmt.Errorf("the body is null so we can't transform it to %s"+
			" - this likely was because of a request error getting the response", form))
	}
	return response.Body
}

// located adds the place of a syntax error to it: line and character, counted from 1.
func located(text []byte, err error) error {
	syntax, ok := errors.AsType[*json.SyntaxError](err)
	if !ok {
		return err
	}
	before := string(text[:max(int(syntax.Offset)-1, 0)])
	line := strings.Count(before, "\n") + 1
	character := len([]rune(before[strings.LastIndexByte(before, '\n')+1:])) + 1
	return fmt.Errorf("cannot parse json due to an error at line %d, character %d , error: %w", line, character, err)
}

// textOf returns bytes as text without a copy. Don't write to the bytes afterwards.
func textOf(bytes []byte) string {
	return unsafe.String(unsafe.SliceData(bytes), len(bytes))
}
