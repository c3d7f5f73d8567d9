package msgpack

import (
	"encoding/binary"
	"math"
)

// Kind is the type of a Token.
type Kind int

const (
	Nil Kind = iota
	Bool
	Uint
	Int // below zero
	Float
	Text
	Bytes
	Array
	Map
	Extension // guest ABI v1 has none
)

var names = [...]string{"nil", "a boolean", "an integer", "an integer", "a float", "a string", "bytes", "an array", "a map", "an extension"}

// A Token is a scalar, or the head of an array or a map, whose members follow. Text is not checked to be UTF-8.
type Token struct {
	Kind   Kind
	Bits   uint64 // of integers; of a Bool 1 is true
	Float  float64
	Bytes  []byte
	Length int // of an array its values, of a map its keys
}

// Next takes the next token off the start of rest.
func Next(rest *[]byte) (Token, error) {
	head, err := take(rest, 1)
	if err != nil {
		return Token{}, err
	}
	first := head[0]
	switch {
	case first < 0x80:
		return Token{Kind: Uint, Bits: uint64(first)}, nil
	case first < 0x90:
		return Token{Kind: Map, Length: int(first & 0x0f)}, nil
	case first < 0xa0:
		return Token{Kind: Array, Length: int(first & 0x0f)}, nil
	case first < 0xc0:
		return chunk(rest, Text, uint64(first&0x1f))
	case first >= 0xe0:
		return Token{Kind: Int, Bits: uint64(int64(int8(first)))}, nil
	case first == 0xc0:
		return Token{}, nil
	case first == 0xc1:
		return Token{}, framing("it has the byte 0xc1, which MessagePack does not use")
	case first <= 0xc3:
		return Token{Kind: Bool, Bits: uint64(first & 1)}, nil
	case first <= 0xc6:
		return chunkOf(rest, Bytes, 1<<(first-0xc4), 0)
	case first <= 0xc9:
		return chunkOf(rest, Extension, 1<<(first-0xc7), 1)
	case first == 0xca:
		bits, err := number(rest, 4)
		return Token{Kind: Float, Float: float64(math.Float32frombits(uint32(bits)))}, err
	case first == 0xcb:
		bits, err := number(rest, 8)
		return Token{Kind: Float, Float: math.Float64frombits(bits)}, err
	case first <= 0xcf:
		bits, err := number(rest, 1<<(first-0xcc))
		return Token{Kind: Uint, Bits: bits}, err
	case first <= 0xd3:
		width := 1 << (first - 0xd0)
		bits, err := number(rest, width)
		unused := 64 - 8*width
		if value := int64(bits<<unused) >> unused; value < 0 {
			return Token{Kind: Int, Bits: uint64(value)}, err
		}
		return Token{Kind: Uint, Bits: bits}, err
	case first <= 0xd8:
		return chunk(rest, Extension, 1+1<<(first-0xd4))
	case first <= 0xdb:
		return chunkOf(rest, Text, 1<<(first-0xd9), 0)
	case first <= 0xdd:
		length, err := number(rest, 2<<(first-0xdc))
		return Token{Kind: Array, Length: int(length)}, err
	default:
		length, err := number(rest, 2<<(first-0xde))
		return Token{Kind: Map, Length: int(length)}, err
	}
}

// take takes length bytes off the start of rest.
func take(rest *[]byte, length uint64) ([]byte, error) {
	if length > uint64(len(*rest)) {
		return nil, framing("it ends too early")
	}
	taken := (*rest)[:length:length]
	*rest = (*rest)[length:]
	return taken, nil
}

// number takes an unsigned integer of width bytes.
func number(rest *[]byte, width int) (uint64, error) {
	bytes, err := take(rest, uint64(width))
	if err != nil {
		return 0, err
	}
	var wide [8]byte
	copy(wide[8-width:], bytes)
	return binary.BigEndian.Uint64(wide[:]), nil
}

func chunk(rest *[]byte, kind Kind, length uint64) (Token, error) {
	bytes, err := take(rest, length)
	return Token{Kind: kind, Bytes: bytes}, err
}

// chunkOf takes a length of width bytes, and as many bytes as it says and more.
func chunkOf(rest *[]byte, kind Kind, width int, more uint64) (Token, error) {
	length, err := number(rest, width)
	if err != nil {
		return Token{}, err
	}
	return chunk(rest, kind, length+more)
}
