package values

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/grafana/sobek"
)

// encodedMax bounds what arguments come to. Receivers take less.
const encodedMax = 256 << 20

// exactMax is the largest whole number up to which JavaScript's numbers have no gaps.
const exactMax = 1<<53 - 1

// Encode writes arguments as they are on the wire.
func (function *Function) Encode(arguments []sobek.Value) ([]byte, error) {
	if len(arguments) != len(function.params) {
		return nil, fmt.Errorf("it takes %s, and %d %s given", function.signature(), len(arguments), wasOrWere(len(arguments)))
	}
	encoder := encoder{types: function.types, out: make([]byte, 0, 64)}
	for index, value := range arguments {
		if err := encoder.value(*function.params[index].Of, value); err != nil {
			return nil, fmt.Errorf("args[%d]%w", index, err)
		}
	}
	return encoder.out, nil
}

func wasOrWere(count int) string {
	if count == 1 {
		return "was"
	}
	return "were"
}

func (function *Function) signature() string {
	if len(function.params) == 0 {
		return "no arguments"
	}
	params := make([]string, len(function.params))
	for index, param := range function.params {
		params[index] = param.Name + ": " + function.types[*param.Of].Name
	}
	noun := "arguments"
	if len(params) == 1 {
		noun = "argument"
	}
	return fmt.Sprintf("%d %s (%s)", len(params), noun, strings.Join(params, ", "))
}

type encoder struct {
	types []shape
	out   []byte
}

// at is an error about a value: its text begins with the way to it.
func at(step string, err error) error { return fmt.Errorf("%s%w", step, err) }

func wrong(format string, arguments ...any) error {
	return errors.New(": " + fmt.Sprintf(format, arguments...))
}

func (encoder *encoder) value(of int, value sobek.Value) error {
	shape := &encoder.types[of]
	if len(encoder.out) > encodedMax {
		return wrong("the arguments take more than %d bytes", encodedMax)
	}
	switch shape.kind {
	case kindBool:
		if kindOf(value) != reflect.Bool {
			return wrong("%s isn't bool", described(value))
		}
		encoder.bit(value.ToBoolean())
	case kindUnsigned:
		number, err := integer(value, shape.Name)
		if err != nil {
			return err
		}
		if number.Sign() < 0 || number.BitLen() > shape.Bits {
			return wrong("%s doesn't fit %s", number, shape.Name)
		}
		encoder.unsigned(number.Uint64(), shape.Bits)
	case kindSigned:
		number, err := integer(value, shape.Name)
		if err != nil {
			return err
		}
		if !number.IsInt64() || number.Int64()<<(64-shape.Bits)>>(64-shape.Bits) != number.Int64() {
			return wrong("%s doesn't fit %s", number, shape.Name)
		}
		encoder.signed(number.Int64(), shape.Bits)
	case kindFloat:
		return encoder.float(shape, value)
	case kindChar, kindString:
		return encoder.text(shape, value)
	case kindList:
		return encoder.list(shape, value)
	case kindOption:
		return encoder.option(shape, value)
	case kindResult:
		return encoder.result(shape, value)
	case kindRecord:
		return encoder.record(shape, value)
	case kindTuple:
		return encoder.tuple(shape, value)
	case kindVariant:
		return encoder.variant(shape, value)
	case kindEnum:
		name, ok := value.(sobek.String)
		if !ok {
			return wrong("%s isn't the name of a case (%s)", described(value), shape.Name)
		}
		for number, known := range shape.Names {
			if isNamed(known, name.String()) {
				encoder.unsigned(uint64(number), 32)
				return nil
			}
		}
		return wrong("there is no case %q: there are %s", name.String(), listed(shape.Names, ", "))
	case kindFlags:
		return encoder.flags(shape, value)
	}
	return nil
}

func (encoder *encoder) bit(set bool) {
	if set {
		encoder.out = append(encoder.out, 1)
	} else {
		encoder.out = append(encoder.out, 0)
	}
}

func (encoder *encoder) unsigned(number uint64, bits int) {
	if bits == 8 {
		encoder.out = append(encoder.out, byte(number))
		return
	}
	encoder.out = binary.AppendUvarint(encoder.out, number)
}

func (encoder *encoder) signed(number int64, bits int) {
	if bits == 8 {
		encoder.out = append(encoder.out, byte(number))
		return
	}
	for {
		low := byte(number) & 0x7f
		number >>= 7
		if (number == 0 && low&0x40 == 0) || (number == -1 && low&0x40 != 0) {
			encoder.out = append(encoder.out, low)
			return
		}
		encoder.out = append(encoder.out, low|0x80)
	}
}

// integer gives a whole number without loss.
func integer(value sobek.Value, name string) (*big.Int, error) {
	if value == nil {
		return nil, wrong("undefined isn't %s", name)
	}
	switch number := value.Export().(type) {
	case int64:
		return big.NewInt(number), nil
	case *big.Int:
		return number, nil
	case float64:
		if number == math.Trunc(number) && math.Abs(number) <= exactMax {
			return big.NewInt(int64(number)), nil
		}
		if number == math.Trunc(number) && !math.IsInf(number, 0) {
			return nil, wrong("%s isn't exact: write it as a BigInt", value)
		}
		return nil, wrong("%s doesn't fit %s", value, name)
	}
	return nil, wrong("%s isn't %s", described(value), name)
}

func (encoder *encoder) float(shape *shape, value sobek.Value) error {
	var number float64
	if value != nil {
		switch given := value.Export().(type) {
		case int64:
			number = float64(given)
		case float64:
			number = given
		default:
			return wrong("%s isn't a number (%s)", described(value), shape.Name)
		}
	} else {
		return wrong("undefined isn't a number (%s)", shape.Name)
	}
	if shape.Bits == 64 {
		encoder.out = binary.LittleEndian.AppendUint64(encoder.out, math.Float64bits(number))
		return nil
	}
	narrow := float32(number)
	if math.IsInf(float64(narrow), 0) && !math.IsInf(number, 0) {
		return wrong("%s doesn't fit %s", value, shape.Name)
	}
	encoder.out = binary.LittleEndian.AppendUint32(encoder.out, math.Float32bits(narrow))
	return nil
}

func (encoder *encoder) text(shape *shape, value sobek.Value) error {
	given, ok := value.(sobek.String)
	if !ok {
		return wrong("%s isn't %s", described(value), shape.Name)
	}
	text := given.String()
	if hasLoneSurrogate(given, text) {
		return wrong("the string has half of a surrogate pair, which no %s has", shape.Name)
	}
	if shape.kind == kindChar {
		if utf8.RuneCountInString(text) != 1 {
			return wrong("%s isn't a string of one character (char)", described(value))
		}
		encoder.out = append(encoder.out, text...)
		return nil
	}
	return encoder.bytes(text)
}

func (encoder *encoder) bytes(text string) error {
	if len(text) > encodedMax {
		return wrong("the arguments take more than %d bytes", encodedMax)
	}
	encoder.out = binary.AppendUvarint(encoder.out, uint64(len(text)))
	encoder.out = append(encoder.out, text...)
	return nil
}

// hasLoneSurrogate says whether the conversion to UTF-8 has lost something.
func hasLoneSurrogate(given sobek.String, text string) bool {
	if !strings.ContainsRune(text, utf8.RuneError) {
		return false
	}
	for index := 0; index < given.Length(); index++ {
		unit := given.CharAt(index)
		switch {
		case unit >= 0xd800 && unit < 0xdc00 && index+1 < given.Length():
			if next := given.CharAt(index + 1); next < 0xdc00 || next > 0xdfff {
				return true
			}
			index++
		case unit >= 0xd800 && unit <= 0xdfff:
			return true
		}
	}
	return false
}

func (encoder *encoder) list(shape *shape, value sobek.Value) error {
	element := &encoder.types[shape.of]
	isBytes := element.kind == kindUnsigned && element.Bits == 8
	if isBytes {
		if text, ok := value.(sobek.String); ok {
			if hasLoneSurrogate(text, text.String()) {
				return wrong("the string has half of a surrogate pair, which UTF-8 hasn't")
			}
			return encoder.bytes(text.String())
		}
		if bytes, ok, err := viewOf(value); ok || err != nil {
			if err != nil {
				return err
			}
			if len(bytes) > encodedMax {
				return wrong("the arguments take more than %d bytes", encodedMax)
			}
			encoder.out = binary.AppendUvarint(encoder.out, uint64(len(bytes)))
			encoder.out = append(encoder.out, bytes...)
			return nil
		}
	}
	array, length, ok := arrayOf(value)
	if !ok {
		if isBytes {
			return wrong("%s isn't an ArrayBuffer, a Uint8Array, an array of bytes or a string (%s)", described(value), shape.Name)
		}
		return wrong("%s isn't an array (%s)", described(value), shape.Name)
	}
	if length > encodedMax {
		return wrong("the arguments take more than %d bytes", encodedMax)
	}
	encoder.out = binary.AppendUvarint(encoder.out, uint64(length))
	for index := range length {
		if err := encoder.value(shape.of, array.Get(strconv.Itoa(index))); err != nil {
			return at("["+strconv.Itoa(index)+"]", err)
		}
	}
	return nil
}

// viewOf gives the bytes of an ArrayBuffer or of a Uint8Array, which are still the script's.
func viewOf(value sobek.Value) ([]byte, bool, error) {
	object, ok := value.(*sobek.Object)
	if !ok || object.ClassName() == "Array" {
		return nil, false, nil
	}
	switch bytes := object.Export().(type) {
	case sobek.ArrayBuffer:
		if bytes.Detached() {
			return nil, true, wrong("the ArrayBuffer is detached")
		}
		return bytes.Bytes(), true, nil
	case []byte:
		return bytes, true, nil
	}
	return nil, false, nil
}

// arrayOf gives an array, or a typed array, and its length.
func arrayOf(value sobek.Value) (*sobek.Object, int, bool) {
	object, ok := value.(*sobek.Object)
	if !ok {
		return nil, 0, false
	}
	isArray := object.ClassName() == "Array"
	if !isArray {
		exported := object.ExportType()
		isArray = exported != nil && exported.Kind() == reflect.Slice
	}
	length := object.Get("length")
	if !isArray || length == nil {
		return nil, 0, false
	}
	return object, int(length.ToInteger()), true
}

func (encoder *encoder) option(shape *shape, value sobek.Value) error {
	if isNone(value) {
		encoder.bit(false)
		return nil
	}
	if encoder.types[shape.of].kind == kindOption {
		given, ok := taggedOf(value)
		switch {
		case ok && given.tag == "none" && isNone(given.val):
			encoder.bit(false)
			return nil
		case ok && given.tag == "some":
			value = given.val
		default:
			return wrong("%s isn't an option within an option: write null or { tag: \"some\", val: … }", described(value))
		}
	}
	encoder.bit(true)
	return encoder.value(shape.of, value)
}

func isNone(value sobek.Value) bool {
	return value == nil || sobek.IsUndefined(value) || sobek.IsNull(value)
}

// tagged is { tag: "name", val: … }, or "name" alone.
type tagged struct {
	tag string
	val sobek.Value
}

func taggedOf(value sobek.Value) (tagged, bool) {
	if text, ok := value.(sobek.String); ok {
		return tagged{tag: text.String()}, true
	}
	object, ok := value.(*sobek.Object)
	if !ok {
		return tagged{}, false
	}
	tag, ok := object.Get("tag").(sobek.String)
	if !ok {
		return tagged{}, false
	}
	for _, key := range object.Keys() {
		if key != "tag" && key != "val" {
			return tagged{}, false
		}
	}
	return tagged{tag: tag.String(), val: object.Get("val")}, true
}

// payload writes what a case holds.
func (encoder *encoder) payload(given tagged, of *int) error {
	if of == nil {
		if !isNone(given.val) {
			return at(".val", wrong("%s holds nothing, not %s", given.tag, described(given.val)))
		}
		return nil
	}
	shape := &encoder.types[*of]
	if (given.val == nil || sobek.IsUndefined(given.val)) && shape.kind != kindOption {
		return at(".val", wrong("it is missing: %s holds %s", given.tag, shape.Name))
	}
	if err := encoder.value(*of, given.val); err != nil {
		return at(".val", err)
	}
	return nil
}

func (encoder *encoder) result(shape *shape, value sobek.Value) error {
	given, ok := taggedOf(value)
	if !ok {
		return wrong("%s isn't { tag: \"ok\" or \"err\", val: … } (%s)", described(value), shape.Name)
	}
	switch given.tag {
	case "ok":
		encoder.bit(false)
		return encoder.payload(given, shape.OK)
	case "err":
		encoder.bit(true)
		return encoder.payload(given, shape.Err)
	}
	return wrong("there is no case %q: there are ok, err", given.tag)
}

func (encoder *encoder) variant(shape *shape, value sobek.Value) error {
	given, ok := taggedOf(value)
	if !ok {
		return wrong("%s isn't { tag: …, val: … } (%s)", described(value), shape.Name)
	}
	for number, known := range shape.Cases {
		if isNamed(known.Name, given.tag) {
			encoder.unsigned(uint64(number), 32)
			return encoder.payload(given, known.Of)
		}
	}
	return wrong("there is no case %q: there are %s", given.tag, listedFields(shape.Cases))
}

func (encoder *encoder) record(shape *shape, value sobek.Value) error {
	object, ok := value.(*sobek.Object)
	if !ok || object.ClassName() != "Object" {
		return wrong("%s isn't an object (%s)", described(value), shape.Name)
	}
	keys := object.Keys()
	taken := 0
	for index := range shape.Fields {
		field := &shape.Fields[index]
		key, ok := keyOf(keys, field)
		if !ok {
			if encoder.types[*field.Of].kind != kindOption {
				return at("."+field.Name, wrong("it is missing: %s is expected", encoder.types[*field.Of].Name))
			}
			encoder.bit(false)
			continue
		}
		taken++
		if err := encoder.value(*field.Of, object.Get(key)); err != nil {
			return at("."+key, err)
		}
	}
	if taken == len(keys) {
		return nil
	}
	for _, key := range keys {
		if !hasField(shape.Fields, key) {
			return at("."+key, wrong("there is no such field: there are %s", listedFields(shape.Fields)))
		}
	}
	return wrong("a field is given twice: there are %s", listedFields(shape.Fields))
}

// keyOf finds the key of a field: most scripts write it as JavaScript does, or as WIT.
func keyOf(keys []string, field *field) (string, bool) {
	for _, key := range keys {
		if key == field.js || key == field.Name || isNamed(field.Name, key) {
			return key, true
		}
	}
	return "", false
}

func hasField(fields []field, key string) bool {
	for index := range fields {
		if isNamed(fields[index].Name, key) {
			return true
		}
	}
	return false
}

func (encoder *encoder) tuple(shape *shape, value sobek.Value) error {
	array, length, ok := arrayOf(value)
	if !ok || length != len(shape.parts) {
		return wrong("%s isn't an array of %d (%s)", described(value), len(shape.parts), shape.Name)
	}
	for index, of := range shape.parts {
		if err := encoder.value(of, array.Get(strconv.Itoa(index))); err != nil {
			return at("["+strconv.Itoa(index)+"]", err)
		}
	}
	return nil
}

// flags are an array of names, or an object with booleans.
func (encoder *encoder) flags(shape *shape, value sobek.Value) error {
	var bits uint32
	set := func(name string) error {
		for number, known := range shape.Names {
			if isNamed(known, name) {
				bits |= 1 << number
				return nil
			}
		}
		return wrong("%q is no flag: there are %s", name, listed(shape.Names, ", "))
	}
	if array, length, ok := arrayOf(value); ok {
		for index := range length {
			item := array.Get(strconv.Itoa(index))
			name, ok := item.(sobek.String)
			if !ok {
				return at("["+strconv.Itoa(index)+"]", wrong("%s isn't the name of a flag", described(item)))
			}
			if err := set(name.String()); err != nil {
				return at("["+strconv.Itoa(index)+"]", err)
			}
		}
	} else if object, ok := value.(*sobek.Object); ok && object.ClassName() == "Object" {
		for _, key := range object.Keys() {
			item := object.Get(key)
			if kindOf(item) != reflect.Bool {
				return at("."+key, wrong("%s isn't bool", described(item)))
			}
			before := bits
			if err := set(key); err != nil {
				return at("."+key, err)
			}
			if !item.ToBoolean() {
				bits = before
			}
		}
	} else {
		return wrong("%s isn't an array of names (%s)", described(value), shape.Name)
	}
	for range (len(shape.Names) + 7) / 8 {
		encoder.out = append(encoder.out, byte(bits))
		bits >>= 8
	}
	return nil
}

func kindOf(value sobek.Value) reflect.Kind {
	if isNone(value) {
		return reflect.Invalid
	}
	if exported := value.ExportType(); exported != nil {
		return exported.Kind()
	}
	return reflect.Invalid
}

// described names a value for a person, cut short.
func described(value sobek.Value) string {
	switch {
	case value == nil || sobek.IsUndefined(value):
		return "undefined"
	case sobek.IsNull(value):
		return "null"
	}
	if text, ok := value.(sobek.String); ok {
		shown := text.String()
		if len(shown) > 40 {
			return fmt.Sprintf("the string %.40q…", shown)
		}
		return fmt.Sprintf("the string %q", shown)
	}
	if object, ok := value.(*sobek.Object); ok {
		if _, length, ok := arrayOf(value); ok {
			return fmt.Sprintf("an array of %d", length)
		}
		if object.ClassName() == "Object" {
			return "an object"
		}
		return "an object of class " + object.ClassName()
	}
	return value.String()
}

func listedFields(fields []field) string {
	names := make([]string, len(fields))
	for index := range fields {
		names[index] = fields[index].Name
	}
	return listed(names, ", ")
}

// namesMax names stand in an error.
const namesMax = 12

func listed(names []string, between string) string {
	if len(names) <= namesMax {
		return strings.Join(names, between)
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:namesMax], between), len(names)-namesMax)
}

// sorted is for names that come of a map.
func sorted(names []string) []string {
	sort.Strings(names)
	return names
}
