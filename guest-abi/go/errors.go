package alga

// A Code says why the host refused a call. One that the SDK does not know reads as CodeInternal.
type Code string

const (
	CodeDenied           Code = "denied"
	CodeNotFound         Code = "not-found"
	CodeValidationFailed Code = "validation-failed"
	CodeQuotaExceeded    Code = "quota-exceeded"
	CodeRateLimited      Code = "rate-limited"
	CodeConflict         Code = "conflict"
	CodeExpired          Code = "expired"
	CodeTooLarge         Code = "too-large"
	CodeTimeout          Code = "timeout" // a change may or may not have happened
	CodeUnavailable      Code = "unavailable"
	CodeUnsupported      Code = "unsupported" // the host lacks the operation
	CodeInternal         Code = "internal"
)

func (code Code) known() Code {
	switch code {
	case CodeDenied, CodeNotFound, CodeValidationFailed, CodeQuotaExceeded, CodeRateLimited, CodeConflict, CodeExpired,
		CodeTooLarge, CodeTimeout, CodeUnavailable, CodeUnsupported:
		return code
	default:
		return CodeInternal
	}
}

// A HostError is why the host refused a call.
type HostError struct {
	Code    Code   `json:"code,omitzero"`
	Message string `json:"message,omitzero"`
	// By member of the request: what is wrong with it.
	FieldErrors map[string]string `json:"fieldErrors,omitzero"`
	// After how long to try again; nil where the host does not say.
	RetryAfterMs *int `json:"retryAfterMs,omitzero"`
	// The same call may succeed later, and does no harm if this one took effect after all.
	Retryable bool `json:"retryable,omitzero"`
}

func (refusal *HostError) Error() string { return string(refusal.Code) + ": " + refusal.Message }

// HTTPStatus tells the extension's own caller what happened.
func (refusal *HostError) HTTPStatus() int {
	switch refusal.Code {
	case CodeDenied:
		return 403
	case CodeUnavailable, CodeTimeout, CodeRateLimited:
		return 503
	default:
		return 502
	}
}

// A Problem tells the extension's own caller what is wrong: {error: {code, message}}.
type Problem struct {
	Status  int    `json:"-"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

func (problem *Problem) Error() string { return problem.Code + ": " + problem.Message }
