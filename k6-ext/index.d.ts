/**
 * k6/x/wrpc: calls wasm components over wRPC.
 *
 * ```javascript
 * import wrpc from "k6/x/wrpc";
 * const blaster = wrpc.blaster({
 *   nats: { url: "nats://localhost:4222", prefix: "wasmtime" },
 *   tags: { scenario: "basic" },
 * });
 * export default function () {
 *   blaster.blast();
 *   blaster.blast({ cpu_burn_ms: 100, memory_burn_mb: 10, wait_ms: 5, payload: "hello", timeout: 10000 });
 * }
 * ```
 *
 * @packageDocumentation
 */

declare module "k6/x/wrpc" {
  import type {
    AuthMethod,
    BatchResponses,
    FileData,
    RefinedParams,
    RefinedResponse,
    RequestBody,
    ResponseType,
  } from "k6/http";

  /**
   * A number of milliseconds above 0, or text with units such as `"10s"`,
   * `"1m30s"` or `"500ms"`; at most 24 hours.
   */
  export type Duration = number | string;

  /** Tags for samples. The values become text. */
  export type Tags = Record<string, string | number | boolean>;

  /** How to reach a receiver over NATS. */
  export interface NatsOptions {
    /**
     * `nats://host:port` or `tls://host:port`, or several, as a list or separated by
     * commas, which are tried in turn. You may leave out the scheme `nats://` and the port
     * 4222, and put `user:password@` or `token@` before the host.
     */
    url: string | string[];
    /** The prefix under which the receiver serves. Default: none. */
    prefix?: string;
    /** The name that the server's monitoring shows. Default: `"encarno"`. */
    name?: string;
    /** The user; needs `password`. Use only one kind of credentials. */
    user?: string;
    /** The password of the user. */
    password?: string;
    /** A token. */
    token?: string;
    /** A credentials file of `nsc`, or its text: a JWT and the seed of its nkey. */
    credentials?: string;
    /** The seed of an nkey, `"SU…"`, or a file that contains it. */
    nkey?: string;
    /** A JWT, or a file that contains it; needs `nkey`, which signs. */
    jwt?: string;
    /** TLS options. `tls://` alone uses the defaults. */
    tls?: NatsTls;
    /** The beginning of the subjects on which answers arrive. Default: `"_INBOX"`. */
    inbox_prefix?: string;
    /**
     * How long an attempt to connect may take, and how long a call waits for a
     * lost connection to come back. Default: `"5s"`.
     */
    connect_timeout?: Duration;
    /**
     * The time between pings to a silent server. After three pings without an answer the
     * connection counts as lost. Set it longer than a message takes on a slow network.
     * Default: `"1500ms"`.
     */
    ping_interval?: Duration;
    /**
     * The most attempts to restore a lost connection, each with one URL. After them, the next
     * call makes a new connection. Above 0. Default: no limit.
     */
    max_reconnects?: number;
    /**
     * The longest pause between these attempts. The first attempt is made at once. Pauses
     * double from 10 ms, and each is shortened at random by up to a half. Default: `"1s"`.
     */
    reconnect_delay?: Duration;
    /**
     * The number of connections that all VUs share. Clients with equal NATS options share
     * them. Default: each VU has its own connection.
     */
    shared?: number;
  }

  /**
   * TLS to NATS. Files are in PEM format; give their names, relative to the working directory, or their text. If a
   * URL begins with `tls://`, every connection uses TLS.
   */
  export interface NatsTls {
    /** Certificates to trust instead of the system's. */
    ca?: string;
    /** The client's own certificate; needs `key`. */
    cert?: string;
    /** The private key of `cert`. */
    key?: string;
    /** Require TLS. Default: true if any of the files is given. */
    required?: boolean;
  }

  /** How to reach a receiver over TCP, without a broker. */
  export interface TcpOptions {
    /** `host:port`, with an IPv6 address in brackets. All addresses of a name are tried. */
    addr: string;
    /** How long an attempt to connect may take, TLS included. Default: `"5s"`. */
    connect_timeout?: Duration;
    /** Whether small writes are sent at once. Default: true. */
    nodelay?: boolean;
    /**
     * For a connection of one call: whether the write side is shut down after the parameters.
     * Receivers that read to the end need `true`. Proxies that then close the connection
     * need `false`. Default: only for HTTP.
     */
    half_close?: boolean;
    /** About the longest silence of a receiver before its connection counts as lost. Default: `"5s"`. */
    keepalive?: Duration;
    /** The local IP address to connect from. Default: the system's choice. */
    source_addr?: string;
    /**
     * The number of connections that the calls of all VUs with the same options share. A
     * receiver that doesn't support this, such as upstream's, gets a connection for each
     * call. With 0, any receiver gets a connection for each call. Default: 1.
     */
    pool?: number;
    /** TLS options. With `{}` the system's certificates are trusted. Default: no TLS. */
    tls?: TlsOptions;
  }

  /** TLS. Files are in PEM format; give their names, relative to k6's working directory, or their text. */
  export interface TlsOptions {
    /** Certificates that are trusted instead of the system's. */
    ca?: string;
    /** The client's own chain of certificates; needs `key`. */
    cert?: string;
    /** The private key of `cert`. */
    key?: string;
    /** The name that the receiver's certificate must have. Default: the host of `addr`. */
    server_name?: string;
    /** Accepts any certificate. Default: false. */
    insecure_skip_verify?: boolean;
  }

  /** The options of a client: one of `nats` and `tcp`. An unknown key is an error. */
  export interface BlasterOptions {
    nats?: NatsOptions;
    tcp?: TcpOptions;
    /**
     * Tags for the samples of all calls of this client. As in k6/http, a tag
     * with the name of one of k6's own (such as `scenario`) replaces it.
     */
    tags?: Tags;
    /**
     * The share of calls that begin a trace, from 0 to 1. They get a header `traceparent`
     * (W3C Trace Context), and their samples the metadata `trace_id` and `span_id`. Over TCP only
     * `wrpc.http` can begin traces. Default: 0.
     */
    traceparent?: number;
  }

  /** The work for a component. An unknown key is an error. */
  export interface Packet {
    /** Milliseconds of CPU to burn. A whole number. Default: 0. */
    cpu_burn_ms?: number;
    /** MiB of memory to allocate, touch, and hold until the call ends. A whole number. Default: 0. */
    memory_burn_mb?: number;
    /** Milliseconds to sleep after that, without using CPU. A whole number. Default: 0. */
    wait_ms?: number;
    /** Bytes that the component reads. A string is sent as UTF-8. Default: none. */
    payload?: string | ArrayBuffer | Uint8Array;
    /** The most time for the whole call, including waiting for a connection. Default: `"10s"`. */
    timeout?: Duration;
    /** Another name for `timeout`; use only one of the two. */
    timeout_ms?: Duration;
    /** Tags for the samples of this call. They override those of the client. */
    tags?: Tags;
  }

  /**
   * The kinds of failures of a call.
   *
   * - `connection_refused`: nothing listens at the address, or it didn't answer in time
   * - `unresolved_host`: the host name has no address
   * - `tls_failure`: TLS could not be set up
   * - `authentication`: the server wants other credentials
   * - `connection_lost`: the connection broke while the call was in flight
   * - `no_responders`: nobody serves the function under this prefix, or at this address
   * - `receiver_gone`: the receiver accepted the call, and then ended
   * - `receiver_busy`: the receiver has reached its limit of calls
   * - `timeout`: no result within the timeout of the packet
   * - `cancelled`: the test or the iteration ended
   * - `payload_too_large`: parameters or results beyond a limit
   * - `protocol_violation`: bytes that the protocol or the function's type doesn't allow
   * - `guest_trap`: the component trapped
   * - `guest_limit`: the component reached a limit of the receiver: memory, CPU or time
   * - `handler_error`: an HTTP handler returned an error code instead of a response
   * - `invalid_response`: a response that breaks the rules of HTTP
   * - `invalid_request`: the script's request can't be sent over HTTP
   * - `internal`: a bug of this software
   */
  export type ErrorCode =
    | "connection_refused"
    | "unresolved_host"
    | "tls_failure"
    | "authentication"
    | "connection_lost"
    | "no_responders"
    | "receiver_gone"
    | "receiver_busy"
    | "timeout"
    | "cancelled"
    | "payload_too_large"
    | "protocol_violation"
    | "guest_trap"
    | "guest_limit"
    | "handler_error"
    | "invalid_response"
    | "invalid_request"
    | "internal";

  /** The result of a call. */
  export interface Result {
    /** Whether the call succeeded. */
    ok: boolean;
    /** The error as a sentence; empty on success. */
    error: string;
    /** The kind of the failure; empty on success. */
    error_code: ErrorCode | "";
    /** From the call of `blast` until its result or its failure, in milliseconds. */
    duration: number;
  }

  /**
   * Makes calls over a connection of its VU, or over one that VUs share (see `shared` and
   * `pool`). The first call opens the connection. If that fails, the next call tries again.
   *
   * Every call emits samples of these metrics, with the tags of k6, the client and
   * the packet, and for a failed call the tag `error_code`:
   *
   * - `wrpc_blaster_operation`, counter: calls
   * - `wrpc_blaster_error`, counter: failed calls
   * - `wrpc_blaster_transport_error`, counter: failed calls whose cause is the transport or the
   *   receiver
   * - `wrpc_blaster_duration`, trend: the whole call; its parts are
   * - `wrpc_blaster_queued`, trend: the time until the call was handed to the connection, which
   *   includes making the connection at the first call
   * - `wrpc_blaster_accepted`, trend: the time from there until the receiver accepted the call
   * - `wrpc_blaster_result`, trend: the time from there until the result or the failure
   * - `data_sent` and `data_received`, counters: bytes of payloads and subjects; over TCP, of
   *   the protocol
   *
   * The connections themselves are reported once a second and at the end of the
   * test, for all VUs together, with the tag `transport` and those of the test:
   *
   * - `wrpc_transport_connects` and `wrpc_transport_connect_failures`, counters:
   *   connections made, and attempts that failed
   * - `wrpc_transport_losses` and `wrpc_transport_reconnects`, counters: connections that
   *   were lost, and that came back
   * - `wrpc_transport_connecting`, trend: the time for making a connection, including name
   *   resolution, TLS and login
   * - `wrpc_transport_data_sent` and `wrpc_transport_data_received`, counters: bytes as in
   *   `data_sent`
   * - `wrpc_transport_messages_sent` and `wrpc_transport_messages_received`, counters
   * - `wrpc_transport_messages_dropped`, counter: messages that arrived faster than they
   *   were read
   * - `wrpc_transport_calls_in_flight`, gauge: calls that haven't ended
   * - `wrpc_transport_calls_failed`, counter: failed calls, with the tag `error_code`, without
   *   those that were cut off
   *
   * Over TCP with `pool: 0` messages are frames, and there are no reconnects: each call
   * has a new connection. Only NATS has dropped messages.
   *
   * A part that a failed call didn't reach has no sample. A call that is cut off by
   * the end of the test has no samples at all, as with k6's own modules. One that is ended
   * because the script threw is counted as `cancelled`.
   */
  export interface Blaster {
    /**
     * Calls the component and blocks the VU until the call's end.
     *
     * @throws TypeError on misuse: an unknown key or a value of a wrong type, named
     * by the message, or a call in the init context. A failed call doesn't throw.
     */
    blast(packet?: Packet | null): Result;

    /**
     * Calls the component without blocking. The promise resolves with the result,
     * even if the call failed. The iteration lasts until all its promises
     * are settled.
     *
     * @throws TypeError on misuse, as `blast`.
     */
    blastAsync(packet?: Packet | null): Promise<Result>;
  }

  /**
   * Makes a client. Call it only in the init context.
   *
   * @throws TypeError when an option is wrong; the message names it.
   */
  export function blaster(options: BlasterOptions): Blaster;

  /** What a client calls functions of: NATS or TCP, and the WIT that declares them. */
  export type ClientOptions = {
    /**
     * A file of WIT, or a folder with such files and those of dependencies in `deps`. Its name is
     * relative to the script, and `k6 archive` takes the files up.
     */
    wit: string;
    /** How long a call may take. Default: `"10s"`. */
    timeout?: Duration;
    /** Headers of each call, such as `traceparent`. Over NATS only. */
    headers?: Record<string, string>;
    /** Tags for the samples of all calls. */
    tags?: Tags;
    /** The share of calls that begin a trace, as for `wrpc.blaster`. */
    traceparent?: number;
  } & ({ nats: NatsOptions; tcp?: undefined } | { tcp: TcpOptions; nats?: undefined });

  /**
   * A value of a function's parameter.
   *
   * | WIT | JavaScript |
   * |---|---|
   * | `bool` | a boolean |
   * | integers up to 32 bits | a number |
   * | `u64`, `s64` | a BigInt, or a number up to 2^53 - 1 |
   * | `f32`, `f64` | a number |
   * | `char`, `string` | a string |
   * | `list<u8>` | an ArrayBuffer, a Uint8Array, an array of numbers, or a string, which is sent as UTF-8 |
   * | `list<T>`, `tuple<…>` | an array |
   * | `option<T>` | the value, or `null` or `undefined`; within another option `{ tag: "some", val }` |
   * | `result<T, E>` | `{ tag: "ok", val }` or `{ tag: "err", val }` |
   * | `record` | an object; a name such as `far-y` may be written `farY`, `far_y` or `"far-y"` |
   * | `variant` | `{ tag: "name", val }`; the name alone for a case that holds nothing |
   * | `enum` | the name of the case |
   * | `flags` | an array of names, or an object of booleans |
   */
  export type CallValue =
    | boolean
    | number
    | bigint
    | string
    | null
    | undefined
    | ArrayBuffer
    | ArrayBufferView
    | readonly CallValue[]
    | { readonly [name: string]: CallValue };

  /** What became of a call. */
  export interface CallResult<T = unknown> {
    /** Whether it succeeded. A function's `result` that says `err` is a value of a call that succeeded. */
    ok: boolean;
    /**
     * What the function returned, `undefined` for one without a result. It is as {@link CallValue}
     * says, where `u64` and `s64` are always a BigInt, `list<u8>` is an ArrayBuffer, fields of
     * records are in camelCase, an option that is not there is `null`, a case is always
     * `{ tag, val }`, and flags are an array of names.
     */
    value: T;
    /** Why it failed; empty if it succeeded. */
    error: string;
    /** The name of the kind of failure, such as `"timeout"`; empty if it succeeded. */
    error_code: ErrorCode | "";
    /** From the call until its result, in milliseconds. */
    duration: number;
  }

  /**
   * Calls functions of any component. The samples of its calls have the tag `function`:
   *
   * - `wrpc_call_operation`, counter: calls
   * - `wrpc_call_error`, counter: failed calls
   * - `wrpc_call_transport_error`, counter: those of them that are the transport's or the receiver's
   * - `wrpc_call_duration`, trend: the whole call; its parts are
   * - `wrpc_call_queued`, trend: until it was handed to the connection
   * - `wrpc_call_accepted`, trend: from there until the receiver accepted it
   * - `wrpc_call_result`, trend: from there until its result or its failure
   */
  export interface Client {
    /**
     * Calls a function, `"namespace:package/interface@version.function"`, and waits for its result.
     * The version may be left out if there is one.
     *
     * @throws TypeError for a function that is not declared, and for arguments that are not of
     * its types; the message names function and argument. A failed call doesn't throw.
     */
    call<T = unknown>(name: string, ...args: CallValue[]): CallResult<T>;

    /**
     * Calls a function without blocking. The promise resolves with the result, also with that of
     * a failed call.
     *
     * @throws TypeError on misuse, as `call`.
     */
    callAsync<T = unknown>(name: string, ...args: CallValue[]): Promise<CallResult<T>>;
  }

  /**
   * Makes a client that calls any function of a component. In the init context only.
   *
   * ```javascript
   * const shop = wrpc.client({ nats: { url: "nats://localhost:4222", prefix: "wasmtime" }, wit: "wit" });
   * export default function () {
   *   shop.call("example:shop/carts@0.1.0.reversed", new Uint8Array([1, 2, 3]));
   * }
   * ```
   *
   * @throws TypeError when an option or the WIT is wrong; the message names it.
   */
  export function client(options: ClientOptions): Client;

  type K6Http = typeof import("k6/http");
  type HttpUrl = string | ReturnType<K6Http["url"]>;

  /** The params of k6/http, `consume` and `throw`. An unknown key has no effect, and a warning says so. */
  export interface HttpParams<RT extends ResponseType | undefined = ResponseType | undefined>
    extends Omit<RefinedParams<RT>, "auth" | "responseCallback" | "tags"> {
    /**
     * `{ username, password }`, or a value of k6/http, which uses the name and password in the
     * URL. With `"digest"` the password is never sent in clear text. A request with `"ntlm"`
     * fails, because NTLM authenticates connections.
     */
    auth?: AuthMethod | { username: string; password: string };
    /**
     * With false the body isn't read: the receiver is told to send no more of it,
     * `response.body` is null, and `response.timings` end with the head. Default: true.
     */
    consume?: boolean;
    /** A value of `expectedStatuses`. With null there is no `http_req_failed` and no tag `expected_response`. */
    responseCallback?: RefinedParams<RT>["responseCallback"] | null;
    /** Tags for the samples of this request; `name` replaces the URL in the tags `name` and `url`. */
    tags?: Tags;
    /** Whether a failed request throws. Default: the test's `throw`. */
    throw?: boolean;
  }

  /** Text, bytes, or a form. A form with a file from `http.file` becomes a multipart form. */
  export type HttpBody = RequestBody | Uint8Array | { [name: string]: FormValue | FormValue[] };
  type FormValue = string | number | boolean | FileData | null;

  /** An entry of a batch. */
  export type HttpBatchRequest =
    | HttpUrl
    | [method: string, url: HttpUrl, body?: HttpBody | null, params?: HttpParams | null]
    | { method?: string; url: HttpUrl; body?: HttpBody | null; params?: HttpParams | null };

  /**
   * The functions of k6/http over wRPC. All requests go to the receiver that the options
   * name; the component only sees host and port of a URL. A request that can't be sent, such
   * as one with a line break in a header, fails as in k6/http; its `error` begins with
   * `invalid_request`.
   *
   * A response is like that of k6/http, with these differences. `error` is empty if there is a
   * response; otherwise it is an {@link ErrorCode}, a colon, and a sentence. `proto` is
   * `"wRPC/0.0.1"`.
   * `remote_ip`, `remote_port`, `tls_version`, `tls_cipher_suite` and `ocsp` are empty,
   * because requests have no connection of their own. `timings` are in ms, by the library's
   * clock: `blocked` lasts until sending begins, and includes making the connection; `sending`
   * until the body is sent; `waiting` until the head of the response; `receiving` until the
   * end of its body; `duration` is the sum of the last three; the others are 0. A body has at
   * most 256 MiB, or any size with `responseType: "none"`.
   */
  export interface Http extends Omit<K6Http, "default" | "SSL_3_0" | HttpFunction> {
    get<RT extends ResponseType | undefined>(url: HttpUrl, params?: HttpParams<RT> | null): RefinedResponse<RT>;
    head<RT extends ResponseType | undefined>(url: HttpUrl, params?: HttpParams<RT> | null): RefinedResponse<RT>;
    post<RT extends ResponseType | undefined>(
      url: HttpUrl,
      body?: HttpBody | null,
      params?: HttpParams<RT> | null,
    ): RefinedResponse<RT>;
    put<RT extends ResponseType | undefined>(
      url: HttpUrl,
      body?: HttpBody | null,
      params?: HttpParams<RT> | null,
    ): RefinedResponse<RT>;
    patch<RT extends ResponseType | undefined>(
      url: HttpUrl,
      body?: HttpBody | null,
      params?: HttpParams<RT> | null,
    ): RefinedResponse<RT>;
    del<RT extends ResponseType | undefined>(
      url: HttpUrl,
      body?: HttpBody | null,
      params?: HttpParams<RT> | null,
    ): RefinedResponse<RT>;
    options<RT extends ResponseType | undefined>(
      url: HttpUrl,
      body?: HttpBody | null,
      params?: HttpParams<RT> | null,
    ): RefinedResponse<RT>;
    request<RT extends ResponseType | undefined>(
      method: string,
      url: HttpUrl,
      body?: HttpBody | null,
      params?: HttpParams<RT> | null,
    ): RefinedResponse<RT>;
    /**
     * Rejects only if a failed `request` would throw. A VU may have thousands in flight: they
     * use no threads or goroutines.
     */
    asyncRequest<RT extends ResponseType | undefined>(
      method: string,
      url: HttpUrl,
      body?: HttpBody | null,
      params?: HttpParams<RT> | null,
    ): Promise<RefinedResponse<RT>>;
    batch<Q extends HttpBatchRequest[] | { [name: string]: HttpBatchRequest }>(requests: Q): BatchResponses<Q>;
    /** Applies to later requests of the VU. Default: `expectedStatuses({ min: 200, max: 399 })`. null: none is judged. */
    setResponseCallback(callback: Parameters<K6Http["setResponseCallback"]>[0] | null): void;
  }

  type HttpFunction =
    | "get" | "head" | "post" | "put" | "patch" | "del" | "options" | "request" | "asyncRequest" | "batch"
    | "setResponseCallback";

  /** The options of `wrpc.http`. */
  export interface HttpOptions extends BlasterOptions {
    /**
     * The metrics that requests emit: k6's own, such as `http_reqs`, those that begin with
     * `wrpc_`, or both, which is the default.
     */
    metrics?: HttpMetrics | HttpMetrics[];
  }

  export type HttpMetrics = "http" | "wrpc";

  /**
   * Makes a client whose requests go to a component that exports
   * `wasi:http/incoming-handler@0.2`. Call it only in the init context.
   *
   * ```javascript
   * const http = wrpc.http({ nats: { url: "nats://localhost:4222", prefix: "wasmtime" } });
   * export default function () {
   *   http.get("http://localhost:8000/", { tags: { page: "home" } });
   * }
   * ```
   *
   * @throws TypeError for options that are missing, unknown or wrong.
   */
  export function http(options: HttpOptions): Http;

  /**
   * Makes a value once: one VU runs the function, and every caller gets its value, as JSON of at
   * most 512 KiB. The callers are the VUs of all agents of `encarno k6 run --agents`, or of this
   * process. It blocks the VU until the value is there.
   *
   * @throws what the function throws; for other callers, an error that says it.
   */
  export function once<T>(name: string, make: () => T): T;

  /**
   * Blocks the VU until this many calls have named the barrier, on all agents of
   * `encarno k6 run --agents`, or in this process. Later calls pass at once.
   */
  export function barrier(name: string, parties: number): void;

  const wrpc: {
    blaster: typeof blaster;
    client: typeof client;
    http: typeof http;
    once: typeof once;
    barrier: typeof barrier;
  };
  export default wrpc;
}
