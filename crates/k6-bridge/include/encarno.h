#ifndef ENCARNO_H
#define ENCARNO_H

/* Generated from crates/k6-bridge/src/abi by `make header`; a test compares the two. */

#include <stddef.h>
#include <stdint.h>

// The version of everything in this header. It changes whenever a caller that was
// compiled with an older header could misread the library, because a struct, an export
// or a meaning has changed or gone. A caller compares it with `encarno_abi_version`.
#define ENCARNO_ABI_VERSION 4

// The longest timeout: a day.
#define ENCARNO_TIMEOUT_NS_MAX 86400000000000

// The value for an instant that wasn't reached.
#define ENCARNO_NEVER UINT64_MAX

// The body of the response is kept.
#define ENCARNO_HTTP_KEEP 0

// The body of the response is read to its end and not kept.
#define ENCARNO_HTTP_DISCARD 1

// The body of the response isn't read: the call completes with its head, and the
// receiver is told to send no more.
#define ENCARNO_HTTP_IGNORE 2

// The length of `errors` in `EncarnoTransportCounts`.
#define ENCARNO_ERRORS 32

// The status that an export returns.
enum EncarnoStatus
#if __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // __STDC_VERSION__ >= 202311L
 {
  // Success.
  ENCARNO_STATUS_OK = 0,
  // The call was submitted; its completion will come to the queue.
  ENCARNO_STATUS_PENDING = 1,
  // The handle is closed, or was never one of this kind.
  ENCARNO_STATUS_BAD_HANDLE = 2,
  // A pointer is null but must not be, or a number is out of its range.
  ENCARNO_STATUS_BAD_ARGUMENT = 3,
  // The options are not valid; a text names the error.
  ENCARNO_STATUS_BAD_OPTIONS = 4,
  // Too many calls are in flight: the limit is 1,048,576 for a bridge.
  ENCARNO_STATUS_TOO_MANY_CALLS = 5,
  // The operating system returned an error; a text names it.
  ENCARNO_STATUS_SYSTEM = 6,
  // A bug in the bridge. The operation may or may not have had an effect.
  ENCARNO_STATUS_PANIC = 7,
};
#if __STDC_VERSION__ >= 202311L
typedef enum EncarnoStatus EncarnoStatus;
#else
typedef uint32_t EncarnoStatus;
#endif // __STDC_VERSION__ >= 202311L

// An open bridge.
typedef struct {
  // Its handle; never 0.
  uint64_t handle;
  // An eventfd, non-blocking, readable when there are completions to take. It belongs
  // to the caller.
  int32_t event_fd;
  // The number of its IO threads.
  uint32_t io_threads;
} EncarnoBridge;

// Bytes that belong to the caller of the export that returned them: free them with
// `encarno_bytes_free`. Texts are UTF-8.
typedef struct {
  // The first byte; null when there are none.
  uint8_t *data;
  // The number of bytes.
  size_t length;
} EncarnoOwnedBytes;

// Bytes that belong to the maker of the view.
typedef struct {
  // The first byte; may be null when `length` is 0.
  const uint8_t *data;
  // The number of bytes.
  size_t length;
} EncarnoView;

// A response. Its parts are freed with it.
typedef struct {
  // Names and values of the headers in turn, each a length of 32 bits, little-endian,
  // and that many bytes.
  EncarnoOwnedBytes headers;
  // Names and values of the trailers, in the same form.
  EncarnoOwnedBytes trailers;
  // The body, if it was to be kept.
  EncarnoOwnedBytes body;
  // The number of the body's bytes, kept or not.
  uint64_t body_bytes;
  // The time from the submission until the head arrived. The completion's
  // `finished_ns` is the end of what was read.
  uint64_t head_ns;
  // 200 to 599.
  uint32_t status;
  // Reserved; 0.
  uint32_t reserved;
} EncarnoHttpResponse;

// The completion of a call. Times are from its submission, by a monotonic clock.
typedef struct {
  // The tag of the call.
  uint64_t tag;
  // The time until it was handed to the connection, or `ENCARNO_NEVER`.
  uint64_t sent_ns;
  // The time until the last of its body was handed over, or `ENCARNO_NEVER` if no body
  // followed.
  uint64_t uploaded_ns;
  // The time until the receiver accepted it, or `ENCARNO_NEVER`.
  uint64_t accepted_ns;
  // The time until its result or its failure.
  uint64_t finished_ns;
  // Bytes of payloads and subjects that were sent.
  uint64_t bytes_sent;
  // Bytes of payloads and subjects that arrived.
  uint64_t bytes_received;
  // The error, in a sentence; empty on success. The caller frees it.
  EncarnoOwnedBytes error;
  // 0 for success, otherwise see `encarno_error_name`.
  uint32_t error_code;
  // Reserved; 0.
  uint32_t reserved;
  // The response to an HTTP request; null for any other call, and for a failed one.
  // The caller frees it with `encarno_http_response_free`.
  EncarnoHttpResponse *response;
  // The encoded results of a function; empty for a function without results, and for a
  // failed call. The caller frees them.
  EncarnoOwnedBytes results;
} EncarnoCompletion;

// The counts of a transport since the bridge was opened, over all its connections.
typedef struct {
  // Connections made.
  uint64_t connects;
  // Connections that were lost and came back.
  uint64_t reconnects;
  // Attempts to connect that failed, without attempts to reconnect.
  uint64_t connect_failures;
  // Connections that were lost.
  uint64_t losses;
  // Bytes of payloads and subjects that were sent.
  uint64_t bytes_sent;
  // Bytes of payloads and subjects that arrived.
  uint64_t bytes_received;
  // Messages sent.
  uint64_t messages_sent;
  // Messages that arrived.
  uint64_t messages_received;
  // Messages that arrived and were dropped, because they were read too slowly.
  uint64_t messages_dropped;
  // Calls in flight now.
  uint64_t calls_in_flight;
  // Calls that failed, by the number of their error code: `errors[9]` is the number of
  // those with code 9.
  uint64_t errors[ENCARNO_ERRORS];
} EncarnoTransportCounts;

// A call of a function, without its parameters and headers.
typedef struct {
  // Returned with the completion.
  uint64_t tag;
  // The number of the function, from `encarno_function_open` for the same client.
  uint64_t function;
  // The time from the submission after which the call fails with `timeout`; at most a
  // day.
  uint64_t timeout_ns;
} EncarnoCall;

// The trace to which a call or a request belongs, in the parts of W3C Trace Context; all
// 0 if there is none.
typedef struct {
  // The higher half of its identifier.
  uint64_t high;
  // The lower half.
  uint64_t low;
  // The span of the caller in it; 0 if that isn't known.
  uint64_t span;
} EncarnoTrace;

// A call of `xk6:wrpc/blaster`, without its payload. The id of the packet is
// `VU-ITERATION-NUMBER`.
typedef struct {
  // Returned with the completion.
  uint64_t tag;
  // The virtual user.
  uint64_t vu;
  // Its iteration.
  uint64_t iteration;
  // The number of the call within the iteration.
  uint64_t number;
  // MiB for the component to allocate and touch.
  uint64_t mem_burn_mb;
  // Milliseconds of CPU for it to burn.
  uint64_t cpu_burn_ms;
  // Milliseconds for it to sleep.
  uint64_t wait_ms;
  // The time from the submission after which the call fails with `timeout`; at most a
  // day.
  uint64_t timeout_ns;
  // Sent as the header `traceparent`. NATS carries it; over TCP, a call with a trace
  // fails.
  EncarnoTrace trace;
} EncarnoBlast;

// An HTTP request, without its head and its body.
typedef struct {
  // Returned with the completion.
  uint64_t tag;
  // The time from the submission after which the call fails with `timeout`; at most a
  // day.
  uint64_t timeout_ns;
  // A response with a larger body fails; for `ENCARNO_HTTP_KEEP`.
  uint64_t body_bytes_max;
  // How the body is read: `ENCARNO_HTTP_KEEP`, `ENCARNO_HTTP_DISCARD` or
  // `ENCARNO_HTTP_IGNORE`.
  uint32_t reading;
  // Reserved; 0.
  uint32_t reserved;
} EncarnoHttpRequest;

// A sample of k6.
typedef struct {
  // The number of the series, from `encarno_record_series`.
  uint32_t series;
  // Reserved; 0.
  uint32_t reserved;
  // When it was taken, Unix time in ns.
  uint64_t at_unix_ns;
  // Its value.
  double value;
} EncarnoSample;

// A request of a script that has ended.
typedef struct {
  // The number of its label, from `encarno_record_text`.
  uint32_t label;
  // The number of its error text; 0 means that it succeeded.
  uint32_t error;
  // The protocol's status; 0 means none.
  uint32_t status;
  // Reserved; 0.
  uint32_t reserved;
  // When it ended, Unix time in ns.
  uint64_t ended_unix_ns;
  // Its duration.
  uint64_t duration_ns;
  // Its trace. A request with a trace is kept as an exemplar.
  EncarnoTrace trace;
} EncarnoRequest;

// The version of this library's C ABI: `ENCARNO_ABI_VERSION` of its own header. This
// export never changes.
//
// # Safety
// `version` must be writable.
EncarnoStatus encarno_abi_version(uint32_t *version);

// Opens a bridge: its IO threads and its queue of completions.
//
// On `OK`, `opened` is filled: the caller closes the bridge with `encarno_bridge_close`
// and the descriptor with `close`. On `SYSTEM`, `error` is a sentence, which the caller
// frees.
//
// # Safety
// `opened` and `error` must be writable.
EncarnoStatus encarno_bridge_open(EncarnoBridge *opened, EncarnoOwnedBytes *error);

// Closes a bridge and its clients, ends its calls and its threads, and makes its
// descriptor readable one last time. Completions that weren't taken are dropped.
EncarnoStatus encarno_bridge_close(uint64_t bridge);

// Opens a client, with its own connection, or with one that clients with equal options
// share. The connection is made at the first call.
//
// `options` is JSON with the key `nats` or `tcp`, whose keys are those of a scenario's
// options; a key `tags` beside them is ignored. On `OK`, `client` is filled: the caller
// closes it with `encarno_client_close`. On `BAD_OPTIONS`, `error` is a sentence that
// names the invalid key, which the caller frees.
//
// # Safety
// `options` must be readable; `client` and `error` must be writable.
EncarnoStatus encarno_client_open(uint64_t bridge,
                                  EncarnoView options,
                                  uint64_t *client,
                                  EncarnoOwnedBytes *error);

// Cancels the calls of a client that are in flight: each completes at once, unless it is
// done already. Later calls are not affected.
EncarnoStatus encarno_client_cancel(uint64_t client);

// Closes a client and its connection, and cancels its calls as `encarno_client_cancel`
// does.
EncarnoStatus encarno_client_close(uint64_t client);

// Takes completions from the queue of a bridge, the oldest first, and sets `taken` to
// their number, which may be 0. The caller frees the error text, the response and the
// results of each. To wait for completions, read 8 bytes from the descriptor. It becomes
// readable when the queue stops being empty, so take all completions after each read.
//
// # Safety
// `completions` must be writable for `capacity` elements; `taken` must be
// writable.
EncarnoStatus encarno_completions_take(uint64_t bridge,
                                       EncarnoCompletion *completions,
                                       size_t capacity,
                                       size_t *taken);

// The name of an error code, such as `timeout`. The view is always valid. `BAD_ARGUMENT`
// if the number isn't a code; codes count from 1 without gaps.
//
// # Safety
// `name` must be writable.
EncarnoStatus encarno_error_name(uint32_t code, EncarnoView *name);

// The name of a transport, such as `nats`. The view is always valid. `BAD_ARGUMENT` if
// the number isn't a transport; transports count from 0 without gaps.
//
// # Safety
// `name` must be writable.
EncarnoStatus encarno_transport_name(uint32_t transport, EncarnoView *name);

// The counts of a transport since the bridge was opened.
//
// # Safety
// `counts` must be writable.
EncarnoStatus encarno_transport_counts(uint64_t bridge,
                                       uint32_t transport,
                                       EncarnoTransportCounts *counts);

// Takes the connect times of a transport's connections, in nanoseconds, each once, and
// sets `taken` to their number, which may be 0.
//
// # Safety
// `times_ns` must be writable for `capacity` elements; `taken` must be writable.
EncarnoStatus encarno_connect_times_take(uint64_t bridge,
                                         uint32_t transport,
                                         uint64_t *times_ns,
                                         size_t capacity,
                                         size_t *taken);

// Frees bytes that an export returned, and empties `bytes`, so that freeing them again
// does nothing.
//
// # Safety
// `bytes` must be null, or writable and as an export left it.
EncarnoStatus encarno_bytes_free(EncarnoOwnedBytes *bytes);

// Opens a function of an interface, such as `run` of `a:b/c@1.0.0`, for the calls of a
// client. The interface is empty for a function of the component itself. On `OK`,
// `function` is its number, which is the same each time, and valid as long as the
// client. On `BAD_OPTIONS`, `error` is a sentence, which the caller frees.
//
// # Safety
// `interface` and `name` must be readable; `function` and `error` must be writable.
EncarnoStatus encarno_function_open(uint64_t client,
                                    EncarnoView interface,
                                    EncarnoView name,
                                    uint64_t *function,
                                    EncarnoOwnedBytes *error);

// Submits a call of a function, without blocking. On `OK`, and only then, exactly one
// completion with its tag will come to the queue of the bridge, no later than its
// timeout, with results or with an error. On `TOO_MANY_CALLS`, take completions first.
// On `BAD_OPTIONS`, `error` is a sentence that names the invalid header, which the
// caller frees.
//
// `params` are the encoded parameters. `headers` are names and values in turn, such as
// `traceparent`, each a length of 32 bits, little-endian, and that many bytes. NATS
// carries them; over TCP, a call with headers fails.
//
// # Safety
// `call`, `params` and `headers` must be readable; all are copied. `error` must be
// writable.
EncarnoStatus encarno_call_submit(uint64_t client,
                                  const EncarnoCall *call,
                                  EncarnoView params,
                                  EncarnoView headers,
                                  EncarnoOwnedBytes *error);

// Submits a call of a function. If few calls are in flight, it waits for the call, as
// `encarno_blast_wait` does. On `OK`, `completion` is filled, the caller frees its
// parts, and nothing comes to the queue. On `PENDING`, the completion will come to the
// queue, as after `encarno_call_submit`.
//
// # Safety
// As `encarno_call_submit`; `completion` must be writable.
EncarnoStatus encarno_call_wait(uint64_t client,
                                const EncarnoCall *call,
                                EncarnoView params,
                                EncarnoView headers,
                                EncarnoCompletion *completion,
                                EncarnoOwnedBytes *error);

// Submits a blast, without blocking. On `OK`, and only then, exactly one completion with
// its tag will come to the queue of the bridge, no later than its timeout. On
// `TOO_MANY_CALLS`, take completions first.
//
// # Safety
// `blast` and `payload` must be readable; both are copied.
EncarnoStatus encarno_blast_submit(uint64_t client, const EncarnoBlast *blast, EncarnoView payload);

// Submits a blast. If few calls are in flight, it waits for the blast, which is cheaper
// than a wake-up by the queue. On `OK`, `completion` is filled, the caller frees its
// error text, and nothing comes to the queue. On `PENDING`, the completion will come to
// the queue, as after `encarno_blast_submit`. At most two threads wait here at a time,
// each for at most some milliseconds.
//
// # Safety
// `blast` and `payload` must be readable; both are copied. `completion` must
// be writable.
EncarnoStatus encarno_blast_wait(uint64_t client,
                                 const EncarnoBlast *blast,
                                 EncarnoView payload,
                                 EncarnoCompletion *completion);

// Submits an HTTP request, without blocking. On `OK`, and only then, exactly one
// completion with its tag will come to the queue of the bridge, no later than its
// timeout, with a response or with an error. On `TOO_MANY_CALLS`, take completions
// first. On `BAD_OPTIONS`, `error` is a sentence that says what is wrong with the
// request, which the caller frees.
//
// `head` is a list of texts, each a length of 32 bits, little-endian, and that many
// bytes: the method, the scheme, the host with its port, the path with its query (may be
// empty), and then names and values of headers in turn.
//
// # Safety
// `request`, `head` and `body` must be readable; all are copied. `error` must be
// writable.
EncarnoStatus encarno_http_submit(uint64_t client,
                                  const EncarnoHttpRequest *request,
                                  EncarnoView head,
                                  EncarnoView body,
                                  EncarnoOwnedBytes *error);

// Submits an HTTP request. If few calls are in flight, it waits for the request, as
// `encarno_blast_wait` does. On `OK`, `completion` is filled, the caller frees its
// parts, and nothing comes to the queue. On `PENDING`, the completion will come to the
// queue, as after `encarno_http_submit`.
//
// # Safety
// As `encarno_http_submit`; `completion` must be writable.
EncarnoStatus encarno_http_wait(uint64_t client,
                                const EncarnoHttpRequest *request,
                                EncarnoView head,
                                EncarnoView body,
                                EncarnoCompletion *completion,
                                EncarnoOwnedBytes *error);

// Frees the response of a completion with all its parts, and empties `response`, so that
// freeing it again does nothing.
//
// # Safety
// `response` must be null, or writable and as an export left it.
EncarnoStatus encarno_http_response_free(EncarnoHttpResponse **response);

// Creates a result file, or empties it. `notes` is JSON in the form of
// `encarno_record::notes`; the description of this machine is added. On `OK`, `record`
// is filled: the caller ends it with `encarno_record_end`. On `SYSTEM` and
// `BAD_OPTIONS`, `error` is a sentence, which the caller frees.
//
// # Safety
// `path` and `notes` must be readable; `record` and `error` must be writable.
EncarnoStatus encarno_record_begin(EncarnoView path,
                                   EncarnoView notes,
                                   uint64_t started_unix_ns,
                                   uint64_t *record,
                                   EncarnoOwnedBytes *error);

// The number of a text, for labels and errors of requests; 0 is the empty text. There
// may be 20,000; further texts count as the text `other`.
//
// # Safety
// `text` must be readable; `number` must be writable.
EncarnoStatus encarno_record_text(uint64_t record, EncarnoView text, uint32_t *number);

// The number of a series. `series` is JSON: `{metric, type, contains, tags}`. There may
// be 20,000; further series count as one series of the metric, with the tag `other`. On
// `SYSTEM`, `error` is a sentence, which the caller frees.
//
// # Safety
// `series` must be readable; `number` and `error` must be writable.
EncarnoStatus encarno_record_series(uint64_t record,
                                    EncarnoView series,
                                    uint32_t *number,
                                    EncarnoOwnedBytes *error);

// Adds samples and requests, and writes the seconds that ended before `until_unix_ns`.
// `users` is the present number of users. On `SYSTEM`, `error` is a sentence, which the
// caller frees.
//
// # Safety
// `samples` and `requests` must be readable for that many elements, or null if there are
// none; `error` must be writable.
EncarnoStatus encarno_record_add(uint64_t record,
                                 const EncarnoSample *samples,
                                 size_t samples_length,
                                 const EncarnoRequest *requests,
                                 size_t requests_length,
                                 uint64_t users,
                                 uint64_t until_unix_ns,
                                 EncarnoOwnedBytes *error);

// Writes the rest and the last notes, and closes the file. `notes` has the form of
// `encarno_record_begin`; `span_ns` is the duration of the run. The record ends in any
// case. On `SYSTEM`, `error` is a sentence, which the caller frees.
//
// # Safety
// `notes` must be readable; `error` must be writable.
EncarnoStatus encarno_record_end(uint64_t record,
                                 EncarnoView notes,
                                 uint64_t span_ns,
                                 EncarnoOwnedBytes *error);

// Writes the report of a complete result file: one page of HTML. On `SYSTEM`, `error` is
// a sentence, which the caller frees.
//
// # Safety
// `path` and `page` must be readable; `error` must be writable.
EncarnoStatus encarno_report_write(EncarnoView path, EncarnoView page, EncarnoOwnedBytes *error);

// Serves the report of a result file while it is written: a page at `address`. An
// address such as `:7070` is for this machine alone. On `OK`, `live` is filled, which
// the caller ends with `encarno_live_close`, and `said` is the page's URL. On `SYSTEM`,
// `said` is a sentence. The caller frees `said` in both cases.
//
// # Safety
// `path` and `address` must be readable; `live` and `said` must be writable.
EncarnoStatus encarno_live_open(EncarnoView path,
                                EncarnoView address,
                                uint64_t *live,
                                EncarnoOwnedBytes *said);

// Stops serving the page of a result file. Browsers that show it get a moment to fetch
// the end.
EncarnoStatus encarno_live_close(uint64_t live);

// Reads files of WIT, and says in JSON which functions they declare, and of which types:
// `{"types": […], "functions": {NAME: {"Ok": {"instance", "name", "params": [{"name",
// "of"}], "result"}} or {"Err": REASON}}}`, where types are named by their places in the
// list. `encarno-wrpc-value` documents them (`Shape`).
//
// `sources` are paths and texts in turns, each a length of 32 bits, little-endian, and so
// many bytes. A path is relative to the folder of the package: those of dependencies begin
// with `deps/`. On `OK`, `declared` holds the JSON, on `BAD_OPTIONS`, `error` holds a
// sentence that names file and line; the caller frees the one that was filled.
//
// # Safety
// `sources` must be readable; `declared` and `error` must be writable.
EncarnoStatus encarno_wit_read(EncarnoView sources,
                               EncarnoOwnedBytes *declared,
                               EncarnoOwnedBytes *error);

#endif  /* ENCARNO_H */
