package values

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/big"
	"unicode/utf8"

	"github.com/grafana/sobek"
)

// Decode gives results as JavaScript has them; undefined for a function without any.
func (function *Function) Decode(runtime *sobek.Runtime, results []byte) (sobek.Value, error) {
	decoder := decoder{runtime: runtime, types: function.types, rest: results, length: len(results)}
	value := sobek.Undefined()
	if function.result != nil {
		var err error
		if value, err = decoder.value(*function.result); err != nil {
			return nil, fmt.Errorf("the results can't be decoded: %w at byte %d", err, len(results)-len(decoder.rest))
		}
	}
	if left := len(decoder.rest); left > 0 {
		return nil, fmt.Errorf("the results can't be decoded: %d bytes are left over", left)
	}
	return value, nil
}

type decoder struct {
	runtime *sobek.Runtime
	types   []shape
	rest    []byte
	length  int
}

var errTruncated = errors.New("they are truncated")

func (decoder *decoder) take(count int) ([]byte, error) {
	if count > len(decoder.rest) {
		return nil, errTruncated
	}
	taken := decoder.rest[:count]
	decoder.rest = decoder.rest[count:]
	return taken, nil
}

func (decoder *decoder) bit(what string) (bool, error) {
	taken, err := decoder.take(1)
	if err != nil {
		return false, err
	}
	if taken[0] > 1 {
		return false, errors.New("invalid " + what)
	}
	return taken[0] == 1, nil
}

// unsigned reads LEB128 of at most so many bits.
func (decoder *decoder) unsigned(bits int) (uint64, error) {
	var value uint64
	for shift := 0; ; shift += 7 {
		taken, err := decoder.take(1)
		if err != nil {
			return 0, err
		}
		low := uint64(taken[0] & 0x7f)
		if shift >= bits || (bits-shift < 7 && low>>(bits-shift) != 0) {
			return 0, errors.New("invalid unsigned integer")
		}
		value |= low << shift
		if taken[0]&0x80 == 0 {
			return value, nil
		}
	}
}

// signed reads signed LEB128 of at most so many bits.
func (decoder *decoder) signed(bits int) (int64, error) {
	var value int64
	shift := 0
	for {
		taken, err := decoder.take(1)
		if err != nil {
			return 0, err
		}
		if shift >= bits {
			return 0, errors.New("invalid signed integer")
		}
		value |= int64(taken[0]&0x7f) << shift
		shift += 7
		if taken[0]&0x80 != 0 {
			continue
		}
		if shift < 64 && taken[0]&0x40 != 0 {
			value |= -1 << shift
		}
		spare := 64 - bits
		// Ten bytes hold 70 bits: the last may only repeat the sign.
		if value<<spare>>spare != value || (shift > 64 && taken[0] != 0 && taken[0] != 0x7f) {
			return 0, errors.New("invalid signed integer")
		}
		return value, nil
	}
}

// size reads the length of a list whose elements take at least a byte each: so many bytes
// are there.
func (decoder *decoder) size() (int, error) {
	length, err := decoder.unsigned(32)
	if err == nil && length > uint64(len(decoder.rest)) {
		err = errTruncated
	}
	return int(length), err
}

func (decoder *decoder) value(of int) (sobek.Value, error) {
	shape := &decoder.types[of]
	switch shape.kind {
	case kindBool:
		set, err := decoder.bit("bool")
		return decoder.runtime.ToValue(set), err
	case kindUnsigned:
		return decoder.unsignedValue(shape.Bits)
	case kindSigned:
		return decoder.signedValue(shape.Bits)
	case kindFloat:
		taken, err := decoder.take(shape.Bits / 8)
		switch {
		case err != nil:
			return nil, err
		case shape.Bits == 32:
			return decoder.runtime.ToValue(float64(math.Float32frombits(binary.LittleEndian.Uint32(taken)))), nil
		default:
			return decoder.runtime.ToValue(math.Float64frombits(binary.LittleEndian.Uint64(taken))), nil
		}
	case kindChar:
		char, size := utf8.DecodeRune(decoder.rest)
		if char == utf8.RuneError && size <= 1 {
			return nil, errors.New("invalid char")
		}
		_, err := decoder.take(size)
		return decoder.runtime.ToValue(string(char)), err
	case kindString:
		length, err := decoder.size()
		if err != nil {
			return nil, err
		}
		taken, err := decoder.take(length)
		if err == nil && !utf8.Valid(taken) {
			err = errors.New("invalid UTF-8 in a string")
		}
		return decoder.runtime.ToValue(string(taken)), err
	case kindList:
		return decoder.list(shape)
	case kindOption:
		some, err := decoder.bit("option")
		switch {
		case err != nil:
			return nil, err
		case !some:
			return sobek.Null(), nil
		case decoder.types[shape.of].kind == kindOption:
			return decoder.tagged("some", &shape.of)
		default:
			return decoder.value(shape.of)
		}
	case kindResult:
		isErr, err := decoder.bit("result")
		switch {
		case err != nil:
			return nil, err
		case isErr:
			return decoder.tagged("err", shape.Err)
		default:
			return decoder.tagged("ok", shape.OK)
		}
	case kindRecord:
		object := decoder.runtime.NewObject()
		for index := range shape.Fields {
			value, err := decoder.value(*shape.Fields[index].Of)
			if err != nil {
				return nil, err
			}
			// It can't fail: the object is new and ordinary.
			_ = object.Set(shape.Fields[index].js, value)
		}
		return object, nil
	case kindTuple:
		parts := make([]any, len(shape.parts))
		for index, of := range shape.parts {
			value, err := decoder.value(of)
			if err != nil {
				return nil, err
			}
			parts[index] = value
		}
		return decoder.runtime.NewArray(parts...), nil
	case kindVariant:
		number, err := decoder.discriminant(len(shape.Cases))
		if err != nil {
			return nil, err
		}
		return decoder.tagged(shape.Cases[number].Name, shape.Cases[number].Of)
	case kindEnum:
		number, err := decoder.discriminant(len(shape.Names))
		if err != nil {
			return nil, err
		}
		return decoder.runtime.ToValue(shape.Names[number]), nil
	default:
		return decoder.flags(shape)
	}
}

// unsignedValue gives a BigInt for 64 bits, so that nothing is lost, and a number for less.
func (decoder *decoder) unsignedValue(bits int) (sobek.Value, error) {
	if bits == 8 {
		taken, err := decoder.take(1)
		if err != nil {
			return nil, err
		}
		return decoder.runtime.ToValue(int64(taken[0])), nil
	}
	number, err := decoder.unsigned(bits)
	if bits == 64 {
		return decoder.runtime.ToValue(new(big.Int).SetUint64(number)), err
	}
	return decoder.runtime.ToValue(int64(number)), err
}

func (decoder *decoder) signedValue(bits int) (sobek.Value, error) {
	if bits == 8 {
		taken, err := decoder.take(1)
		if err != nil {
			return nil, err
		}
		return decoder.runtime.ToValue(int64(int8(taken[0]))), nil
	}
	number, err := decoder.signed(bits)
	if bits == 64 {
		return decoder.runtime.ToValue(big.NewInt(number)), err
	}
	return decoder.runtime.ToValue(number), err
}

func (decoder *decoder) list(shape *shape) (sobek.Value, error) {
	length, err := decoder.size()
	if err != nil {
		return nil, err
	}
	if element := &decoder.types[shape.of]; element.kind == kindUnsigned && element.Bits == 8 {
		taken, err := decoder.take(length)
		// The bytes become the script's.
		return decoder.runtime.ToValue(decoder.runtime.NewArrayBuffer(append([]byte(nil), taken...))), err
	}
	// It grows with what is there, and not with what a length promises.
	values := make([]any, 0, min(length, 1024))
	for range length {
		value, err := decoder.value(shape.of)
		if err != nil {
			return nil, err
		}
		values = append(values, value)
	}
	return decoder.runtime.NewArray(values...), nil
}

func (decoder *decoder) tagged(tag string, of *int) (sobek.Value, error) {
	object := decoder.runtime.NewObject()
	_ = object.Set("tag", tag)
	if of != nil {
		value, err := decoder.value(*of)
		if err != nil {
			return nil, err
		}
		_ = object.Set("val", value)
	}
	return object, nil
}

func (decoder *decoder) discriminant(count int) (int, error) {
	number, err := decoder.unsigned(32)
	if err == nil && number >= uint64(count) {
		err = errors.New("invalid discriminant")
	}
	return int(number), err
}

func (decoder *decoder) flags(shape *shape) (sobek.Value, error) {
	taken, err := decoder.take((len(shape.Names) + 7) / 8)
	if err != nil {
		return nil, err
	}
	var bits uint64
	for index, part := range taken {
		bits |= uint64(part) << (8 * index)
	}
	if bits>>len(shape.Names) != 0 {
		return nil, errors.New("invalid flags")
	}
	set := []any{}
	for number, name := range shape.Names {
		if bits>>number&1 == 1 {
			set = append(set, name)
		}
	}
	return decoder.runtime.NewArray(set...), nil
}
