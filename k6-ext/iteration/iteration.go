// Package iteration ends iterations: calls in flight are cancelled, and the end of each call is
// counted exactly once, whatever the script does.
package iteration

import (
	"context"
	"reflect"

	"go.k6.io/k6/v2/metrics"
)

// Promises counts the promises of an iteration that aren't settled yet. If the iteration ends
// before they are, their calls in flight are cancelled. Only the VU's goroutine may call the
// methods.
type Promises struct {
	// GiveUp cancels the calls that were made so far.
	GiveUp func()

	open   int
	stop   func() bool
	gaveUp chan struct{}
}

// Begin counts a promise. Make its call after that.
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

// End counts a promise that is settled, or never will be. k6 settles all promises of an
// iteration before the next one begins, even after the script threw.
func (promises *Promises) End() {
	promises.open--
	if promises.open == 0 && !promises.stop() {
		// Another goroutine is cancelling the calls. Calls that are made after this must
		// not be among them.
		<-promises.gaveUp
	}
}

// Push emits the samples of a call that has ended, on the VU's goroutine. A call that was
// cut off by the end of the VU's run has no samples, as with k6's own modules. All others
// have: those that were cut off because the script threw, and those that ended by themselves,
// even if their promises were settled too late.
func Push(
	ctx context.Context, output chan<- metrics.SampleContainer, samples metrics.SampleContainer, isCancelled bool,
) {
	if isCancelled && ctx.Err() != nil && isRunOver(ctx) {
		return
	}
	// k6 reads samples for as long as any VU runs.
	output <- samples
}

// isRunOver returns whether the context of an iteration has ended because the VU's run is over,
// and not only the iteration. k6 derives the iteration's context from the run's by
// context.WithCancel, and doesn't give access to the run's. If the run's can't be found, the
// answer is true: then samples are left out that could have been emitted.
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
