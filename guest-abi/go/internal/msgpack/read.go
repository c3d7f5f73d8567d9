package msgpack

import (
	"fmt"
	"math"
	"reflect"
)

// An Unmarshaler reads its value by decode.
type Unmarshaler interface {
	ReadDocument(decode func(into any) error) error
}

// Decode reads the one document in bytes into the value that into points at. A struct's fields without omitzero or omitempty
// must be there; members that it has no field for are ignored.
func Decode(bytes []byte, into any) error {
	if err := Check(bytes); err != nil {
		return err
	}
	reader := &reader{bytes}
	return reader.read(reflect.ValueOf(into).Elem())
}

// reader reads a document that was checked.
type reader struct {
	rest []byte
}

func (reader *reader) read(value reflect.Value) error {
	if value.CanAddr() {
		if unmarshaler, ok := value.Addr().Interface().(Unmarshaler); ok {
			return unmarshaler.ReadDocument(func(into any) error { return reader.read(reflect.ValueOf(into).Elem()) })
		}
	}
	if value.Kind() == reflect.Pointer {
		if reader.rest[0] == 0xc0 {
			reader.rest = reader.rest[1:]
			value.SetZero()
			return nil
		}
		value.Set(reflect.New(value.Type().Elem()))
		return reader.read(value.Elem())
	}
	token, err := Next(&reader.rest)
	if err != nil {
		return err
	}
	switch kind := value.Kind(); {
	case kind == reflect.Interface && value.NumMethod() == 0:
		return reader.readAny(token, value)
	case kind == reflect.Bool && token.Kind == Bool:
		value.SetBool(token.Bits == 1)
	case value.CanInt() && token.isInteger() && !value.OverflowInt(token.integer()):
		value.SetInt(token.integer())
	case value.CanFloat() && token.Kind == Float:
		value.SetFloat(token.Float)
	case value.CanFloat() && token.isInteger():
		value.SetFloat(float64(token.integer()))
	case kind == reflect.String && token.Kind == Text:
		value.SetString(string(token.Bytes))
	case kind == reflect.Slice && value.Type().Elem().Kind() == reflect.Uint8 && token.Kind == Bytes:
		value.SetBytes(append([]byte{}, token.Bytes...))
	case kind == reflect.Slice && value.Type().Elem().Kind() == reflect.Uint8 && token.Kind == Nil:
		value.SetBytes(nil)
	case kind == reflect.Slice && token.Kind == Array:
		return reader.readSlice(token.Length, value)
	case kind == reflect.Map && token.Kind == Map:
		return reader.readMap(token.Length, value)
	case kind == reflect.Struct && token.Kind == Map:
		return reader.readStruct(token.Length, value)
	default:
		return rule(fmt.Sprintf("it has %s in place of %s", names[token.Kind], value.Type()))
	}
	return nil
}

// isInteger: a float with an integral value counts as one.
func (token Token) isInteger() bool {
	switch token.Kind {
	case Uint:
		return token.Bits <= math.MaxInt64
	case Float:
		return token.Float == math.Trunc(token.Float) && math.Abs(token.Float) < 1<<63
	default:
		return token.Kind == Int
	}
}

func (token Token) integer() int64 {
	if token.Kind == Float {
		return int64(token.Float)
	}
	return int64(token.Bits)
}

func (reader *reader) readSlice(length int, value reflect.Value) error {
	value.Set(reflect.MakeSlice(value.Type(), length, length)) // no more than bytes: the document was checked
	for index := range length {
		if err := reader.read(value.Index(index)); err != nil {
			return err
		}
	}
	return nil
}

func (reader *reader) key() (string, error) {
	token, err := Next(&reader.rest)
	return string(token.Bytes), err
}

func (reader *reader) readMap(length int, value reflect.Value) error {
	value.Set(reflect.MakeMapWithSize(value.Type(), length))
	for range length {
		key, err := reader.key()
		if err != nil {
			return err
		}
		member := reflect.New(value.Type().Elem()).Elem()
		if err := reader.read(member); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		value.SetMapIndex(reflect.ValueOf(key).Convert(value.Type().Key()), member)
	}
	return nil
}

func (reader *reader) readStruct(length int, value reflect.Value) error {
	fields := fieldsOf(value.Type())
	seen := make([]bool, len(fields))
	for range length {
		key, err := reader.key()
		if err != nil {
			return err
		}
		if err := reader.readMember(key, fields, seen, value); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	for index, field := range fields {
		if !seen[index] && !field.optional {
			return rule("it has no " + field.name)
		}
	}
	return nil
}

func (reader *reader) readMember(key string, fields []field, seen []bool, value reflect.Value) error {
	for index, field := range fields {
		if field.name != key {
			continue
		}
		seen[index] = true
		member := value.Field(field.index)
		_, own := member.Addr().Interface().(Unmarshaler)
		if !own && field.optional && reader.rest[0] == 0xc0 {
			break // nil reads as absent
		}
		return reader.read(member)
	}
	return reader.skip()
}

func (reader *reader) readAny(token Token, value reflect.Value) error {
	switch token.Kind {
	case Nil:
		value.SetZero()
	case Bool:
		value.Set(reflect.ValueOf(token.Bits == 1))
	case Uint, Int:
		if token.isInteger() {
			value.Set(reflect.ValueOf(int(token.integer())))
		} else {
			value.Set(reflect.ValueOf(token.Bits))
		}
	case Float:
		value.Set(reflect.ValueOf(token.Float))
	case Text:
		value.Set(reflect.ValueOf(string(token.Bytes)))
	case Bytes:
		value.Set(reflect.ValueOf(append([]byte{}, token.Bytes...)))
	case Array:
		list := reflect.New(reflect.TypeFor[[]any]()).Elem()
		err := reader.readSlice(token.Length, list)
		value.Set(list)
		return err
	default:
		members := reflect.New(reflect.TypeFor[map[string]any]()).Elem()
		err := reader.readMap(token.Length, members)
		value.Set(members)
		return err
	}
	return nil
}

// skip leaves out the next value, whole.
func (reader *reader) skip() error {
	for values := 1; values > 0; values-- {
		token, err := Next(&reader.rest)
		if err != nil {
			return err
		}
		values += token.Length
		if token.Kind == Map {
			values += token.Length
		}
	}
	return nil
}
