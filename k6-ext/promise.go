package wrpc

import (
	"fmt"

	"github.com/grafana/sobek"
	"go.k6.io/k6/v2/metrics"

	"github.com/encarno/encarno/k6-ext/iteration"
)

// callTags adds the tags of a client to those of its VU, which change rarely.
type callTags struct {
	own           []tag
	before, after *metrics.TagSet
}

// with gives these tags with the client's.
func (tags *callTags) with(current metrics.TagsAndMeta) metrics.TagsAndMeta {
	if current.Tags != tags.before {
		tags.before = current.Tags
		tags.after = withTags(current.Tags, tags.own)
	}
	current.Tags = tags.after
	return current
}

func withTags(set *metrics.TagSet, tags []tag) *metrics.TagSet {
	for _, tag := range tags {
		set = set.With(tag.name, tag.value)
	}
	return set
}

// promise makes a call by submit, and gives a promise of what settle makes of its end. The
// method is the one that the script called.
func (module *ModuleInstance) promise(
	method string, client *client, promises *iteration.Promises,
	submit func(notify func(*call)) error, settle func(*completion) sobek.Value,
) sobek.Value {
	runtime := module.vu.Runtime()
	ctx := module.vu.Context()
	promise, resolve, _ := runtime.NewPromise()
	enqueue := module.vu.RegisterCallback()
	ended := func(call *call) error {
		done := call.completion
		client.give(call)
		promises.End()
		return resolve(settle(&done))
	}
	promises.Begin(ctx)
	err := submit(func(call *call) {
		enqueue(func() error { return ended(call) })
	})
	if err != nil {
		enqueue(func() error { return nil })
		promises.End()
		throw(runtime, fmt.Errorf("%s(): %w", method, err))
	}
	if ctx.Err() != nil {
		// They may have been given up before the call was submitted.
		client.cancel()
	}
	return runtime.ToValue(promise)
}
