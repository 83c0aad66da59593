package http

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/grafana/sobek"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"
	"go.k6.io/k6/v2/js/modules"
	k6http "go.k6.io/k6/v2/js/modules/k6/http"
	"go.k6.io/k6/v2/js/modulestest"
	"go.k6.io/k6/v2/lib"
	"go.k6.io/k6/v2/metrics"
	"gopkg.in/guregu/null.v3"
)

// overHTTP carries requests to an ordinary server, byte for byte as they came.
type overHTTP struct {
	transport http.RoundTripper
	inFlight  context.Context
	cancel    context.CancelFunc
}

// to gives an exchanger whose requests all go to one server, as over a link: the
// authority is just a name.
func to(t *testing.T, address string) *overHTTP {
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, strings.TrimPrefix(address, "http://"))
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	return &overHTTP{&http.Transport{DisableCompression: true, DialContext: dial}, ctx, cancel}
}

func (over *overHTTP) Start(request *Request, ended func(*Outcome)) {
	go func() { ended(over.Wait(over.inFlight, request)) }()
}

func (over *overHTTP) Cancel() { over.cancel() }

func (over *overHTTP) Wait(ctx context.Context, request *Request) *Outcome {
	ctx, cancel := context.WithTimeout(ctx, request.Timeout)
	defer cancel()
	outcome := &Outcome{Timing: Timing{1, -1, 2, 3, 4}, Sent: 1, Received: 1}
	err := over.exchange(ctx, request, outcome)
	outcome.End = time.Now()
	switch {
	case err == nil:
	case errors.Is(err, context.DeadlineExceeded):
		outcome.Err = &Error{"timeout", err.Error()}
	case errors.Is(err, context.Canceled):
		outcome.Err = &Error{"cancelled", err.Error()}
	default:
		outcome.Err = &Error{"connection_lost", err.Error()}
	}
	return outcome
}

func (over *overHTTP) exchange(ctx context.Context, request *Request, outcome *Outcome) error {
	target := request.Scheme + "://" + request.Authority + request.Target
	carried, err := http.NewRequestWithContext(ctx, request.Method, target, strings.NewReader(request.Body))
	if err != nil {
		return err
	}
	carried.Header.Set("User-Agent", "") // none of net/http's own
	for _, field := range request.Header {
		if field.Name == "user-agent" {
			carried.Header.Del(field.Name)
		}
		carried.Header.Add(field.Name, field.Value)
	}
	response, err := over.transport.RoundTrip(carried)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	outcome.Status = response.StatusCode
	for name, values := range response.Header {
		for _, value := range values {
			outcome.Header = append(outcome.Header, Field{strings.ToLower(name), value})
		}
	}
	if request.Reading == Keep {
		outcome.Body, err = io.ReadAll(response.Body)
	}
	return err
}

// script is one VU with `http` from somewhere.
type script struct {
	*modulestest.Runtime
	t       *testing.T
	samples chan metrics.SampleContainer
	log     *bytes.Buffer
}

func newScript(t *testing.T, makeHTTP func(modules.VU, *metrics.Registry) *sobek.Object) *script {
	vu := modulestest.NewRuntime(t)
	registry := vu.VU.InitEnv().Registry
	require.NoError(t, vu.VU.Runtime().Set("http", makeHTTP(vu.VU, registry)))
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	samples := make(chan metrics.SampleContainer, 10_000)
	log := &bytes.Buffer{}
	logger := logrus.New()
	logger.SetOutput(log)
	options := lib.Options{
		MaxRedirects: null.IntFrom(10),
		UserAgent:    null.StringFrom("test"),
		Batch:        null.IntFrom(20),
		BatchPerHost: null.IntFrom(6),
		SystemTags:   &metrics.DefaultSystemTagSet,
	}
	vu.MoveToVUContext(&lib.State{
		Options:        options,
		BuiltinMetrics: vu.BuiltinMetrics,
		Logger:         logger,
		Transport:      &http.Transport{DisableCompression: true, DialContext: (&net.Dialer{}).DialContext},
		CookieJar:      jar,
		Samples:        samples,
		BufferPool:     lib.NewBufferPool(),
		Tags:           lib.NewVUStateTags(registry.RootTagSet().With("scenario", "default").With("group", "")),
	})
	return &script{vu, t, samples, log}
}

func ofK6(t *testing.T) *script {
	return newScript(t, func(vu modules.VU, _ *metrics.Registry) *sobek.Object {
		return k6http.New().NewModuleInstance(vu).Exports().Default.(*sobek.Object)
	})
}

func over(t *testing.T, exchanger Exchanger) *script {
	return with(t, exchanger, Families{HTTP: true, WRPC: true})
}

func with(t *testing.T, exchanger Exchanger, families Families) *script {
	return configured(t, exchanger, func(config *Config) { config.Families = families })
}

// configured is ours with another configuration than usual.
func configured(t *testing.T, exchanger Exchanger, change func(*Config)) *script {
	return newScript(t, func(vu modules.VU, registry *metrics.Registry) *sobek.Object {
		instruments, err := NewInstruments(registry)
		require.NoError(t, err)
		config := Config{
			Exchanger:   exchanger,
			Instruments: instruments,
			Families:    Families{HTTP: true, WRPC: true},
			Warned:      &sync.Map{},
			AddTags:     func(set *metrics.TagSet) *metrics.TagSet { return set.With("client", "one") },
		}
		change(&config)
		object, err := New(vu, config)
		require.NoError(t, err)
		return object
	})
}

func ofOurs(t *testing.T, address string) *script { return over(t, to(t, address)) }

// run gives what the script returns as JSON.
func (script *script) run(body, url string) (string, error) {
	// Times and the port of a connection differ; what TLS says is empty for both.
	code := `var seen; (async () => {
		const url = ` + fmt.Sprintf("%q", url) + `;
		const plain = (response) => {
			const { timings, remote_ip, remote_port, proto, ...rest } = JSON.parse(JSON.stringify(response));
			for (const cookies of [rest.request.headers.Cookie || []]) if (cookies[0]) cookies[0] = cookies[0].split("; ").sort().join("; ");
			if (rest.body && response.body instanceof ArrayBuffer) rest.body = Array.from(new Uint8Array(response.body));
			return { ...rest, timed: Object.keys(timings).sort(), timings: Object.values(timings).every((time) => time >= 0) };
		};
		` + body + `
	})().then((value) => { seen = JSON.stringify(value); }, (error) => { seen = "rejected: " + error; });`
	_, err := script.RunOnEventLoop(code)
	if err != nil {
		return "", err
	}
	return script.VU.Runtime().Get("seen").String(), nil
}

func (script *script) emitted() map[string][]metrics.Sample {
	found := map[string][]metrics.Sample{}
	for _, container := range metrics.GetBufferedSamples(script.samples) {
		for _, sample := range container.GetSamples() {
			found[sample.Metric.Name] = append(found[sample.Metric.Name], sample)
		}
	}
	return found
}

// failing gives no answer, or a strange one.
type failing struct{ outcome Outcome }

func (failing failing) Wait(context.Context, *Request) *Outcome { return &failing.outcome }

func (failing failing) Start(_ *Request, ended func(*Outcome)) { ended(&failing.outcome) }

func (failing) Cancel() {}

// noting keeps what it was asked for, and answers with nothing in it.
type noting struct{ requests *[]*Request }

func (noting noting) Wait(_ context.Context, request *Request) *Outcome {
	*noting.requests = append(*noting.requests, request)
	return &Outcome{Status: 200}
}

func (noting noting) Start(request *Request, ended func(*Outcome)) {
	ended(noting.Wait(context.Background(), request))
}

func (noting) Cancel() {}

// redirecting answers each request with a redirect to the same URL.
type redirecting struct{ noting }

func (redirecting redirecting) Start(request *Request, ended func(*Outcome)) {
	redirecting.Wait(context.Background(), request)
	ended(&Outcome{Status: 302, Header: []Field{{"location", "/"}}})
}

// counting answers once as many requests are in flight as are expected, or all came.
type counting struct {
	expected, total int

	mutex         sync.Mutex
	started, most int
	waiting       []func(*Outcome)
}

func (*counting) Wait(context.Context, *Request) *Outcome { panic("not in a batch") }

func (counting *counting) Start(_ *Request, ended func(*Outcome)) {
	counting.mutex.Lock()
	defer counting.mutex.Unlock()
	counting.started++
	counting.waiting = append(counting.waiting, ended)
	counting.most = max(counting.most, len(counting.waiting))
	if len(counting.waiting) == counting.expected || counting.started == counting.total {
		// A moment, in which one too many would show.
		time.AfterFunc(5*time.Millisecond, counting.release)
	}
}

func (counting *counting) release() {
	counting.mutex.Lock()
	defer counting.mutex.Unlock()
	for _, ended := range counting.waiting {
		ended(&Outcome{Status: 204})
	}
	counting.waiting = nil
}

func (*counting) Cancel() {}

// later answers all at once, once they are all there; nothing waits meanwhile.
type later struct {
	count   int
	waiting []func(*Outcome)
	most    int // goroutines
}

func (*later) Wait(context.Context, *Request) *Outcome { panic("not asynchronous") }

func (later *later) Start(_ *Request, ended func(*Outcome)) {
	later.waiting = append(later.waiting, ended)
	later.most = max(later.most, runtime.NumGoroutine())
	if len(later.waiting) < later.count {
		return
	}
	waiting := later.waiting
	later.waiting = nil
	go func() {
		for _, ended := range waiting {
			ended(&Outcome{Status: 204})
		}
	}()
}

func (*later) Cancel() {}

// same runs a script through k6/http and through ours, and gives what both return.
func same(t *testing.T, address, code string) string {
	t.Helper()
	k6 := ofK6(t)
	// For both, hosts are names of one server.
	k6.VU.State().Transport = to(t, address).transport
	theirs, err := k6.run(code, address)
	require.NoError(t, err)
	script := ofOurs(t, address)
	ours, err := script.run(code, address)
	require.NoError(t, err)
	require.NotContains(t, ours, "rejected: ")
	require.JSONEq(t, theirs, ours, script.log)
	require.NotEmpty(t, script.emitted()["wrpc_http_request"])
	return ours
}

// holding answers nothing: its requests end when they are given up.
type holding struct {
	begun chan struct{} // told of each

	mutex   sync.Mutex
	waiting []func(*Outcome)
}

func (holding *holding) Wait(ctx context.Context, _ *Request) *Outcome {
	holding.begun <- struct{}{}
	<-ctx.Done()
	return &Outcome{Err: &Error{cancelled, "given up"}}
}

func (holding *holding) Start(_ *Request, ended func(*Outcome)) {
	holding.mutex.Lock()
	defer holding.mutex.Unlock()
	holding.waiting = append(holding.waiting, ended)
	holding.begun <- struct{}{}
}

func (holding *holding) Cancel() {
	holding.mutex.Lock()
	defer holding.mutex.Unlock()
	for _, ended := range holding.waiting {
		go ended(&Outcome{Err: &Error{cancelled, "given up"}})
	}
	holding.waiting = nil
}
