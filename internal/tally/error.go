package tally

import (
	"errors"
	"fmt"
	"time"
)

// Code names one kind of failure. Codes are part of the public contract: they are in
// problem documents, in frames and in metrics, and never change.
type Code string

// The codes of the public contract. Package api maps them to HTTP statuses.
const (
	CodeBadTopic             Code = "bad_topic"
	CodeBadVisitor           Code = "bad_visitor"
	CodeBadAmount            Code = "bad_amount"
	CodeBadBody              Code = "bad_body"
	CodeTooManyTopics        Code = "too_many_topics"
	CodeOriginNotAllowed     Code = "origin_not_allowed"
	CodeUnknownSite          Code = "unknown_site"
	CodeUnknownMetric        Code = "unknown_metric"
	CodeNotFound             Code = "not_found"
	CodeMethodNotAllowed     Code = "method_not_allowed"
	CodeReadOnlyMetric       Code = "read_only_metric"
	CodeBodyTooLarge         Code = "body_too_large"
	CodeUnsupportedMediaType Code = "unsupported_media_type"
	CodeRateLimited          Code = "rate_limited"
	CodeStoreUnavailable     Code = "store_unavailable"
	CodeTooManyViewers       Code = "too_many_viewers"
	CodeBlocked              Code = "blocked"
	CodeSignedVisitor        Code = "signed_visitor_required"
	CodeUnknownKey           Code = "unknown_key"
	CodeNotAuthorized        Code = "not_authorized"
	CodeRoleNotAllowed       Code = "role_not_allowed"
	CodeInternal             Code = "internal"
)

// Error is a failure with a stable code and a message for people.
type Error struct {
	Code    Code
	Message string
	// RetryAfter is how long the caller should wait before it tries again; 0 if trying
	// again does not help.
	RetryAfter time.Duration
	// Err is the cause, for the log; callers never see it.
	Err error
}

// Errorf returns an *Error whose message is formatted for people.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Unavailable returns the error of a store that cannot answer now, caused by err.
func Unavailable(err error) *Error {
	return &Error{
		Code:       CodeStoreUnavailable,
		Message:    "the store cannot be reached; the request was not acknowledged and may be repeated",
		RetryAfter: time.Second,
		Err:        err,
	}
}

// IsUnavailable reports whether err is that of a store that cannot answer now.
func IsUnavailable(err error) bool { return err != nil && AsError(err).Code == CodeStoreUnavailable }

// RetrySeconds returns RetryAfter in whole seconds, at least 1, for the header Retry-After.
func (e *Error) RetrySeconds() int64 {
	return max(1, int64((e.RetryAfter+time.Second-1)/time.Second))
}

func (e *Error) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%s: %s: %v", e.Code, e.Message, e.Err)
	}
	return string(e.Code) + ": " + e.Message
}

func (e *Error) Unwrap() error { return e.Err }

// AsError returns err as an *Error. An error without a code becomes [CodeInternal], with
// its text for the log only.
func AsError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Code: CodeInternal, Message: "something went wrong on the server", Err: err}
}
