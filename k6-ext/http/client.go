package http

import (
	"errors"
	"fmt"

	"github.com/grafana/sobek"
	"go.k6.io/k6/v2/js/common"
	"go.k6.io/k6/v2/js/modules"
	k6http "go.k6.io/k6/v2/js/modules/k6/http"
	"go.k6.io/k6/v2/lib"
	"go.k6.io/k6/v2/metrics"
)

var errNotInInit = errors.New("a request can't be made in the init context: put it into the default function")

// Client is what wrpc.http() gives to one VU: an instance of k6/http of its own,
// for which the VU's state has another transport and other metrics. All its
// methods run on the VU's goroutine.
type Client struct {
	modules.VU

	exchanger   Exchanger
	instruments *Instruments
	addTags     func(*metrics.TagSet) *metrics.TagSet

	// The state that k6's code sees during a call, or for the rest of a turn.
	current *lib.State

	// Metrics and tags as they were at the last call, and ours in their place:
	// they change rarely.
	builtin, replaced     *metrics.BuiltinMetrics
	tagsBefore, tagsAfter *metrics.TagSet
}

// functions make requests. Their params are the argument at that position; -1 for
// batch, whose entries have params each.
var functions = map[string]int{
	"get": 1, "head": 1,
	"post": 2, "put": 2, "patch": 2, "del": 2, "options": 2,
	"request": 3, "asyncRequest": 3,
	"batch": -1,
}

// New makes the object that a script calls k6/http's functions of.
func New(
	vu modules.VU, exchanger Exchanger, instruments *Instruments, addTags func(*metrics.TagSet) *metrics.TagSet,
) (*sobek.Object, error) {
	client := &Client{VU: vu, exchanger: exchanger, instruments: instruments, addTags: addTags}
	inner, ok := k6http.New().NewModuleInstance(client).Exports().Default.(*sobek.Object)
	if !ok {
		return nil, errors.New("k6/http exports something else than expected")
	}
	for name, position := range functions {
		function, ok := sobek.AssertFunction(inner.Get(name))
		if !ok {
			return nil, fmt.Errorf("k6/http has no function %s", name)
		}
		if err := inner.Set(name, client.wrap(name, position, function)); err != nil {
			return nil, err
		}
	}
	return inner, nil
}

// State is what k6's code asks for: the VU's state, with the transport and the
// metrics of this client.
func (client *Client) State() *lib.State {
	if client.current != nil {
		return client.current
	}
	state := client.VU.State()
	if state == nil {
		return nil
	}
	// Asked outside of a call of ours, such as by a form that is submitted: what
	// that leaves is passed on once the script's turn is over.
	derived, collector := client.derive(state, 4, reading{})
	client.current = derived
	client.RegisterCallback()(func() error {
		if client.current == derived {
			client.current = nil
		}
		collector.flush(client.Context())
		return nil
	})
	return derived
}

func (client *Client) derive(state *lib.State, room int, reading reading) (*lib.State, *collector) {
	collector := &collector{
		instruments: client.instruments,
		state:       state,
		samples:     make(chan metrics.SampleContainer, room),
	}
	derived := *state
	derived.Samples = collector.samples
	derived.Transport = &transport{client.exchanger, collector, reading}
	if client.builtin != state.BuiltinMetrics {
		client.builtin = state.BuiltinMetrics
		client.replaced = client.instruments.inPlaceOf(state.BuiltinMetrics)
	}
	derived.BuiltinMetrics = client.replaced
	tags := state.Tags.GetCurrentValues()
	if tags.Tags != client.tagsBefore {
		client.tagsBefore = tags.Tags
		client.tagsAfter = client.addTags(tags.Tags)
	}
	derived.Tags = lib.NewVUStateTags(client.tagsAfter)
	if len(tags.Metadata) > 0 {
		derived.Tags.Modify(func(own *metrics.TagsAndMeta) { own.Metadata = tags.Metadata })
	}
	return &derived, collector
}

// wrap checks what k6's code would let pass, and gives it the state of this call.
func (client *Client) wrap(name string, position int, function sobek.Callable) func(sobek.FunctionCall) sobek.Value {
	return func(call sobek.FunctionCall) sobek.Value {
		runtime := client.Runtime()
		state := client.VU.State()
		if state == nil {
			common.Throw(runtime, errNotInInit)
		}
		arguments := call.Arguments
		wanted, room, err := reading{}, 4, error(nil)
		if position < 0 {
			batch := call.Argument(0)
			batch, wanted, room, err = client.readBatch(batch)
			arguments = append([]sobek.Value{batch}, arguments[min(1, len(arguments)):]...)
		} else {
			arguments, wanted, err = client.readRequest(position, arguments)
		}
		if err != nil {
			panic(runtime.NewTypeError(fmt.Sprintf("%s(): %v", name, err)))
		}
		derived, collector := client.derive(state, room, wanted)
		client.current = derived
		result, err := function(sobek.Undefined(), arguments...)
		client.current = nil
		ctx := client.Context()
		if name != "asyncRequest" || err != nil {
			collector.flush(ctx)
			if err != nil {
				panic(err)
			}
			return result
		}
		client.whenSettled(result, func() { collector.flush(ctx) })
		return result
	}
}

// whenSettled calls the function before the script learns of the promise's end.
func (client *Client) whenSettled(promise sobek.Value, settled func()) {
	runtime := client.Runtime()
	then, ok := sobek.AssertFunction(promise.ToObject(runtime).Get("then"))
	if !ok {
		return
	}
	react := runtime.ToValue(func(sobek.FunctionCall) sobek.Value {
		settled()
		return sobek.Undefined()
	})
	// It can't throw: the promise is k6's, and the reactions are ours.
	_, _ = then(promise, react, react)
}
