package wrpc

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/grafana/sobek"
	"go.k6.io/k6/v2/js/common"
	"go.k6.io/k6/v2/lib/types"

	"github.com/encarno/encarno/k6-ext/trace"
)

const (
	timeoutDefault = 10 * time.Second
	timeoutMax     = 24 * time.Hour
	// The largest safe integer of JavaScript.
	integerMax = 1<<53 - 1
)

// packet is the work that a script asks of a component.
type packet struct {
	cpuBurnMS    uint64
	memoryBurnMB uint64
	waitMS       uint64
	timeout      time.Duration
	// A view of the script's value, which must be read before the script continues.
	payload []byte
	tags    []tag
	trace   trace.Context // chosen by the blaster, not by the script
}

var packetKeys = []string{
	"cpu_burn_ms", "memory_burn_mb", "wait_ms", "payload", "timeout", "timeout_ms", "tags",
}

func parsePacket(value sobek.Value) (packet, error) {
	parsed := packet{timeout: timeoutDefault}
	object, err := asObject(value)
	if err != nil {
		return parsed, fmt.Errorf("packet: %w", err)
	}
	if object == nil {
		return parsed, nil
	}
	timeoutKey := ""
	for _, key := range object.Keys() {
		value := object.Get(key)
		if common.IsNullish(value) {
			if !isPacketKey(key) {
				return parsed, unknownKey(key)
			}
			continue
		}
		switch key {
		case "cpu_burn_ms":
			parsed.cpuBurnMS, err = parseInteger(value)
		case "memory_burn_mb":
			parsed.memoryBurnMB, err = parseInteger(value)
		case "wait_ms":
			parsed.waitMS, err = parseInteger(value)
		case "payload":
			parsed.payload, err = parsePayload(value)
		case "timeout", "timeout_ms":
			if timeoutKey != "" {
				return parsed, errors.New("packet.timeout_ms is another name of packet.timeout: give one of them")
			}
			timeoutKey = key
			parsed.timeout, err = parseTimeout(value)
		case "tags":
			parsed.tags, err = parseTags(value)
			if err != nil {
				return parsed, fmt.Errorf("packet.%w", err)
			}
		default:
			return parsed, unknownKey(key)
		}
		if err != nil {
			return parsed, fmt.Errorf("packet.%s: %w", key, err)
		}
	}
	return parsed, nil
}

func isPacketKey(key string) bool {
	for _, known := range packetKeys {
		if key == known {
			return true
		}
	}
	return false
}

func unknownKey(key string) error {
	return fmt.Errorf("packet.%s: unknown key, known are %s", key, strings.Join(packetKeys, ", "))
}

func parseInteger(value sobek.Value) (uint64, error) {
	switch number := value.Export().(type) {
	case int64:
		if number >= 0 && number <= integerMax {
			return uint64(number), nil
		}
	case float64:
		if number >= 0 && number <= integerMax && number == float64(uint64(number)) {
			return uint64(number), nil
		}
	}
	return 0, fmt.Errorf("a whole number from 0 up is expected, not %s", typeName(value))
}

func parsePayload(value sobek.Value) ([]byte, error) {
	if text, ok := value.(sobek.String); ok {
		return bytesOf(text.String()), nil
	}
	if _, ok := value.(*sobek.Object); ok {
		switch bytes := value.Export().(type) {
		case sobek.ArrayBuffer:
			if bytes.Detached() {
				return nil, errors.New("the ArrayBuffer is detached")
			}
			return bytes.Bytes(), nil
		case []byte:
			return bytes, nil
		}
	}
	return nil, fmt.Errorf("a string, an ArrayBuffer or a Uint8Array is expected, not %s", typeName(value))
}

func parseTimeout(value sobek.Value) (time.Duration, error) {
	var timeout time.Duration
	switch given := value.Export().(type) {
	case int64:
		if given > timeoutMax.Milliseconds() {
			timeout = timeoutMax + 1
		} else {
			timeout = time.Duration(given) * time.Millisecond
		}
	case float64:
		switch {
		case given != given:
			timeout = 0
		case given > float64(timeoutMax.Milliseconds()):
			timeout = timeoutMax + 1
		default:
			timeout = time.Duration(given * float64(time.Millisecond))
		}
	case string:
		parsed, err := types.ParseExtendedDuration(given)
		if err != nil {
			return 0, fmt.Errorf("a number of milliseconds or text such as \"10s\" is expected, not %s", typeName(value))
		}
		timeout = parsed
	default:
		return 0, fmt.Errorf("a number of milliseconds or text such as \"10s\" is expected, not %s", typeName(value))
	}
	if timeout <= 0 || timeout > timeoutMax {
		return 0, fmt.Errorf("must be above 0 and at most 24 hours, not %s", typeName(value))
	}
	return timeout, nil
}
