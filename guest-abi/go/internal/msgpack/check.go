package msgpack

import (
	"bytes"
	"slices"
	"unicode/utf8"
)

// maxDepth: containers nest no deeper.
const maxDepth = 32

// open is a container whose end was not reached.
type open struct {
	missing  int // values, keys included
	isMap    bool
	keysFrom int // where the keys begin that this map has so far
}

// Check holds a document against the rules of every document (guest ABI, "Refusals"). Framing is judged before rules.
func Check(document []byte) error {
	rest := document
	var containers []open
	var keys [][]byte
	var broken error
	require := func(kept bool, message string) {
		if !kept && broken == nil {
			broken = rule(message)
		}
	}
	for {
		token, err := Next(&rest)
		if err != nil {
			return err
		}
		isKey := false
		if last := len(containers) - 1; last >= 0 {
			isKey = containers[last].isMap && containers[last].missing%2 == 0
			containers[last].missing--
		}
		require(!isKey || token.Kind == Text, "a key is not a string")
		switch token.Kind {
		case Text:
			require(utf8.Valid(token.Bytes), "a string is not UTF-8")
			if isKey {
				keys = append(keys, token.Bytes)
			}
		case Extension:
			require(false, "it has an extension type")
		case Array, Map:
			require(len(containers) < maxDepth, "it nests deeper than 32 levels")
			missing := token.Length
			if token.Kind == Map {
				missing *= 2 // an int has 64 bits on every target of Go's that the SDK has
			}
			containers = append(containers, open{missing, token.Kind == Map, len(keys)})
		}
		for len(containers) > 0 && containers[len(containers)-1].missing == 0 {
			container := containers[len(containers)-1]
			containers = containers[:len(containers)-1]
			if container.isMap {
				own := keys[container.keysFrom:]
				require(distinct(own), "a map has a key twice")
				keys = keys[:container.keysFrom]
			}
		}
		if len(containers) == 0 {
			break
		}
	}
	if len(rest) > 0 {
		return framing("something follows it")
	}
	return broken
}

func distinct(keys [][]byte) bool {
	slices.SortFunc(keys, bytes.Compare)
	for i := 1; i < len(keys); i++ {
		if bytes.Equal(keys[i-1], keys[i]) {
			return false
		}
	}
	return true
}
