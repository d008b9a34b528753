package admin

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
)

// RequestError says why what an operator asks for can't be done: NotFound, Conflict or Invalid. Its text is shown to the operator.
type RequestError struct {
	Kind RequestErrorKind
	Text string
}

// RequestErrorKind is a kind of RequestError.
type RequestErrorKind int

// The kinds.
const (
	Invalid  RequestErrorKind = iota // the request makes no sense
	NotFound                         // there is no such range, bucket or node
	Conflict                         // it can't be done as things are
)

// Error returns the text.
func (e *RequestError) Error() string { return e.Text }

// requestMax bounds the body of a request: keys of 1,024 bytes, each of which may be six in JSON.
const requestMax = 16<<10 + PresplitKeysMax*6<<10

// read decodes the body of a request, or refuses it.
func (a *api) read(w http.ResponseWriter, r *http.Request, q any) bool {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, requestMax))
	if err == nil {
		err = json.Unmarshal(body, q)
	}
	if err != nil {
		a.answer(w, r, nil, &RequestError{Invalid, "Want a JSON object that says what to do."})
	}
	return err == nil
}

// answer writes what was returned for a request.
func (a *api) answer(w http.ResponseWriter, r *http.Request, v any, err error) {
	var refused *RequestError
	switch {
	case err == nil:
		a.write(w, r, http.StatusOK, v)
	case !errors.As(err, &refused):
		a.log.WarnContext(r.Context(), "an operator's request cannot be carried out", "path", r.URL.Path, "err", err)
		a.write(w, r, http.StatusServiceUnavailable, problem{"Unavailable", "This cannot be done now."})
	case refused.Kind == NotFound:
		a.write(w, r, http.StatusNotFound, problem{"NotFound", refused.Text})
	case refused.Kind == Conflict:
		a.write(w, r, http.StatusConflict, problem{"Conflict", refused.Text})
	default:
		a.write(w, r, http.StatusBadRequest, problem{"InvalidRequest", refused.Text})
	}
}
