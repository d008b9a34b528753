package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
)

// Code is an S3 error code, such as "NoSuchKey". A Code is itself an error, so
// errors.Is(err, wire.NoSuchKey) asks whether err is answered with that code.
type Code string

// Error returns the code's name.
func (c Code) Error() string { return string(c) }

// Status returns the HTTP status that belongs to the code, 500 for a code that
// the table does not hold.
func (c Code) Status() int {
	status, _ := describe(c)
	return status
}

// Message returns the text that AWS sends with the code.
func (c Code) Message() string {
	_, message := describe(c)
	return message
}

// Field is one extra element of an error document, for instance
// {"BucketName", "photos"}.
type Field struct {
	Name  string // an XML element name, chosen by the server
	Value string // any text; it is escaped when written
}

// Error is one answer of failure as the client sees it. It is a value to be
// built once and then only read; With returns a changed copy.
type Error struct {
	Code    Code
	Message string
	Status  int     // HTTP status
	Extra   []Field // further elements, in this order
}

// New returns the error of a code with AWS's own status and message.
func New(c Code) *Error {
	status, message := describe(c)
	return &Error{Code: c, Message: message, Status: status}
}

// Newf is New with a message of its own.
func Newf(c Code, format string, args ...any) *Error {
	e := New(c)
	e.Message = fmt.Sprintf(format, args...)
	return e
}

// With returns a copy of the error with one more element.
func (e *Error) With(name, value string) *Error {
	n := *e
	n.Extra = append(append(make([]Field, 0, len(e.Extra)+1), e.Extra...), Field{name, value})
	return &n
}

// WithInt is With for a number.
func (e *Error) WithInt(name string, value int64) *Error {
	return e.With(name, strconv.FormatInt(value, 10))
}

// Error returns code and message.
func (e *Error) Error() string { return string(e.Code) + ": " + e.Message }

// Is reports whether target is the error's Code.
func (e *Error) Is(target error) bool {
	c, ok := target.(Code)
	return ok && c == e.Code
}

// Field returns the value of the extra element of that name, or "".
func (e *Error) Field(name string) string {
	for _, f := range e.Extra {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

// NotImplementedHeader is the refusal of a header whose meaning the server
// cannot keep, as AWS words it.
func NotImplementedHeader(name, value string) *Error {
	return New(NotImplemented).With("Header", name).With("additionalMessage", value)
}

// PreconditionFailedOn is the 412 that names the condition that did not hold,
// for instance "If-None-Match".
func PreconditionFailedOn(condition string) *Error {
	return New(PreconditionFailed).With("Condition", condition)
}

// BadArgument is InvalidArgument naming the argument and what it held.
func BadArgument(name, value, message string) *Error {
	return Newf(InvalidArgument, "%s", message).With("ArgumentName", name).With("ArgumentValue", value)
}

// AsError finds what to answer for err: the *Error or the Code in its chain,
// RequestTimeout for a body that stopped coming, IncompleteBody for one that
// ended early, ServiceUnavailable for a context that ended, else
// InternalError. It returns nil for nil.
func AsError(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	var c Code
	if errors.As(err, &c) {
		return New(c)
	}
	var tooLarge *http.MaxBytesError
	var timeout interface{ Timeout() bool }
	switch {
	case errors.As(err, &tooLarge):
		return New(EntityTooLarge).WithInt("MaxSizeAllowed", tooLarge.Limit)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return New(IncompleteBody)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return New(ServiceUnavailable)
	case errors.As(err, &timeout) && timeout.Timeout():
		return New(RequestTimeout)
	}
	return New(InternalError)
}

// The request id headers that every response carries.
const (
	HeaderRequestID = "X-Amz-Request-Id"
	HeaderHostID    = "X-Amz-Id-2"
)

// ContentTypeXML is the media type of every document of this package.
const ContentTypeXML = "application/xml"

// WriteError answers a request with an error: status, request id headers and
// the XML document, which HEAD requests and 304 answers do without. err is
// judged by AsError. resource is the path that the request named. Headers
// already set on w are kept, but for those that describe a body.
func WriteError(w http.ResponseWriter, r *http.Request, err error, requestID, hostID, resource string) {
	e := AsError(err)
	if e == nil {
		e = New(InternalError)
	}
	h := w.Header()
	for _, name := range []string{"Content-Length", "Content-Encoding", "Content-Range", "Content-Disposition", "Accept-Ranges", "Cache-Control"} {
		if e.Status != http.StatusNotModified {
			h.Del(name)
		}
	}
	setNonEmpty(h, HeaderRequestID, requestID)
	setNonEmpty(h, HeaderHostID, hostID)
	if region := e.Field("Region"); region != "" {
		h.Set("X-Amz-Bucket-Region", region)
	}
	if e.Status == http.StatusNotModified {
		h.Del("Content-Length")
		h.Del("Content-Type")
		w.WriteHeader(e.Status)
		return
	}
	h.Set("Content-Type", ContentTypeXML)
	if r.Method == http.MethodHead {
		w.WriteHeader(e.Status)
		return
	}
	body := e.AppendXML(nil, requestID, hostID, resource)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(e.Status)
	_, _ = w.Write(body) // the client is gone if this fails: nothing is left to tell it
}

func setNonEmpty(h http.Header, name, value string) {
	if value != "" {
		h.Set(name, value)
	}
}

// AppendXML appends the error document to dst. It serves also where an error
// follows a 200 already sent (CompleteMultipartUpload, CopyObject).
func (e *Error) AppendXML(dst []byte, requestID, hostID, resource string) []byte {
	dst = append(dst, xmlHeader...)
	return append(e.appendElement(dst, requestID, hostID, resource), '\n')
}

func (e *Error) appendElement(dst []byte, requestID, hostID, resource string) []byte {
	dst = append(dst, "<Error>"...)
	dst = appendElement(dst, "Code", string(e.Code))
	dst = appendElement(dst, "Message", e.Message)
	for _, f := range e.Extra {
		dst = appendElement(dst, f.Name, f.Value)
	}
	dst = appendElement(dst, "Resource", resource)
	dst = appendElement(dst, "RequestId", requestID)
	dst = appendElement(dst, "HostId", hostID)
	return append(dst, "</Error>"...)
}
