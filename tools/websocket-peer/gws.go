package main

import (
	"bufio"
	"net/http"

	"github.com/lxzan/gws"
)

type windows struct {
	deflate gws.PermessageDeflate
}

func gwsOf(bits int) windows {
	return windows{gws.PermessageDeflate{
		Enabled:               true,
		ServerContextTakeover: true,
		ClientContextTakeover: true,
		ServerMaxWindowBits:   bits,
		ClientMaxWindowBits:   bits,
	}}
}

// echoing sends each message back.
type echoing struct{ gws.BuiltinEventHandler }

func (echoing) OnMessage(socket *gws.Conn, message *gws.Message) {
	defer func() { _ = message.Close() }()
	say(message.Bytes())
	_ = socket.WriteMessage(message.Opcode, message.Bytes())
}

func (p windows) serve(w http.ResponseWriter, r *http.Request) {
	options := gws.ServerOption{PermessageDeflate: p.deflate, CheckUtf8Enabled: true}
	socket, err := gws.NewUpgrader(echoing{}, &options).Upgrade(w, r)
	if err == nil {
		socket.ReadLoop()
	}
}

// waiting hands over what comes.
type waiting struct {
	gws.BuiltinEventHandler
	echoes chan []byte
	closed chan error
}

func (w waiting) OnMessage(_ *gws.Conn, message *gws.Message) {
	defer func() { _ = message.Close() }()
	w.echoes <- append([]byte(nil), message.Bytes()...)
}

func (w waiting) OnClose(_ *gws.Conn, err error) { w.closed <- err }

func (p windows) call(url string, lines *bufio.Scanner) error {
	handler := waiting{echoes: make(chan []byte), closed: make(chan error, 1)}
	options := gws.ClientOption{Addr: url, PermessageDeflate: p.deflate, CheckUtf8Enabled: true}
	socket, _, err := gws.NewClient(handler, &options)
	if err != nil {
		return err
	}
	go socket.ReadLoop()
	for lines.Scan() {
		if err := socket.WriteMessage(gws.OpcodeText, lines.Bytes()); err != nil {
			return err
		}
		select {
		case echo := <-handler.echoes:
			say(echo)
		case err := <-handler.closed:
			return err
		}
	}
	_ = socket.WriteClose(1000, nil)
	return lines.Err()
}
