// Package iteration knows how an iteration ends: what is in flight for it is given up,
// and what has become of its calls is counted, once, whatever the script does.
package iteration

import (
	"context"
	"reflect"

	"go.k6.io/k6/v2/metrics"
)

// Promises are those of one iteration that aren't settled yet. When the iteration ends
// before they are, what is in flight for them is given up. All methods belong to the
// VU's goroutine.
type Promises struct {
	// GiveUp ends the calls that were made so far.
	GiveUp func()

	open   int
	stop   func() bool
	gaveUp chan struct{}
}

// Begin counts a promise. The call for it is made after that.
func (promises *Promises) Begin(ctx context.Context) {
	if promises.open == 0 {
		gaveUp := make(chan struct{})
		promises.gaveUp = gaveUp
		promises.stop = context.AfterFunc(ctx, func() {
			promises.GiveUp()
			close(gaveUp)
		})
	}
	promises.open++
}

// End counts a promise that is settled, or never will be. k6 settles all of an iteration
// before the next one begins, also after the script threw.
func (promises *Promises) End() {
	promises.open--
	if promises.open == 0 && !promises.stop() {
		// The calls are being given up, on another goroutine. Whatever is called after
		// this is not to be among them.
		<-promises.gaveUp
	}
}

// Push emits the samples of a call that has ended, on the VU's goroutine. A call that was
// cut off by the end of the VU's run leaves none, as with k6's own modules. All others
// do: those that were cut off because the script threw, and those that ended by
// themselves and whose promises were settled too late.
func Push(
	ctx context.Context, output chan<- metrics.SampleContainer, samples metrics.SampleContainer, isCancelled bool,
) {
	if isCancelled && ctx.Err() != nil && isRunOver(ctx) {
		return
	}
	// k6 reads samples for as long as any VU runs.
	output <- samples
}

// isRunOver says why the context of an iteration has ended: because the VU's run is
// over, or else because the iteration is. k6 makes the latter's context of the former's
// by context.WithCancel, and shows the former to nobody. Where that can't be seen, the
// run is over: then samples are left out that might have been emitted.
func isRunOver(ctx context.Context) bool {
	value := reflect.Indirect(reflect.ValueOf(ctx))
	if value.Kind() != reflect.Struct {
		return true
	}
	parent, ok := fieldOf(value, "Context").(context.Context)
	return !ok || parent.Err() != nil
}

func fieldOf(value reflect.Value, name string) any {
	field := value.FieldByName(name)
	if !field.IsValid() || !field.CanInterface() {
		return nil
	}
	return field.Interface()
}
