package admin

import (
	"context"
	"net/http"
	"time"
)

// Operator carries out what operators say about nodes. It is safe for concurrent use. What it refuses for good is a
// *RequestError.
type Operator interface {
	// Maintain notes that somebody works on a node for a while, or does not any more. It has taken effect everywhere when the
	// status of the node no longer shows ranges led by it, a few seconds later.
	Maintain(ctx context.Context, q MaintenanceRequest) error
}

// MaintenanceMax is the longest time that a MaintenanceRequest may name.
const MaintenanceMax = 30 * 24 * time.Hour

// MaintenanceRequest says, by POST, that somebody works on a node.
type MaintenanceRequest struct {
	Node       string `json:"node"`        // name or id
	ForSeconds int64  `json:"for_seconds"` // at most MaintenanceMax; zero: nobody does any more
}

func (a *api) maintain(w http.ResponseWriter, r *http.Request) {
	var q MaintenanceRequest
	if !a.read(w, r, &q) {
		return
	}
	if q.Node == "" || q.ForSeconds < 0 || q.ForSeconds > int64(MaintenanceMax/time.Second) {
		a.answer(w, r, nil, &RequestError{Invalid, "Want a node, and a time of at most 30 days."})
		return
	}
	a.answer(w, r, struct{}{}, a.Operator.Maintain(r.Context(), q))
}
