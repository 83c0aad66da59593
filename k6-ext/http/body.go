package http

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"fmt"
	"io"
	"mime/multipart"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"

	"github.com/andybalholm/brotli"
	"github.com/grafana/sobek"
	"github.com/klauspost/compress/zstd"
	"go.k6.io/k6/v2/js/common"
	k6http "go.k6.io/k6/v2/js/modules/k6/http"
	"go.k6.io/k6/v2/lib/netext/httpext"
)

// readBody reads a text, bytes or a form. The body becomes a Go string, because the response
// shows it to the script, and redirects may send it again.
func (call *call) readBody(value sobek.Value) error {
	if common.IsNullish(value) {
		return nil
	}
	call.hasBody = true
	switch body := value.Export().(type) {
	case string:
		call.body = body
	case sobek.ArrayBuffer:
		call.body = string(body.Bytes())
	case []byte:
		call.body = string(body)
	case map[string]any, map[string]sobek.Value:
		// The fields keep the order of the script.
		return call.readForm(value.ToObject(call.client.vu.Runtime()))
	default:
		return fmt.Errorf("unknown request body type %T", body)
	}
	return nil
}

// formField is a field of a form: a file, one value, or several.
type formField struct {
	name  string
	value any
}

func (call *call) readForm(form *sobek.Object) error {
	fields := make([]formField, 0, len(form.Keys()))
	hasFile := false
	for _, name := range form.Keys() {
		field := formField{name, exported(form.Get(name))}
		if _, ok := field.value.(*k6http.FileData); ok {
			hasFile = true
		}
		fields = append(fields, field)
	}
	if hasFile {
		return call.writeMultipart(fields)
	}
	values := make(url.Values, len(fields))
	for _, field := range fields {
		if several, ok := field.value.([]any); ok {
			for _, value := range several {
				values.Add(field.name, fmt.Sprint(value))
			}
			continue
		}
		values.Set(field.name, fmt.Sprint(field.value))
	}
	call.body = values.Encode()
	call.first.header.Set("Content-Type", "application/x-www-form-urlencoded")
	return nil
}

func (call *call) writeMultipart(fields []formField) error {
	var body strings.Builder
	// A strings.Builder returns no errors.
	writer := multipart.NewWriter(&body)
	for _, field := range fields {
		file, ok := field.value.(*k6http.FileData)
		if !ok {
			_ = writer.WriteField(field.name, fmt.Sprint(field.value))
			continue
		}
		if !isFieldValue(file.ContentType) {
			return fmt.Errorf("the content type of the file %q has a line break or a zero byte", field.name)
		}
		content, err := common.ToBytes(file.Data)
		if err != nil {
			return err
		}
		part, _ := writer.CreatePart(textproto.MIMEHeader{
			"Content-Disposition": {multipart.FileContentDisposition(field.name, file.Filename)},
			"Content-Type":        {file.ContentType},
		})
		_, _ = part.Write(content)
	}
	_ = writer.Close()
	call.body = body.String()
	call.first.header.Set("Content-Type", writer.FormDataContentType())
	return nil
}

// compress compresses the body with the algorithms of the params.
func (call *call) compress() {
	if !call.hasBody || len(call.compressions) == 0 {
		return
	}
	names := make([]string, 0, len(call.compressions))
	for _, compression := range call.compressions {
		call.body = compressed(compression, call.body)
		names = append(names, compression.String())
	}
	encoding := strings.Join(names, ", ")
	switch current := call.first.header.Get("Content-Encoding"); current {
	case "":
		call.first.header.Set("Content-Encoding", encoding)
	case encoding:
	default:
		call.state.Logger.Warningf("There's a mismatch between the desired `compression` the manually set "+
			"`Content-Encoding` header in the %s request for '%s', the custom header has precedence and won't be "+
			"overwritten. This may result in invalid data being sent to the server.", call.first.method, call.first.url)
	}
}

func compressed(compression httpext.CompressionType, text string) string {
	var packed strings.Builder
	var writer io.WriteCloser
	switch compression {
	case httpext.CompressionTypeGzip:
		writer = gzip.NewWriter(&packed)
	case httpext.CompressionTypeDeflate:
		writer = zlib.NewWriter(&packed)
	case httpext.CompressionTypeZstd:
		writer, _ = zstd.NewWriter(&packed, zstd.WithEncoderConcurrency(1)) // the options are valid
	case httpext.CompressionTypeBr:
		writer = brotli.NewWriter(&packed)
	default:
		return text
	}
	// Writing to a strings.Builder returns no errors.
	_, _ = io.WriteString(writer, text)
	_ = writer.Close()
	return packed.String()
}

// checkLength removes a Content-Length of the script, because the body sets its own.
func (call *call) checkLength() {
	header := call.first.header
	given, ok := header["Content-Length"]
	if !ok {
		return
	}
	header.Del("Content-Length")
	if length, err := strconv.Atoi(given[0]); err != nil || length != len(call.body) {
		call.state.Logger.Warnf("The specified Content-Length header %q in the %s request for %s doesn't match the "+
			"actual request body length of %d, so it will be ignored!", given[0], call.first.method, call.first.url, len(call.body))
	}
}

// decompressed decompresses the body by its Content-Encoding. Unknown encodings are ignored.
func decompressed(body []byte, encodings string) ([]byte, error) {
	if encodings == "" {
		return body, nil
	}
	var reader io.Reader = bytes.NewReader(body)
	packed := false
	names := strings.Split(encodings, ",")
	for at := len(names) - 1; at >= 0; at-- {
		compression, err := httpext.CompressionTypeString(strings.TrimSpace(names[at]))
		if err != nil {
			continue
		}
		packed = true
		switch compression {
		case httpext.CompressionTypeGzip:
			reader, err = gzip.NewReader(reader)
		case httpext.CompressionTypeDeflate:
			reader, err = zlib.NewReader(reader)
		case httpext.CompressionTypeBr:
			reader = brotli.NewReader(reader)
		case httpext.CompressionTypeZstd:
			var decoder *zstd.Decoder
			decoder, err = zstd.NewReader(reader, zstd.WithDecoderConcurrency(1))
			if err == nil {
				defer decoder.Close()
				reader = decoder
			}
		}
		if err != nil {
			return nil, decompressionError(err)
		}
	}
	if !packed {
		return body, nil
	}
	unpacked, err := io.ReadAll(io.LimitReader(reader, BodyBytesMax+1))
	if err == nil && len(unpacked) > BodyBytesMax {
		err = fmt.Errorf("it is larger than %d bytes", BodyBytesMax)
	}
	if err != nil {
		return unpacked, decompressionError(err)
	}
	return unpacked, nil
}

func decompressionError(err error) error {
	return httpext.NewK6Error(1701, fmt.Sprintf("error decompressing response body (%v)", err), err)
}
