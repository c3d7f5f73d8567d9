package msgpack

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
)

// A Marshaler is written as another value.
type Marshaler interface {
	DocumentValue() any
}

// Encode writes value as one document, each part in its shortest form. Structs are maps of their fields by json tag, those
// with omitzero or omitempty only when they are not zero; maps have their keys in order; a nil slice is empty, but one of
// bytes nil.
func Encode(value any) ([]byte, error) {
	return appendValue(make([]byte, 0, 256), reflect.ValueOf(value), false)
}

// appendValue writes value; loose where its Go type was an interface's to choose.
func appendValue(to []byte, value reflect.Value, loose bool) ([]byte, error) {
	if !value.IsValid() {
		return AppendNil(to), nil
	}
	if value.CanInterface() {
		if marshaler, ok := value.Interface().(Marshaler); ok {
			return appendValue(to, reflect.ValueOf(marshaler.DocumentValue()), false)
		}
	}
	switch value.Kind() {
	case reflect.Pointer, reflect.Interface:
		if value.IsNil() {
			return AppendNil(to), nil
		}
		return appendValue(to, value.Elem(), value.Kind() == reflect.Interface)
	case reflect.Bool:
		return AppendBool(to, value.Bool()), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return AppendInt(to, value.Int()), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return AppendUint(to, value.Uint()), nil
	case reflect.Float32, reflect.Float64:
		number := value.Float()
		if loose && number == math.Trunc(number) && math.Abs(number) <= 1<<53 {
			return AppendInt(to, int64(number)), nil // encoding/json reads every number as a float64
		}
		return AppendFloat(to, number), nil
	case reflect.String:
		return AppendText(to, value.String()), nil
	case reflect.Slice, reflect.Array:
		return appendSlice(to, value, loose)
	case reflect.Map:
		return appendMap(to, value)
	case reflect.Struct:
		return appendStruct(to, value)
	default:
		return nil, rule(fmt.Sprintf("it has the Go type %s, which documents do not have", value.Type()))
	}
}

func appendSlice(to []byte, value reflect.Value, loose bool) ([]byte, error) {
	if value.Kind() == reflect.Slice && value.Type().Elem().Kind() == reflect.Uint8 {
		if value.IsNil() {
			return AppendNil(to), nil
		}
		return AppendBytes(to, value.Bytes()), nil
	}
	to, err := AppendArray(to, value.Len()), error(nil)
	for index := 0; index < value.Len() && err == nil; index++ {
		to, err = appendValue(to, value.Index(index), loose)
	}
	return to, err
}

func appendMap(to []byte, value reflect.Value) ([]byte, error) {
	if value.Type().Key().Kind() != reflect.String {
		return nil, rule("a key is not a string")
	}
	members := make(map[string]reflect.Value, value.Len())
	for iterator := value.MapRange(); iterator.Next(); {
		members[iterator.Key().String()] = iterator.Value()
	}
	to, err := AppendMap(to, len(members)), error(nil)
	for _, key := range slices.Sorted(maps.Keys(members)) {
		if to, err = appendValue(AppendText(to, key), members[key], false); err != nil {
			break
		}
	}
	return to, err
}

func appendStruct(to []byte, value reflect.Value) ([]byte, error) {
	fields := slices.DeleteFunc(slices.Clone(fieldsOf(value.Type())), func(field field) bool {
		return field.optional && value.Field(field.index).IsZero()
	})
	to, err := AppendMap(to, len(fields)), error(nil)
	for _, field := range fields {
		if to, err = appendValue(AppendText(to, field.name), value.Field(field.index), false); err != nil {
			break
		}
	}
	return to, err
}

func AppendNil(to []byte) []byte { return append(to, 0xc0) }

func AppendBool(to []byte, value bool) []byte {
	if value {
		return append(to, 0xc3)
	}
	return append(to, 0xc2)
}

func AppendUint(to []byte, value uint64) []byte {
	switch {
	case value < 0x80:
		return append(to, byte(value))
	case value <= math.MaxUint8:
		return append(to, 0xcc, byte(value))
	case value <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(to, 0xcd), uint16(value))
	case value <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(to, 0xce), uint32(value))
	default:
		return binary.BigEndian.AppendUint64(append(to, 0xcf), value)
	}
}

func AppendInt(to []byte, value int64) []byte {
	switch {
	case value >= 0:
		return AppendUint(to, uint64(value))
	case value >= -0x20:
		return append(to, byte(value))
	case value >= math.MinInt8:
		return append(to, 0xd0, byte(value))
	case value >= math.MinInt16:
		return binary.BigEndian.AppendUint16(append(to, 0xd1), uint16(value))
	case value >= math.MinInt32:
		return binary.BigEndian.AppendUint32(append(to, 0xd2), uint32(value))
	default:
		return binary.BigEndian.AppendUint64(append(to, 0xd3), uint64(value))
	}
}

func AppendFloat(to []byte, value float64) []byte {
	return binary.BigEndian.AppendUint64(append(to, 0xcb), math.Float64bits(value))
}

// AppendText writes text; bytes of it that are not UTF-8 become U+FFFD.
func AppendText(to []byte, text string) []byte {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) < 32 {
		return append(append(to, 0xa0|byte(len(text))), text...)
	}
	return append(appendHead(to, len(text), 0xd9, 0xda, 0xdb), text...)
}

func AppendBytes(to []byte, bytes []byte) []byte {
	return append(appendHead(to, len(bytes), 0xc4, 0xc5, 0xc6), bytes...)
}

// AppendArray writes the head of an array, whose values follow.
func AppendArray(to []byte, length int) []byte {
	if length < 16 {
		return append(to, 0x90|byte(length))
	}
	return appendHead(to, length, 0, 0xdc, 0xdd)
}

// AppendMap writes the head of a map, whose keys and values follow in turns.
func AppendMap(to []byte, length int) []byte {
	if length < 16 {
		return append(to, 0x80|byte(length))
	}
	return appendHead(to, length, 0, 0xde, 0xdf)
}

// appendHead writes the head for a length of 8, 16 or 32 bits; 0 where there is none for 8.
func appendHead(to []byte, length int, of8, of16, of32 byte) []byte {
	switch {
	case length <= math.MaxUint8 && of8 != 0:
		return append(to, of8, byte(length))
	case length <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(to, of16), uint16(length))
	default:
		return binary.BigEndian.AppendUint32(append(to, of32), uint32(length)) // memory ends at 4 GiB
	}
}

// Append writes the token.
func (token Token) Append(to []byte) []byte {
	switch token.Kind {
	case Bool:
		return AppendBool(to, token.Bits == 1)
	case Uint:
		return AppendUint(to, token.Bits)
	case Int:
		return AppendInt(to, int64(token.Bits))
	case Float:
		return AppendFloat(to, token.Float)
	case Text:
		return AppendText(to, string(token.Bytes))
	case Bytes:
		return AppendBytes(to, token.Bytes)
	case Array:
		return AppendArray(to, token.Length)
	case Map:
		return AppendMap(to, token.Length)
	default:
		return AppendNil(to)
	}
}
