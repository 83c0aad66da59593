package wrpc

import (
	"errors"
	"fmt"
	"math"

	"github.com/grafana/sobek"
	"go.k6.io/k6/v2/js/common"

	"github.com/encarno/encarno/k6-ext/meeting"
)

var errMeetInInit = errors.New("VUs can't meet in the init context: call it in the default function, or in one of a scenario")

// once implements wrpc.once(): one VU of all agents runs the function, and each caller gets its
// value. It blocks the VU until the value is there.
func (module *ModuleInstance) once(call sobek.FunctionCall) sobek.Value {
	runtime := module.vu.Runtime()
	name, err := module.meetingName(call.Argument(0))
	if err != nil {
		throw(runtime, fmt.Errorf("once(): %w", err))
	}
	function, ok := sobek.AssertFunction(call.Argument(1))
	if !ok {
		throw(runtime, fmt.Errorf("once(): a function is expected as the second argument, not %s", typeName(call.Argument(1))))
	}
	turn, value, err := meeting.Once(module.vu.Context(), name)
	if err != nil {
		panic(runtime.NewGoError(fmt.Errorf("once(%q): %w", name, err)))
	}
	if turn != nil {
		if value, err = module.make(function); err != nil {
			turn.Fail(err.Error())
			var thrown *sobek.Exception
			if errors.As(err, &thrown) {
				panic(thrown.Value())
			}
			panic(runtime.NewGoError(fmt.Errorf("once(%q): %w", name, err)))
		}
		if err := turn.End(value); err != nil {
			panic(runtime.NewGoError(fmt.Errorf("once(%q): %w", name, err)))
		}
	}
	parse, _ := sobek.AssertFunction(runtime.GlobalObject().Get("JSON").ToObject(runtime).Get("parse"))
	parsed, err := parse(sobek.Undefined(), runtime.ToValue(value))
	if err != nil {
		panic(err)
	}
	return parsed
}

// make runs the function and returns its value as JSON.
func (module *ModuleInstance) make(function sobek.Callable) (string, error) {
	runtime := module.vu.Runtime()
	value, err := function(sobek.Undefined())
	if err != nil {
		return "", err
	}
	if _, isPromise := value.Export().(*sobek.Promise); isPromise {
		return "", errors.New("the function must return a value, and no promise")
	}
	if common.IsNullish(value) {
		return "null", nil
	}
	list := runtime.NewArray(value)
	written, err := list.MarshalJSON()
	if err != nil {
		return "", err
	}
	return string(written[1 : len(written)-1]), nil
}

// barrier implements wrpc.barrier(): it blocks the VU until that many VUs of all agents have
// called it.
func (module *ModuleInstance) barrier(call sobek.FunctionCall) sobek.Value {
	runtime := module.vu.Runtime()
	name, err := module.meetingName(call.Argument(0))
	if err != nil {
		throw(runtime, fmt.Errorf("barrier(): %w", err))
	}
	parties := call.Argument(1).ToFloat()
	if common.IsNullish(call.Argument(1)) || !(parties >= 1 && parties <= 1e6 && parties == math.Trunc(parties)) {
		throw(runtime, fmt.Errorf("barrier(): how many VUs meet is expected, from 1 to 1000000, not %s", typeName(call.Argument(1))))
	}
	if err := meeting.Barrier(module.vu.Context(), name, uint64(parties)); err != nil {
		panic(runtime.NewGoError(fmt.Errorf("barrier(%q): %w", name, err)))
	}
	return sobek.Undefined()
}

func (module *ModuleInstance) meetingName(value sobek.Value) (string, error) {
	if module.vu.State() == nil {
		return "", errMeetInInit
	}
	text, ok := value.(sobek.String)
	if !ok || len(text.String()) < 1 || len(text.String()) > meeting.NameBytesMax {
		return "", fmt.Errorf("a name of 1 to %d bytes is expected, not %s", meeting.NameBytesMax, typeName(value))
	}
	return text.String(), nil
}
