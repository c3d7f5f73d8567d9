// Package vectors reads the test vectors of the guest ABI (guest-abi/vectors/README.md).
package vectors

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"math"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// A Vector is one message, and what it means.
type Vector struct {
	Name, Kind, Rule, Operation string
	Bytes, Canonical            []byte
	Value                       any
}

// Read gives the vectors of a file.
func Read(t *testing.T, file string) []Vector {
	t.Helper()
	_, here, _, _ := runtime.Caller(0)
	text, err := os.ReadFile(filepath.Join(filepath.Dir(here), "../../../vectors", file))
	if err != nil {
		t.Fatal(err)
	}
	var all []struct {
		Name, Kind, Rule, Operation, Hex, Canonical string
		Value                                       any
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&all); err != nil || len(all) == 0 {
		t.Fatal(file, err)
	}
	var vectors []Vector
	for _, one := range all {
		vector := Vector{one.Name, one.Kind, one.Rule, one.Operation, unhex(one.Hex), unhex(one.Canonical), plain(one.Value)}
		if one.Canonical == "" {
			vector.Canonical = vector.Bytes
		}
		vectors = append(vectors, vector)
	}
	return vectors
}

func unhex(digits string) []byte {
	bytes, err := hex.DecodeString(digits)
	if err != nil {
		panic(err)
	}
	return bytes
}

// plain is the Go value that a vector's value means, as the codec reads it into an any.
func plain(value any) any {
	switch value := value.(type) {
	case json.Number:
		if strings.ContainsAny(value.String(), ".eE") {
			number, _ := value.Float64()
			return number
		}
		return integer(value.String())
	case []any:
		for index := range value {
			value[index] = plain(value[index])
		}
		return value
	case map[string]any:
		for tag, text := range value {
			switch tag {
			case "$bin":
				return unhex(text.(string))
			case "$int":
				return integer(text.(string))
			case "$float":
				number, _ := strconv.ParseFloat(text.(string), 64)
				return number
			}
			value[tag] = plain(text)
		}
		return value
	default:
		return value
	}
}

func integer(digits string) any {
	number, _ := new(big.Int).SetString(digits, 10)
	if number.IsInt64() {
		return int(number.Int64())
	}
	return number.Uint64()
}

// Equal compares two values; NaN is NaN.
func Equal(one, other any) bool {
	switch one := one.(type) {
	case float64:
		number, ok := other.(float64)
		return ok && (one == number || math.IsNaN(one) && math.IsNaN(number))
	case []any:
		list, ok := other.([]any)
		if !ok || len(list) != len(one) {
			return false
		}
		for index := range one {
			if !Equal(one[index], list[index]) {
				return false
			}
		}
		return true
	case map[string]any:
		members, ok := other.(map[string]any)
		if !ok || len(members) != len(one) {
			return false
		}
		for name := range one {
			if member, ok := members[name]; !ok || !Equal(one[name], member) {
				return false
			}
		}
		return true
	default:
		return reflect.DeepEqual(one, other)
	}
}
