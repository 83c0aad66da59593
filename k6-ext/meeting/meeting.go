// Package meeting lets VUs wait for one another: for a value that one of them makes for all, and
// at barriers. If `encarno k6 run --agents` started this k6, these are the VUs of all agents, which
// meet through their agents. Otherwise they are the VUs of this process.
package meeting

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"
)

// NameBytesMax is the length of the longest name.
const NameBytesMax = 64

// variable says where the programs of all agents meet: ADDRESS/SECRET. crates/fleet/src/meeting.rs
// serves it, and describes the lines.
const variable = "ENCARNO_MEETING"

const dialTimeout = 10 * time.Second

var errGone = errors.New("the agent is gone")

// Turn is the task to make a value, which ends with End or Fail.
type Turn struct {
	end func(answer) error
}

// End gives everyone the value.
func (turn *Turn) End(value string) error { return turn.end(answer{Value: &value}) }

// Fail tells everyone that there is no value.
func (turn *Turn) Fail(reason string) {
	_ = turn.end(answer{Error: reason}) // without an agent nobody else waits
}

type request struct {
	Secret  string `json:"secret"`
	Once    string `json:"once,omitempty"`
	Barrier string `json:"barrier,omitempty"`
	Parties uint64 `json:"parties,omitempty"`
}

type answer struct {
	Yours bool    `json:"yours,omitempty"`
	Value *string `json:"value,omitempty"`
	Error string  `json:"error,omitempty"`
}

// Once returns the value with this name, or the turn to make it.
func Once(ctx context.Context, name string) (*Turn, string, error) {
	place := os.Getenv(variable)
	if place == "" {
		return here.once(ctx, name)
	}
	line, err := dial(ctx, place, request{Once: name})
	if err != nil {
		return nil, "", err
	}
	told, err := line.read()
	if err == nil && told.Yours {
		return &Turn{end: line.end}, "", nil
	}
	line.close()
	switch {
	case err != nil:
		return nil, "", err
	case told.Error != "":
		return nil, "", errors.New(told.Error)
	case told.Value == nil:
		return nil, "", errGone
	}
	return nil, *told.Value, nil
}

// Barrier waits until this many calls have named the barrier.
func Barrier(ctx context.Context, name string, parties uint64) error {
	place := os.Getenv(variable)
	if place == "" {
		return here.barrier(ctx, name, parties)
	}
	line, err := dial(ctx, place, request{Barrier: name, Parties: parties})
	if err != nil {
		return err
	}
	defer line.close()
	told, err := line.read()
	if err == nil && told.Error != "" {
		err = errors.New(told.Error)
	}
	return err
}

// line is a connection to the agent, which the end of its context closes.
type line struct {
	ctx    context.Context
	stream net.Conn
	reader *bufio.Reader
	stop   func() bool
}

func dial(ctx context.Context, place string, asked request) (*line, error) {
	address, secret, _ := strings.Cut(place, "/")
	dialer := net.Dialer{Timeout: dialTimeout}
	stream, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errGone, err)
	}
	opened := &line{ctx: ctx, stream: stream, reader: bufio.NewReader(stream)}
	opened.stop = context.AfterFunc(ctx, func() { _ = stream.Close() })
	asked.Secret = secret
	if err := opened.write(asked); err != nil {
		opened.close()
		return nil, err
	}
	return opened, nil
}

func (line *line) write(value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	_, err = line.stream.Write(append(text, '\n'))
	return line.explain(err)
}

func (line *line) read() (answer, error) {
	var told answer
	text, err := line.reader.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(text, &told)
	}
	return told, line.explain(err)
}

func (line *line) explain(err error) error {
	switch {
	case err == nil:
		return nil
	case line.ctx.Err() != nil:
		return line.ctx.Err()
	default:
		return errGone
	}
}

// end writes what was made, and waits until the agent has it.
func (line *line) end(made answer) error {
	defer line.close()
	if err := line.write(made); err != nil {
		return err
	}
	told, err := line.read()
	if err == nil && told.Error != "" && made.Error == "" {
		err = errors.New(told.Error)
	}
	return err
}

func (line *line) close() {
	line.stop()
	_ = line.stream.Close()
}

// hall is where the VUs of one process meet.
type hall struct {
	mutex    sync.Mutex
	values   map[string]*value
	barriers map[string]*barrier
}

var here = hall{values: map[string]*value{}, barriers: map[string]*barrier{}}

type value struct {
	made chan struct{} // closed when the rest is set
	answer
}

type barrier struct {
	arrived uint64
	changed chan struct{} // closed and replaced at each arrival
}

func (hall *hall) once(ctx context.Context, name string) (*Turn, string, error) {
	hall.mutex.Lock()
	known, isKnown := hall.values[name]
	if !isKnown {
		known = &value{made: make(chan struct{})}
		hall.values[name] = known
	}
	hall.mutex.Unlock()
	if !isKnown {
		return &Turn{end: func(made answer) error {
			known.answer = made
			close(known.made)
			return nil
		}}, "", nil
	}
	select {
	case <-ctx.Done():
		return nil, "", ctx.Err()
	case <-known.made:
	}
	if known.Value == nil {
		return nil, "", errors.New(known.Error)
	}
	return nil, *known.Value, nil
}

func (hall *hall) barrier(ctx context.Context, name string, parties uint64) error {
	hall.mutex.Lock()
	known := hall.barriers[name]
	if known == nil {
		known = &barrier{changed: make(chan struct{})}
		hall.barriers[name] = known
	}
	known.arrived++
	close(known.changed)
	known.changed = make(chan struct{})
	for known.arrived < parties {
		changed := known.changed
		hall.mutex.Unlock()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
		hall.mutex.Lock()
	}
	hall.mutex.Unlock()
	return nil
}
