// Package msgpack reads and writes MessagePack documents as the guest ABI has them.
package msgpack

// A Fault is what is wrong with a document.
type Fault struct {
	// Framing: the bytes are not exactly one document. Else they are one that breaks a rule, or has another shape.
	Framing bool
	Message string
}

func (fault *Fault) Error() string { return fault.Message }

func framing(message string) error { return &Fault{Framing: true, Message: message} }

func rule(message string) error { return &Fault{Message: message} }
