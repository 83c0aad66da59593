package wrpc

import (
	"bufio"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.k6.io/k6/v2/lib/fsext"
)

const shopWIT = "../shop-component/wit"

// startShop starts a receiver with shop-component, under the prefix "test" or, without a
// server, at the address that it gives.
func startShop(t *testing.T, natsURL string) string {
	t.Helper()
	component := fromEnv(t, "SHOP_COMPONENT", "shop-component/shop-component.wasm", "run `make component`")
	binary, last := "wrpc-wasmtime-tcp", []string{"127.0.0.1:0", component}
	if natsURL != "" {
		binary, last = "wrpc-wasmtime-nats", []string{"--nats", natsURL, "test", "test", component}
	}
	variable := strings.ToUpper(strings.ReplaceAll(binary, "-", "_"))
	command := exec.Command(fromEnv(t, variable, "target/release/"+binary, "run `make`"), append([]string{"serve"}, last...)...)
	output, err := command.StdoutPipe()
	require.NoError(t, err)
	start(t, command)
	line, err := bufio.NewReader(output).ReadString('\n')
	require.NoError(t, err)
	_, addr, _ := strings.Cut(line, " at ")
	addr, _, _ = strings.Cut(addr, " ")
	return strings.TrimSpace(addr)
}

// newVUWithFiles gives a VU in the init context that finds files.
func newVUWithFiles(t *testing.T) *vu {
	t.Helper()
	vu := newVU(t)
	env := vu.VU.InitEnvField
	env.FileSystems = map[string]fsext.Fs{"file": fsext.NewOsFs()}
	env.CWD = &url.URL{Scheme: "file", Path: "/"}
	return vu
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	absolute, err := filepath.Abs(path)
	require.NoError(t, err)
	return absolute
}

func TestCallsOfAnyFunction(t *testing.T) {
	server := startNATS(t)
	startShop(t, server)
	transports := []string{
		fmt.Sprintf(`nats: {url: %q, prefix: "test"}, headers: {traceparent: "00-a-b-01"}`, server),
		fmt.Sprintf(`tcp: {addr: %q}`, startShop(t, "")),
		fmt.Sprintf(`tcp: {addr: %q, pool: 0}`, startShop(t, "")),
	}
	for _, transport := range transports {
		vu := newVUWithFiles(t)
		vu.must(fmt.Sprintf(`const client = wrpc.client({%s, wit: %q, tags: {scenario: "shop"}, timeout: "20s"})`,
			transport, absolute(t, shopWIT)))
		vu.start()
		vu.must(`const items = [{name: "tea", priceCents: 450, count: 2, colour: "dark-blue"}, {name: "é", "price-cents": 3999n, count: 1}];
			const name = "example:shop/carts@0.1.0.checkout";
			const paid = client.call(name, items, {tag: "percent", val: 10}, ["express"]);`)
		require.True(t, vu.must(`paid.ok`).ToBoolean(), vu.must(`paid.error`).String())
		require.Equal(t, "ok", vu.must(`paid.value.tag`).String())
		require.True(t, vu.must(`paid.value.val.totalCents === 4918n`).ToBoolean(), vu.must("String(paid.value.val.totalCents)").String())
		require.Equal(t, "tea:900,é:3999", vu.must(`paid.value.val.lines.map(([name, cents]) => name + ":" + cents).join()`).String())
		require.Equal(t, "10 % off", vu.must(`paid.value.val.note`).String())
		require.Equal(t, "8", vu.must(`paid.value.val.digest instanceof ArrayBuffer ? paid.value.val.digest.byteLength : "no buffer"`).String())
		require.Equal(t, "express", vu.must(`paid.value.val.wishes.join()`).String())
		require.True(t, vu.must(`paid.duration > 0 && paid.error === "" && paid.error_code === ""`).ToBoolean())

		// What the component refuses is a value.
		require.Equal(t, "unknown-code FREE", vu.must(`
			const {ok, value: {tag, val}} = client.call(name, items, {tag: "code", val: "FREE"}, []);
			ok && tag === "err" ? val.tag + " " + val.val : "wrong"`).String())
		require.Equal(t, "empty-cart", vu.must(`client.call(name, [], "none", {}).value.val.tag`).String())
		huge := vu.must(`client.call(name, [{name: "", priceCents: 18446744073709551615n, count: 1}], "none", []).value.val.val`)
		require.Equal(t, "18446744073709551615", huge.String(), "nothing is lost")

		_, err := vu.RunOnEventLoop(`
			var results;
			(async () => {
				results = await Promise.all(Array.from({length: 100}, (_, i) =>
					client.callAsync("example:shop/carts.reversed", new Uint8Array([i, 1, 2]))));
			})()`)
		require.NoError(t, err)
		require.True(t, vu.must(`results.every((it, i) => it.ok && new Uint8Array(it.value).join() === "2,1," + i)`).ToBoolean())

		operations := vu.emitted("wrpc_call_operation")
		require.Len(t, operations, 104)
		require.Equal(t, "example:shop/carts@0.1.0.checkout", operations[0].Tags.Map()["function"])
		require.Equal(t, "shop", operations[0].Tags.Map()["scenario"])
		require.Equal(t, "example:shop/carts@0.1.0.reversed", operations[103].Tags.Map()["function"])
		require.Len(t, vu.emitted("wrpc_call_duration"), 104)
		require.Empty(t, vu.emitted("wrpc_call_error"))
		require.Empty(t, vu.emitted("wrpc_blaster_operation"))

		require.Contains(t, vu.mustFail(`client.call(name, [{name: "tea", priceCents: 1, count: 2 ** 32}], "none", [])`),
			"TypeError: call(): example:shop/carts@0.1.0.checkout: args[0][0].count: 4294967296 doesn't fit u32")
		require.Contains(t, vu.mustFail(`client.call(name)`), "it takes 3 arguments (items: list<item>, discount: discount, wishes: wishes), and 0 were given")
		require.Contains(t, vu.mustFail(`client.call("check")`), `"check" isn't declared: the WIT has example:shop/carts@0.1.0.checkout`)
		require.Contains(t, vu.mustFail(`client.call(5)`), "the name of a function is expected")
		require.Contains(t, vu.mustFail(`client.callAsync("example:shop/carts.reversed", 5)`), "callAsync(): example:shop/carts@0.1.0.reversed: args[0]: 5 isn't")
	}
}

// The guest of a call finds the trace in its environment, and k6's samples name it.
func TestTheGuestOfACallKnowsItsTrace(t *testing.T) {
	server := startNATS(t)
	startShop(t, server)
	seen := func(option string) (*vu, string) {
		vu := newVUWithFiles(t)
		vu.must(fmt.Sprintf(`const client = wrpc.client({nats: {url: %q, prefix: "test"}, wit: %q, timeout: "20s", %s})`,
			server, absolute(t, shopWIT), option))
		vu.start()
		vu.must(`const seen = client.call("example:shop/carts.trace")`)
		require.True(t, vu.must(`seen.ok`).ToBoolean(), vu.must(`seen.error`).String())
		return vu, vu.must(`String(seen.value)`).String()
	}
	vu, none := seen("")
	require.Contains(t, []string{"null", "undefined"}, none)
	require.Empty(t, vu.emitted("wrpc_call_duration")[0].Metadata)
	_, own := seen(`headers: {traceparent: "00-a-b-01"}`)
	require.Equal(t, "00-a-b-01", own)
	vu, begun := seen("traceparent: 1")
	metadata := vu.emitted("wrpc_call_duration")[0].Metadata
	require.Equal(t, "00-"+metadata["trace_id"]+"-"+metadata["span_id"]+"-01", begun)

	vu = newVUWithFiles(t)
	for options, reason := range map[string]string{
		`client({tcp: {addr: "a:1"}, wit: "w", traceparent: 0.5})`: "wrpc.client(): traceparent: wRPC over TCP can't carry",
		`blaster({tcp: {addr: "a:1"}, traceparent: 0.5})`:          "wrpc.blaster(): traceparent: wRPC over TCP can't carry",
		`blaster({nats: {url: "a"}, traceparent: "1%"})`:           "traceparent: the share of calls that begin a trace is expected, from 0 to 1",
	} {
		require.Contains(t, vu.mustFail("wrpc."+options), reason)
	}
}

func TestCallsThatFailAreResults(t *testing.T) {
	server := startNATS(t)
	startReceiver(t, server) // it serves blasts alone
	folder := t.TempDir()
	// It declares another result than there is.
	wit := "package xk6:wrpc@0.0.1; interface blaster { record packet { id: string, payload: list<u8>, mem-burn-mb: u64, " +
		"cpu-burn-ms: u64, wait-ms: u64 } blast: func(packet: packet) -> string; other: func(); }"
	require.NoError(t, os.WriteFile(filepath.Join(folder, "a.wit"), []byte(wit), 0o600))
	vu := newVUWithFiles(t)
	vu.must(fmt.Sprintf(`const client = wrpc.client({nats: {url: %q, prefix: "test"}, wit: %q, timeout: 300});
		const packet = (wait_ms) => ({id: "", payload: "", memBurnMb: 0, cpu_burn_ms: 0n, "wait-ms": wait_ms})`, server, folder))
	vu.start()
	for call, code := range map[string]string{
		`client.call("xk6:wrpc/blaster.blast", packet(0))`:     "protocol_violation",
		`client.call("xk6:wrpc/blaster.other")`:                "no_responders",
		`client.call("xk6:wrpc/blaster.blast", packet(60000))`: "timeout",
	} {
		result := vu.must(call).Export().(map[string]any)
		require.Equal(t, code, result["error_code"], result["error"])
		require.Equal(t, false, result["ok"])
		require.Nil(t, result["value"])
	}
	require.Len(t, vu.emitted("wrpc_call_operation"), 3)
	require.Len(t, vu.emitted("wrpc_call_error"), 3)
}

func TestClientOptionsThatAreWrong(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.wit")
	require.NoError(t, os.WriteFile(bad, []byte("package a:b;\ninterface c { f: funk(); }"), 0o600))
	vu := newVUWithFiles(t)
	for code, parts := range map[string][]string{
		`wrpc.client()`:                                                                                         {"options are missing", "wit"},
		`wrpc.client({nats: {url: "nats://a"}})`:                                                                {"wit is missing"},
		`wrpc.client({nats: {url: "nats://a"}, wit: 5})`:                                                        {"wit: the name of a file", "5"},
		`wrpc.client({nats: {url: "nats://a"}, wit: "/no/such"})`:                                               {"wit: ", "/no/such"},
		`wrpc.client({wit: ` + fmt.Sprintf("%q", absolute(t, shopWIT)) + `})`:                                   {"nats", "tcp"},
		`wrpc.client({nats: {url: "nats://a"}, wit: "/tmp", timeout: "x"})`:                                     {"timeout", "10s"},
		`wrpc.client({nats: {url: "nats://a"}, wit: "/tmp", headers: 5})`:                                       {"headers", "object"},
		`wrpc.client({nats: {url: "nats://a"}, wit: ` + fmt.Sprintf("%q", bad) + `})`:                           {"bad.wit:2:"},
		`wrpc.client({nats: {url: "nats://a"}, nuts: 1, wit: ` + fmt.Sprintf("%q", absolute(t, shopWIT)) + `})`: {"nuts", "nats"},
	} {
		text := vu.mustFail(code)
		require.Contains(t, text, "TypeError: wrpc.client(): ", code)
		for _, part := range parts {
			require.Contains(t, text, part, code)
		}
	}
	vu.start()
	require.Contains(t, vu.mustFail(`wrpc.client({})`), "init context")
}

func TestAnArchiveTakesTheWITOfAClient(t *testing.T) {
	folder := t.TempDir()
	beside, elsewhere := filepath.Join(folder, "beside"), filepath.Join(folder, "elsewhere")
	require.NoError(t, os.MkdirAll(filepath.Join(beside, "wit", "deps", "d"), 0o700))
	require.NoError(t, os.Mkdir(elsewhere, 0o700))
	for name, text := range map[string]string{
		"wit/a.wit":        "package a:b; interface c { use d:e/f.{g}; h: func(g: g); }",
		"wit/deps/d/f.wit": "package d:e; interface f { type g = u8; }",
		"script.js": `import wrpc from "k6/x/wrpc";
			const client = wrpc.client({ tcp: { addr: "127.0.0.1:1" }, wit: "./wit" });
			export default function () {
				console.log("it ends with " + client.call("a:b/c.h", 7).error_code);
				try { client.call("a:b/c.h", 256) } catch (error) { console.log(error.message) }
			}`,
	} {
		require.NoError(t, os.WriteFile(filepath.Join(beside, name), []byte(text), 0o600))
	}
	said := runArchived(t, beside, elsewhere)
	require.Contains(t, said, "it ends with connection_refused")
	require.Contains(t, said, "args[0]: 256 doesn't fit u8")
}
