package main

import (
	"bufio"
	"context"
	"net/http"

	"github.com/coder/websocket"
)

const messageBytesMax = 1 << 24

type coder struct {
	alone bool
}

func (c coder) mode() websocket.CompressionMode {
	if c.alone {
		return websocket.CompressionNoContextTakeover
	}
	return websocket.CompressionContextTakeover
}

func (c coder) serve(w http.ResponseWriter, r *http.Request) {
	// A threshold of one byte: short messages are compressed, too.
	options := websocket.AcceptOptions{CompressionMode: c.mode(), CompressionThreshold: 1}
	conn, err := websocket.Accept(w, r, &options)
	if err != nil {
		return
	}
	defer func() { _ = conn.CloseNow() }()
	conn.SetReadLimit(messageBytesMax)
	for {
		kind, message, err := conn.Read(r.Context())
		if err != nil {
			return
		}
		say(message)
		if conn.Write(r.Context(), kind, message) != nil {
			return
		}
	}
}

func (c coder) call(url string, lines *bufio.Scanner) error {
	ctx := context.Background()
	options := websocket.DialOptions{CompressionMode: c.mode(), CompressionThreshold: 1}
	conn, _, err := websocket.Dial(ctx, url, &options)
	if err != nil {
		return err
	}
	conn.SetReadLimit(messageBytesMax)
	for lines.Scan() {
		if err := conn.Write(ctx, websocket.MessageText, lines.Bytes()); err != nil {
			return err
		}
		_, echo, err := conn.Read(ctx)
		if err != nil {
			return err
		}
		say(echo)
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return conn.Close(websocket.StatusNormalClosure, "")
}
