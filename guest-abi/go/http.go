package alga

import (
	"encoding/json"
	"strconv"
	"strings"
)

// Path gives the url up to its query.
func (http *HTTPInfo) Path() string {
	path, _, _ := strings.Cut(http.URL, "?")
	return path
}

// Query gives the first value of that name in the query, percent-decoded, and whether there is one. Bytes that are not UTF-8
// become U+FFFD.
func (http *HTTPInfo) Query(name string) (string, bool) {
	_, query, _ := strings.Cut(http.URL, "?")
	for pair := range strings.SplitSeq(query, "&") {
		if key, value, _ := strings.Cut(pair, "="); pair != "" && decoded(key) == name {
			return decoded(value), true
		}
	}
	return "", false
}

// Header gives the first header of that name, in any case, and whether there is one.
func (http *HTTPInfo) Header(name string) (string, bool) {
	for _, header := range http.Headers {
		if strings.EqualFold(header.Name, name) {
			return header.Value, true
		}
	}
	return "", false
}

// JSON reads the body into the value that into points at. The error is a [Problem] with status 400.
func (http *HTTPInfo) JSON(into any) error {
	if err := json.Unmarshal(http.Body, into); err != nil {
		return &Problem{400, "bad-request", "The body is not the JSON that is expected: " + err.Error() + "."}
	}
	return nil
}

func decoded(text string) string {
	bytes := make([]byte, 0, len(text))
	for at := 0; at < len(text); at++ {
		switch {
		case text[at] == '%' && at+2 < len(text):
			if value, err := strconv.ParseUint(text[at+1:at+3], 16, 8); err == nil {
				bytes = append(bytes, byte(value))
				at += 2
				continue
			}
			bytes = append(bytes, '%')
		case text[at] == '+':
			bytes = append(bytes, ' ')
		default:
			bytes = append(bytes, text[at])
		}
	}
	return strings.ToValidUTF8(string(bytes), "\uFFFD")
}

// Empty is a response without a body.
func Empty(status int) Response { return Response{Status: status} }

// Text is a response of plain text.
func Text(status int, text string) Response {
	return typed(status, "text/plain; charset=utf-8", []byte(text))
}

// JSON is a response of value as encoding/json has it. It panics for a value that has no JSON form, such as a function.
func JSON(status int, value any) Response {
	text, err := json.Marshal(value)
	if err != nil {
		panic("The response's value has no JSON form: " + err.Error())
	}
	return typed(status, "application/json", text)
}

func typed(status int, of string, body []byte) Response {
	return Response{Status: status, Headers: []Header{{Name: "content-type", Value: of}}, Body: body}
}

// WithHeader adds a header, another of its name too.
func (response Response) WithHeader(name, value string) Response {
	response.Headers = append(response.Headers[:len(response.Headers):len(response.Headers)], Header{name, value})
	return response
}
