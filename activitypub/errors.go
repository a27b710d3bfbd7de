package activitypub

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// Problem is a refusal with an HTTP status and a stable code; on ActivityPub routes it becomes
// an RFC 9457 document (FEP-c180).
type Problem struct {
	Status int
	Code   string // a word that programs may rely on
	Detail string // a sentence for people
}

func (p *Problem) Error() string { return p.Detail }

func problem(status int, code, format string, args ...any) *Problem {
	return &Problem{Status: status, Code: code, Detail: fmt.Sprintf(format, args...)}
}

// InvalidError is a refusal of something that a person of this node asked for: which field, and what to do.
type InvalidError struct {
	Field string
	Msg   string
}

func (e *InvalidError) Error() string { return e.Field + ": " + e.Msg }

func invalid(field, format string, args ...any) *InvalidError {
	return &InvalidError{Field: field, Msg: fmt.Sprintf(format, args...)}
}

// WriteProblem answers with an RFC 9457 document.
func WriteProblem(w http.ResponseWriter, p *Problem) {
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "private, no-store") // whether there is nothing may depend on who signed (security.md WEB 260)
	if p.Status == http.StatusServiceUnavailable || p.Status == http.StatusTooManyRequests {
		h.Set("Retry-After", "60")
	}
	if p.Status == http.StatusMethodNotAllowed && h.Get("Allow") == "" {
		h.Set("Allow", http.MethodPost) // of an inbox (RFC 9110 §15.5.6); pages say theirs themselves
	}
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(map[string]any{
		"type": namespace + p.Code, "title": http.StatusText(p.Status), "status": p.Status, "detail": p.Detail,
	})
}
