package wrpc

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// The paths of http-component, as an ordinary HTTP server has them.

// The text "unpacked", packed.
var packed = map[string]string{
	"gzip":    "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\x2b\xcd\x2b\x48\x4c\xce\x4e\x4d\x01\x00\x96\x62\x2f\xca\x08\x00\x00\x00",
	"deflate": "\x78\x9c\x2b\xcd\x2b\x48\x4c\xce\x4e\x4d\x01\x00\x0f\x32\x03\x4c",
	"br":      "\x8b\x03\x80unpacked\x03",
	"zstd":    "\x28\xb5\x2f\xfd\x04\x00\x41\x00\x00unpacked\x12\x61\x5e\xc8",
}

// startSites starts the server, without and with TLS, and gives the addresses.
func startSites(t *testing.T) (plain, secure string) {
	t.Helper()
	page, err := os.ReadFile("../http-component/src/page.html")
	require.NoError(t, err)
	handler := http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		// What net/http would add, and a component has no reason to.
		writer.Header()["Date"] = nil
		writer.Header()["Content-Type"] = nil
		site(writer, request, string(page))
	})
	one, two := httptest.NewServer(handler), httptest.NewTLSServer(handler)
	t.Cleanup(one.Close)
	t.Cleanup(two.Close)
	return one.Listener.Addr().String(), two.Listener.Addr().String()
}

func site(writer http.ResponseWriter, request *http.Request, page string) {
	name, rest, _ := strings.Cut(strings.TrimPrefix(request.URL.EscapedPath(), "/"), "/")
	number, err := strconv.Atoi(rest)
	numbered := err == nil
	header := writer.Header()
	switch {
	case name == "echo" || name == "":
		for key, values := range request.Header {
			for _, value := range values {
				header.Add("X-Echo-"+key, value)
			}
		}
		header.Set("X-Method", request.Method)
		header.Set("X-Path", request.RequestURI)
		header.Set("X-Scheme", scheme(request))
		header.Set("X-Authority", request.Host)
		header["Content-Type"] = request.Header["Content-Type"]
		control := http.NewResponseController(writer)
		_ = control.EnableFullDuplex()
		writer.WriteHeader(http.StatusOK)
		_ = control.Flush() // so that no length is added
		_, _ = io.Copy(writer, request.Body)
	case name == "json":
		whole(writer, 200, "application/json", asJSON(request))
	case name == "status" && numbered:
		text(writer, number, rest)
	case name == "delay" && numbered:
		select {
		case <-time.After(time.Duration(number) * time.Millisecond):
		case <-request.Context().Done():
		}
		text(writer, 200, rest)
	case name == "bytes" && numbered:
		pattern := make([]byte, number)
		for index := range pattern {
			pattern[index] = byte(index % 251)
		}
		whole(writer, 200, "application/octet-stream", string(pattern))
	case name == "count":
		count, _ := io.Copy(io.Discard, request.Body)
		text(writer, 200, fmt.Sprint(count))
	case name == "cookies":
		text(writer, 200, strings.Join(cookies(request), "\n"))
	case name == "set-cookie":
		header["Set-Cookie"] = queryParts(request)
		text(writer, 200, "")
	case name == "redirect" && rest == "0":
		text(writer, 200, "arrived")
	case name == "redirect" && numbered:
		query := request.URL.RawQuery
		status, err := strconv.Atoi(query)
		if err != nil {
			status = http.StatusFound
		}
		if query != "" {
			query = "?" + query
		}
		header.Set("Location", fmt.Sprint("/redirect/", number-1, query))
		text(writer, status, "")
	case name == "moved" && numbered:
		if parts := queryParts(request); len(parts) > 0 {
			header.Set("Location", parts[0])
			header["Set-Cookie"] = parts[1:]
		}
		text(writer, number, "")
	case name == "packed" && packed[rest] != "":
		header.Set("Content-Encoding", rest)
		whole(writer, 200, "", packed[rest])
	case name == "html":
		whole(writer, 200, "text/html", page)
	case name == "basic":
		challenge(writer, request, "Basic ", `Basic realm="r"`)
	case name == "digest":
		challenge(writer, request, "Digest ", `Digest realm="r", nonce="n", qop="auth", algorithm=MD5`)
	default:
		text(writer, 404, "no such path")
	}
}

func scheme(request *http.Request) string {
	if request.TLS != nil {
		return "https"
	}
	return "http"
}

func text(writer http.ResponseWriter, status int, body string) {
	whole(writer, status, "text/plain", body)
}

func whole(writer http.ResponseWriter, status int, contentType, body string) {
	if status == http.StatusNoContent || status == http.StatusNotModified {
		writer.WriteHeader(status)
		return
	}
	if contentType != "" {
		writer.Header().Set("Content-Type", contentType)
	}
	writer.Header().Set("Content-Length", fmt.Sprint(len(body)))
	writer.WriteHeader(status)
	_, _ = io.WriteString(writer, body)
}

func challenge(writer http.ResponseWriter, request *http.Request, kind, asked string) {
	shown, found := strings.CutPrefix(request.Header.Get("Authorization"), kind)
	if !found {
		writer.Header().Set("WWW-Authenticate", asked)
		text(writer, 401, "")
		return
	}
	for part := range strings.SplitSeq(shown, ",") {
		if kind == "Basic " || strings.Contains(part, "username=") {
			text(writer, 200, strings.TrimSpace(part))
			return
		}
	}
	text(writer, 200, "")
}

func queryParts(request *http.Request) []string {
	var parts []string
	for part := range strings.SplitSeq(request.URL.RawQuery, "&") {
		if decoded, err := url.PathUnescape(part); err == nil && part != "" {
			parts = append(parts, decoded)
		}
	}
	return parts
}

func cookies(request *http.Request) []string {
	found := []string{}
	for _, line := range request.Header["Cookie"] {
		for part := range strings.SplitSeq(line, ";") {
			found = append(found, strings.TrimSpace(part))
		}
	}
	slices.Sort(found)
	return found
}

// asJSON is the request, written byte for byte as the component does it.
func asJSON(request *http.Request) string {
	quoted := func(text string) string {
		var written strings.Builder
		encoder := json.NewEncoder(&written)
		encoder.SetEscapeHTML(false)
		_ = encoder.Encode(text)
		return strings.TrimSuffix(written.String(), "\n")
	}
	var headers []string
	for name, values := range request.Header {
		for _, value := range values {
			if name != "Cookie" {
				headers = append(headers, "["+quoted(strings.ToLower(name))+","+quoted(value)+"]")
			}
		}
	}
	slices.Sort(headers)
	sent := cookies(request)
	for index := range sent {
		sent[index] = quoted(sent[index])
	}
	body, _ := io.ReadAll(request.Body)
	seen := "null"
	if utf8.Valid(body) {
		seen = strings.ReplaceAll(strings.ReplaceAll(quoted(string(body)), `\r`, `\u000d`), `\n`, `\u000a`)
	}
	return fmt.Sprintf(`{"method":%s,"host":%s,"target":%s,"headers":[%s],"cookies":[%s],"length":%d,"body":%s}`,
		quoted(request.Method), quoted(request.Host), quoted(request.RequestURI),
		strings.Join(headers, ","), strings.Join(sent, ","), len(body), seen)
}
