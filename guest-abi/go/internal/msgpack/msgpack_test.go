package msgpack_test

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"alga/internal/msgpack"
	"alga/internal/vectors"
)

func TestValidValuesAreReadAsWhatTheyMean(t *testing.T) {
	for _, vector := range vectors.Read(t, "values.json") {
		if vector.Kind != "valid" {
			continue
		}
		var value any
		if err := msgpack.Decode(vector.Bytes, &value); err != nil {
			t.Errorf("%s: %v", vector.Name, err)
		} else if !vectors.Equal(value, vector.Value) {
			t.Errorf("%s: %v", vector.Name, value)
		}
	}
}

func TestValidValuesComeBackInCanonicalForm(t *testing.T) {
	for _, vector := range vectors.Read(t, "values.json") {
		if vector.Kind != "valid" {
			continue
		}
		rest, written := vector.Bytes, []byte{}
		for len(rest) > 0 {
			token, err := msgpack.Next(&rest)
			if err != nil {
				t.Fatalf("%s: %v", vector.Name, err)
			}
			written = token.Append(written)
		}
		if !bytes.Equal(written, vector.Canonical) {
			t.Errorf("%s: %x", vector.Name, written)
		}
	}
}

func TestBrokenFramingAndBrokenRulesAreToldApart(t *testing.T) {
	general := []string{"key", "extension", "depth", "duplicate", "utf8"}
	for _, file := range []string{"values.json", "host-call-requests.json"} {
		for _, vector := range vectors.Read(t, file) {
			if vector.Kind != "breach" && !slices.Contains(general, vector.Rule) {
				continue
			}
			var value any
			var fault *msgpack.Fault
			if err := msgpack.Decode(vector.Bytes, &value); !errors.As(err, &fault) || fault.Framing != (vector.Kind == "breach") {
				t.Errorf("%s: %v", vector.Name, err)
			}
		}
	}
}

type members struct {
	Text   string         `json:"text"`
	Number int8           `json:"number,omitzero"`
	Part   *members       `json:"part,omitzero"`
	Any    any            `json:"any,omitzero"`
	Bytes  []byte         `json:"bytes,omitzero"`
	List   []int          `json:"list,omitzero"`
	Map    map[string]int `json:"map,omitzero"`
	Hidden string         `json:"-"`
}

func TestAStructComesBackAsItWas(t *testing.T) {
	whole := members{Text: "a", Number: -5, Part: &members{Text: "b"}, Any: map[string]any{"c": 1.5, "d": []any{nil, true}},
		Bytes: []byte{}, List: []int{1 << 40, -40_000}, Map: map[string]int{"e": -200}}
	document, err := msgpack.Encode(whole)
	if err != nil {
		t.Fatal(err)
	}

	var back members
	if err := msgpack.Decode(document, &back); err != nil {
		t.Fatal(err)
	}
	again, _ := msgpack.Encode(back)
	if !bytes.Equal(document, again) || back.Part.Text != "b" || back.Bytes == nil || back.List[0] != 1<<40 {
		t.Fatal(back)
	}
}

func read(document string) error { return msgpack.Decode([]byte(document), &members{}) }

func TestAMemberThatIsRequiredMustBeThere(t *testing.T) {
	if err := read("\x80"); err == nil || !strings.Contains(err.Error(), "it has no text") {
		t.Fatal(err)
	}
}

func TestANilReadsAsAbsent(t *testing.T) {
	if err := read("\x82\xa4text\xa0\xa6number\xc0"); err != nil {
		t.Fatal(err)
	}
}

func TestAMemberOfAnotherTypeIsRefusedByName(t *testing.T) {
	for _, document := range []string{"\x81\xa4text\x01", "\x81\xa4text\xc0", "\x82\xa4text\xa0\xa6number\xa15",
		"\x82\xa4text\xa0\xa6number\xcc\x80", "\x82\xa4text\xa0\xa6number\xca\x3f\xc0\x00\x00", "\x82\xa4text\xa0\xa4list\x81\xa1a\x01"} {
		if err := read(document); err == nil || !strings.Contains(err.Error(), "in place of") {
			t.Errorf("%q: %v", document, err)
		}
	}
}

func TestAFloatWithAnIntegralValueIsAnInteger(t *testing.T) {
	var value members
	if err := msgpack.Decode([]byte("\x82\xa4text\xa0\xa6number\xca\x40\xa0\x00\x00"), &value); err != nil || value.Number != 5 {
		t.Fatal(value, err)
	}
}

func TestANumberOfJSONIsWrittenAsAnIntegerWhereItIsOne(t *testing.T) {
	for number, expected := range map[float64]string{5: "\x05", -1: "\xff", 0.5: "\xcb\x3f\xe0\x00\x00\x00\x00\x00\x00"} {
		document, err := msgpack.Encode(map[string]any{"a": number})
		if err != nil || string(document) != "\x81\xa1a"+expected {
			t.Errorf("%v: %x %v", number, document, err)
		}
	}
}

func TestAFloatOfATypedMemberStaysOne(t *testing.T) {
	for _, number := range []float64{5, math.Inf(1)} {
		if document, err := msgpack.Encode([]float64{number}); err != nil || document[1] != 0xcb {
			t.Errorf("%v: %x %v", number, document, err)
		}
	}
}

func TestWhatDocumentsDoNotHaveIsNotWritten(t *testing.T) {
	for _, value := range []any{func() {}, map[int]string{1: "a"}, []any{make(chan int)}} {
		if document, err := msgpack.Encode(value); err == nil {
			t.Errorf("%T: %x", value, document)
		}
	}
}

func TestTextThatIsNotUTF8IsReplaced(t *testing.T) {
	if document, _ := msgpack.Encode("a\xff"); string(document) != "\xa4a\uFFFD" {
		t.Fatalf("%q", document)
	}
}
