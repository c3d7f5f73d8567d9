package msgpack

import (
	"reflect"
	"strings"
	"sync"
)

// A field is a member of a document: an exported field of a struct, named by its json tag.
type field struct {
	index    int
	name     string
	optional bool // omitzero: absent when it is zero, and nil reads as absent
}

var known sync.Map // by reflect.Type

func fieldsOf(of reflect.Type) []field {
	if fields, ok := known.Load(of); ok {
		return fields.([]field)
	}
	var fields []field
	for index := range of.NumField() {
		name, options, _ := strings.Cut(of.Field(index).Tag.Get("json"), ",")
		if name != "-" && of.Field(index).IsExported() {
			if name == "" {
				name = of.Field(index).Name
			}
			fields = append(fields, field{index, name, options == "omitzero" || options == "omitempty"})
		}
	}
	known.Store(of, fields)
	return fields
}
