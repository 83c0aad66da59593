package wrpc

import (
	"errors"
	"fmt"
	"time"

	"github.com/grafana/sobek"
	"go.k6.io/k6/v2/lib"
	"go.k6.io/k6/v2/metrics"

	"github.com/encarno/encarno/k6-ext/iteration"
	"github.com/encarno/encarno/k6-ext/trace"
)

var (
	errHTTPNotInInit = errors.New("wrpc.http() must be called in the init context, at the top of the script")
	errNotInInit     = errors.New("wrpc.blaster() must be called in the init context, at the top of the script")
	errOnlyInInit    = errors.New("a blast can't be made in the init context: put it into the default function")
)

// blaster is the object that wrpc.blaster() returns to a VU. All its methods run on the
// VU's goroutine.
type blaster struct {
	module *ModuleInstance
	client *client
	tags   callTags
	traced float64 // the share of calls that begin a trace

	// The iteration of the last call, and the number of its calls.
	lastIteration int64
	number        uint64

	// The values of most results for JavaScript.
	jsTrue, jsEmpty sobek.Value

	promises iteration.Promises
}

// blaster implements wrpc.blaster().
func (module *ModuleInstance) blaster(call sobek.FunctionCall) sobek.Value {
	runtime := module.vu.Runtime()
	env := module.vu.InitEnv()
	if env == nil || module.vu.State() != nil {
		throw(runtime, errNotInInit)
	}
	traced, rest, err := parseCallsTraced(runtime, call.Argument(0))
	if err != nil {
		throw(runtime, fmt.Errorf("wrpc.blaster(): %w", err))
	}
	options, err := parseOptions(env, rest)
	if err != nil {
		throw(runtime, fmt.Errorf("wrpc.blaster(): %w", err))
	}
	client, err := module.client(options)
	if err != nil {
		throw(runtime, fmt.Errorf("wrpc.blaster(): %w", err))
	}
	opened := &blaster{
		module:  module,
		client:  client,
		tags:    callTags{own: options.tags},
		traced:  traced,
		jsTrue:  runtime.ToValue(true),
		jsEmpty: runtime.ToValue(""),
	}
	opened.promises.GiveUp = client.cancel
	object := runtime.NewObject()
	for name, method := range map[string]func(sobek.FunctionCall) sobek.Value{
		"blast":      opened.blast,
		"blastAsync": opened.blastAsync,
	} {
		if err := object.Set(name, method); err != nil {
			throw(runtime, err)
		}
	}
	return object
}

// blast implements blaster.blast(), which blocks the VU until the call's end.
func (blaster *blaster) blast(call sobek.FunctionCall) sobek.Value {
	state, packet, tags := blaster.prepare("blast", call)
	ctx := blaster.module.vu.Context()
	done, err := blaster.client.blast(ctx, blaster.nextID(state), &packet)
	if err != nil {
		throw(blaster.module.vu.Runtime(), fmt.Errorf("blast(): %w", err))
	}
	blaster.module.instruments.push(ctx, state, tags, &done)
	return blaster.toResult(&done)
}

// blastAsync implements blaster.blastAsync(), which returns a promise of blast's result.
func (blaster *blaster) blastAsync(jsCall sobek.FunctionCall) sobek.Value {
	state, packet, tags := blaster.prepare("blastAsync", jsCall)
	ctx := blaster.module.vu.Context()
	submit := func(notify func(*call)) error {
		return blaster.client.submit(blaster.nextID(state), &packet, notify)
	}
	return blaster.module.promise("blastAsync", blaster.client, &blaster.promises, submit, func(done *completion) sobek.Value {
		blaster.module.instruments.push(ctx, state, tags, done)
		return blaster.toResult(done)
	})
}

func (blaster *blaster) prepare(
	function string, call sobek.FunctionCall,
) (*lib.State, packet, metrics.TagsAndMeta) {
	runtime := blaster.module.vu.Runtime()
	state := blaster.module.vu.State()
	if state == nil {
		throw(runtime, errOnlyInInit)
	}
	packet, err := parsePacket(call.Argument(0))
	if err != nil {
		throw(runtime, fmt.Errorf("%s(): %w", function, err))
	}
	tags := blaster.tags.with(state.Tags.GetCurrentValues())
	tags.Tags = withTags(tags.Tags, packet.tags)
	packet.trace = trace.Begin(blaster.traced)
	tags = packet.trace.Mark(tags)
	return state, packet, tags
}

func (blaster *blaster) nextID(state *lib.State) packetID {
	if blaster.lastIteration != state.Iteration {
		blaster.lastIteration = state.Iteration
		blaster.number = 0
	}
	blaster.number++
	return packetID{vu: state.VUIDGlobal, iteration: uint64(state.Iteration), number: blaster.number}
}

func (blaster *blaster) toResult(done *completion) sobek.Value {
	runtime := blaster.module.vu.Runtime()
	result := runtime.NewObject()
	ok, text, code := blaster.jsTrue, blaster.jsEmpty, blaster.jsEmpty
	if done.errorCode != "" {
		ok, text, code = runtime.ToValue(false), runtime.ToValue(done.errorText), runtime.ToValue(done.errorCode)
	}
	// Set can't fail on a new plain object.
	_ = result.Set("ok", ok)
	_ = result.Set("error", text)
	_ = result.Set("error_code", code)
	_ = result.Set("duration", float64(done.finished)/float64(time.Millisecond))
	return result
}
