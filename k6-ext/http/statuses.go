package http

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/grafana/sobek"
	"go.k6.io/k6/v2/js/common"
)

// expectedStatuses is the value of expectedStatuses(). A script can't see its fields.
type expectedStatuses struct {
	exact  []int64
	ranges [][2]int64
}

var defaultExpected = &expectedStatuses{ranges: [][2]int64{{200, 399}}}

// expects returns whether a status is expected. 0 stands for no response.
func (expected *expectedStatuses) expects(status int) bool {
	in := func(limits [2]int64) bool { return limits[0] <= int64(status) && int64(status) <= limits[1] }
	return slices.Contains(expected.exact, int64(status)) || slices.ContainsFunc(expected.ranges, in)
}

// toExpected reads a responseCallback. It returns nil for null.
func toExpected(value sobek.Value) (*expectedStatuses, error) {
	if common.IsNullish(value) {
		return nil, nil
	}
	expected, ok := value.Export().(*expectedStatuses)
	if !ok {
		return nil, errors.New("unsupported responseCallback: what expectedStatuses() of this client gives is expected, or null")
	}
	return expected, nil
}

// expectedStatuses implements expectedStatuses(...statuses). Each status is a number or an
// object { min, max }.
func (client *Client) expectedStatuses(call sobek.FunctionCall) sobek.Value {
	runtime := client.vu.Runtime()
	if len(call.Arguments) == 0 {
		common.Throw(runtime, errors.New("no arguments"))
	}
	expected := &expectedStatuses{}
	for at, argument := range call.Arguments {
		if status, ok := integer(argument); ok {
			expected.exact = append(expected.exact, status)
			continue
		}
		limits, ok := argument.(*sobek.Object)
		if !ok || limits.Get("min") == nil || limits.Get("max") == nil {
			common.Throw(runtime, fmt.Errorf(
				"argument number %d to expectedStatuses was neither an integer nor an object like {min:100, max:329}", at+1))
		}
		least, isLeast := integer(limits.Get("min"))
		most, isMost := integer(limits.Get("max"))
		if !isLeast || !isMost {
			common.Throw(runtime, fmt.Errorf("both min and max need to be integers for argument number %d", at+1))
		}
		expected.ranges = append(expected.ranges, [2]int64{least, most})
	}
	return runtime.ToValue(expected)
}

// integer returns the value if it is a number without a fraction.
func integer(value sobek.Value) (int64, bool) {
	switch number := value.Export().(type) {
	case int64:
		return number, true
	case float64:
		return int64(number), number == math.Trunc(number) && math.Abs(number) < 1<<53
	}
	return 0, false
}

// setResponseCallback implements setResponseCallback(callback).
func (client *Client) setResponseCallback(call sobek.FunctionCall) sobek.Value {
	expected, err := toExpected(call.Argument(0))
	if err != nil {
		common.Throw(client.vu.Runtime(), errors.New("unsupported argument, expected http.expectedStatuses"))
	}
	client.expected = expected
	return sobek.Undefined()
}
