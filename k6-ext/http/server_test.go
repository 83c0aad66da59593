package http

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sort"
	"strings"
	"testing"

	"go.k6.io/k6/v2/lib/netext/httpext"
)

// server answers as a component of the examples would.
func server(t *testing.T) *httptest.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		headers := map[string][]string{}
		for name, values := range r.Header {
			if name == "Cookie" { // in any order, as Go's maps have it
				values = strings.Split(values[0], "; ")
				sort.Strings(values)
			}
			headers[name] = values
		}
		_ = json.NewEncoder(w).Encode(map[string]any{
			"method": r.Method, "path": r.URL.RequestURI(), "host": r.Host, "headers": headers,
			"body": string(body), "length": r.ContentLength,
		})
	})
	mux.HandleFunc("/status/{code}", func(w http.ResponseWriter, r *http.Request) {
		var code int
		_, _ = fmt.Sscan(r.PathValue("code"), &code)
		w.WriteHeader(code)
	})
	mux.HandleFunc("/bytes", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte{0, 1, 2, 255}) })
	mux.HandleFunc("/gzip", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(gzipped("unpacked"))
	})
	mux.HandleFunc("/cookies/set", func(w http.ResponseWriter, _ *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "a", Value: "1", Path: "/", MaxAge: 60, HttpOnly: true})
		http.SetCookie(w, &http.Cookie{Name: "b", Value: "2", Path: "/elsewhere"})
		http.SetCookie(w, &http.Cookie{Name: "c", Value: "3", Secure: true})
		w.Header().Add("X-Twice", "one")
		w.Header().Add("X-Twice", "two")
	})
	mux.HandleFunc("/redirect/{left}", func(w http.ResponseWriter, r *http.Request) {
		var left int
		_, _ = fmt.Sscan(r.PathValue("left"), &left)
		http.SetCookie(w, &http.Cookie{Name: fmt.Sprint("hop", left), Value: "x", Path: "/"})
		if left == 0 {
			http.Redirect(w, r, "/echo", http.StatusFound)
			return
		}
		http.Redirect(w, r, fmt.Sprint("/redirect/", left-1), http.StatusFound)
	})
	mux.HandleFunc("/moved/{code}", func(w http.ResponseWriter, r *http.Request) {
		var code int
		_, _ = fmt.Sscan(r.PathValue("code"), &code)
		http.Redirect(w, r, "/echo", code)
	})
	mux.HandleFunc("/basic", func(w http.ResponseWriter, r *http.Request) {
		user, password, ok := r.BasicAuth()
		_, _ = fmt.Fprint(w, user, " ", password, " ", ok)
	})
	mux.HandleFunc("/digest", func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.Header.Get("Authorization"), "Digest ") {
			w.Header().Set("WWW-Authenticate", `Digest realm="r", nonce="n", qop="auth", algorithm=MD5`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = fmt.Fprint(w, "let in")
	})
	mux.HandleFunc("/html", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, `<html><body><a href="/echo?x=1">go</a><form action="/echo" method="post"><input name="n" value="v"></form></body></html>`)
	})
	mux.HandleFunc("/slow", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	mux.HandleFunc("/to", func(w http.ResponseWriter, r *http.Request) {
		var code int
		_, _ = fmt.Sscan(r.FormValue("code"), &code)
		if r.FormValue("location") != "" {
			w.Header().Set("Location", r.FormValue("location"))
		}
		w.WriteHeader(code)
		_, _ = fmt.Fprint(w, "elsewhere")
	})
	mux.HandleFunc("/say", func(w http.ResponseWriter, r *http.Request) { _, _ = fmt.Fprint(w, r.FormValue("text")) })
	mux.HandleFunc("/set/", func(w http.ResponseWriter, r *http.Request) {
		for _, cookie := range r.URL.Query()["c"] {
			w.Header().Add("Set-Cookie", cookie)
		}
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("/seen/", func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, strings.Join(r.Header["Cookie"], "; "))
	})
	mux.HandleFunc("/packed", func(w http.ResponseWriter, r *http.Request) {
		text, given := "unpacked", r.FormValue("encodings")
		for name := range strings.SplitSeq(given, ",") {
			if encoding, err := httpext.CompressionTypeString(strings.TrimSpace(name)); err == nil {
				text = compressed(encoding, text)
			}
		}
		if r.FormValue("lie") != "" {
			text = "not packed at all, although it says so"
		}
		w.Header().Set("Content-Encoding", given)
		_, _ = fmt.Fprint(w, text[:len(text)-len(r.FormValue("cut"))])
	})
	// A date would differ from second to second.
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Date"] = nil
		mux.ServeHTTP(w, r)
	})
	started := httptest.NewServer(handler)
	t.Cleanup(started.Close)
	return started
}

func gzipped(text string) []byte {
	var packed bytes.Buffer
	writer := gzip.NewWriter(&packed)
	_, _ = writer.Write([]byte(text))
	_ = writer.Close()
	return packed.Bytes()
}
