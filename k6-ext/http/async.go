package http

import (
	"context"

	"github.com/grafana/sobek"
	"go.k6.io/k6/v2/lib"
)

// asyncRequest is asyncRequest(method, url, body, params). Nothing waits for it but the
// event loop: each end of a request goes on from there.
func (client *Client) asyncRequest(jsCall sobek.FunctionCall) sobek.Value {
	state := client.stateFor()
	runtime := client.vu.Runtime()
	parsed, err := client.parse(state, ofRequest(jsCall))
	promise, resolve, reject := runtime.NewPromise()
	settle := func(response *Response, err error) error {
		if err != nil {
			return reject(err)
		}
		return resolve(response)
	}
	if err != nil {
		response, err := client.unparsed(state, err)
		// The promise is new: settling it can't fail.
		_ = settle(response, err)
		return runtime.ToValue(promise)
	}
	ctx := client.vu.Context()
	client.promises.Begin(ctx)
	client.whenAllowed(ctx, state, func(err error) error {
		if err != nil {
			client.promises.End()
			return settle(nil, err)
		}
		return client.follow(ctx, parsed, parsed.begin(), settle)
	})
	return runtime.ToValue(promise)
}

// follow sends a request and those that follow from it, each from the event loop.
func (client *Client) follow(
	ctx context.Context, call *call, request *Request, settle func(*Response, error) error,
) error {
	if request != nil && ctx.Err() != nil {
		// k6 goes on with what is queued also after the script threw.
		call.giveUp()
		request = nil
	}
	if request == nil {
		client.promises.End()
		return settle(call.result())
	}
	enqueue := client.vu.RegisterCallback()
	client.exchanger.Start(request, func(outcome *Outcome) {
		enqueue(func() error { return client.follow(ctx, call, call.step(outcome), settle) })
	})
	if ctx.Err() != nil {
		// They may have been given up before the request was sent.
		client.exchanger.Cancel()
	}
	return nil
}

// whenAllowed goes on at once, or from the event loop when the test's limit of requests
// a second allows it.
func (client *Client) whenAllowed(ctx context.Context, state *lib.State, goOn func(error) error) {
	if state.RPSLimit == nil {
		_ = goOn(nil) // settles nothing yet
		return
	}
	wait := state.RPSLimit.Reserve().Delay()
	if wait == 0 {
		_ = goOn(nil)
		return
	}
	enqueue := client.vu.RegisterCallback()
	waited, stop := context.WithTimeout(ctx, wait)
	context.AfterFunc(waited, func() {
		enqueue(func() error {
			stop()
			return goOn(ctx.Err())
		})
	})
}
