package web

import (
	"context"
	"errors"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"planet/activitypub"
	"planet/ledger"
	"planet/storage"
	"planet/web/economy"
	"planet/web/oauth"
)

// problemOf is the table from errors to answers. What is not in it is a fault of ours: a 500 that says nothing of its cause.
func problemOf(err error) *activitypub.Problem {
	var (
		problem *activitypub.Problem
		invalid *activitypub.InvalidError
		limit   *limitError
		tooLong *http.MaxBytesError
		http_   *echo.HTTPError
		refused *oauth.Error
		amount  *ledger.AmountError
		unpaid  *activitypub.RefusedError
		denied  *ledger.RefusedError
	)
	switch {
	case errors.As(err, &problem):
		return problem
	case errors.As(err, &unpaid) && unpaid.Payment != nil:
		return &activitypub.Problem{Status: statusOfRefusal(unpaid.Payment.Reason), Code: unpaid.Payment.Reason, Detail: unpaid.Payment.Words}
	case errors.As(err, &denied):
		code := activitypub.CodeOf(denied.Result)
		return &activitypub.Problem{Status: statusOfRefusal(code), Code: code, Detail: sentence(denied.Error())}
	case errors.As(err, &amount):
		return &activitypub.Problem{Status: http.StatusUnprocessableEntity, Code: "bad_amount", Detail: sentence(amount.Error())}
	case errors.Is(err, storage.ErrFrozen), errors.Is(err, storage.ErrClock):
		return &activitypub.Problem{Status: http.StatusServiceUnavailable, Code: "frozen", Detail: "This currency takes no payments now. Try again later."}
	case errors.As(err, &refused):
		return &activitypub.Problem{Status: refused.Status, Code: refused.Code, Detail: refused.Description}
	case errors.Is(err, oauth.ErrForm):
		return &activitypub.Problem{Status: http.StatusBadRequest, Code: "form", Detail: "The body of the request could not be read."}
	case errors.As(err, &invalid):
		return &activitypub.Problem{Status: http.StatusUnprocessableEntity, Code: "invalid", Detail: invalid.Error()}
	case errors.As(err, &limit):
		return &activitypub.Problem{Status: http.StatusTooManyRequests, Code: "rate-limit", Detail: "You ask faster than this node answers. Wait a little, then try again."}
	case errors.Is(err, storage.ErrNotFound):
		return notFound()
	case errors.Is(err, storage.ErrConflict):
		return &activitypub.Problem{Status: http.StatusConflict, Code: "conflict", Detail: "Something else has this name or place already."}
	case errors.As(err, &tooLong):
		return &activitypub.Problem{Status: http.StatusRequestEntityTooLarge, Code: "too-large", Detail: "That is more than this node takes at once."}
	case errors.Is(err, storage.ErrBusy), errors.Is(err, context.DeadlineExceeded):
		return &activitypub.Problem{Status: http.StatusServiceUnavailable, Code: "unavailable", Detail: "This could not be done in time. Try again."}
	case errors.As(err, &http_):
		return problemOfStatus(http_.Code)
	default:
		return &activitypub.Problem{Status: http.StatusInternalServerError, Code: "internal", Detail: "Something went wrong on this node. The people who run it can find it in their log."}
	}
}

// statusOfRefusal is how a refusal of a ledger is told over HTTP: 409 when the same could have been done before, or was.
func statusOfRefusal(code string) int {
	switch code {
	case "idempotency_mismatch", "already_settled", "not_pending", "cancelled":
		return http.StatusConflict
	}
	return http.StatusUnprocessableEntity
}

// sentence begins with a capital and ends with a full stop.
func sentence(words string) string {
	if words == "" || strings.HasSuffix(words, ".") {
		return words
	}
	return strings.ToUpper(words[:1]) + words[1:] + "."
}

func notFound() *activitypub.Problem {
	return &activitypub.Problem{Status: http.StatusNotFound, Code: "not-found", Detail: "There is nothing here, or nothing that you may see."}
}

// problemOfStatus words what echo answers of its own accord.
func problemOfStatus(status int) *activitypub.Problem {
	switch status {
	case http.StatusNotFound:
		return notFound()
	case http.StatusMethodNotAllowed:
		return &activitypub.Problem{Status: status, Code: "method", Detail: "This address cannot be used in this way."}
	case http.StatusForbidden:
		return &activitypub.Problem{Status: status, Code: "forbidden", Detail: "This form was not sent from this node's own page. Open the page again and send it from there."}
	default:
		return &activitypub.Problem{Status: status, Code: "http", Detail: http.StatusText(status)}
	}
}

// fail answers a request with its error, once: as a page to people, as an RFC 9457 document to servers, and in the words of
// the Mastodon API below /api and /oauth.
func (s *Server) fail(err error, c echo.Context) {
	r := c.Request()
	if c.Response().Committed {
		if !errors.Is(err, errPanic) {
			s.Log.Warn("the answer broke off", "route", c.Path(), "err", err)
		}
		return
	}
	p := problemOf(err)
	api := strings.HasPrefix(r.URL.Path, "/api/") || strings.HasPrefix(r.URL.Path, "/oauth/") && c.Path() != "/oauth/authorize"
	if p.Status >= 500 && !errors.Is(err, errPanic) && !errors.Is(err, storage.ErrBusy) && !errors.Is(err, errStopping) && r.Context().Err() == nil {
		s.Log.Error("request failed", "method", r.Method, "route", c.Path(), "err", err)
	}
	h := c.Response().Header()
	h.Set("Cache-Control", "no-store")
	h.Del("Link")
	var limit *limitError
	retry := "60"
	if errors.As(err, &limit) {
		retry = strconv.Itoa(int(math.Ceil(limit.wait.Seconds())))
	}
	switch {
	case strings.HasPrefix(r.URL.Path, "/api/planet/"):
		s.retryAfter(h, p, retry)
		_ = c.JSON(p.Status, wordsForPrograms(err, p))
	case api:
		s.retryAfter(h, p, retry)
		_ = c.JSON(p.Status, wordsForApps(c, err, p))
	case s.readsDocuments(c):
		activitypub.WriteProblem(c.Response(), p)
	default:
		s.retryAfter(h, p, retry)
		if err := s.pages.Error(c, p.Status, p.Detail); err != nil {
			s.Log.Error("error page", "err", err)
			_ = c.String(p.Status, p.Detail+"\n")
		}
	}
}

// wordsForPrograms is an error of the API of this node.
func wordsForPrograms(err error, p *activitypub.Problem) economy.Problem {
	var (
		invalid *activitypub.InvalidError
		refused *oauth.Error
		unpaid  *activitypub.RefusedError
	)
	out := economy.Problem{Error: p.Detail, Code: p.Code}
	switch {
	case errors.As(err, &refused):
		out.Error, out.Code = refused.Code, map[int]string{http.StatusUnauthorized: "token", http.StatusForbidden: "scope"}[refused.Status]
		if out.Code == "" {
			out.Code = "token"
		}
		if refused.Description != "" {
			out.Error += ": " + refused.Description
		}
	case errors.As(err, &invalid):
		out.Error, out.Field = invalid.Msg, invalid.Field
	case errors.As(err, &unpaid):
		out.Payment = unpaid.Payment.ID.String()
	}
	return out
}

// wordsForApps is an error in the words of Mastodon, which apps show to people and some of them compare.
func wordsForApps(c echo.Context, err error, p *activitypub.Problem) map[string]string {
	var refused *oauth.Error
	switch {
	case errors.As(err, &refused):
		out := map[string]string{"error": refused.Code}
		if refused.Description != "" {
			out["error_description"] = refused.Description
		}
		return out
	case p.Status == http.StatusNotFound && c.Path() == "" || errors.Is(err, echo.ErrNotFound):
		return map[string]string{"error": "Not found"}
	case p.Status == http.StatusNotFound:
		return map[string]string{"error": "Record not found"}
	case p.Status == http.StatusUnprocessableEntity:
		return map[string]string{"error": "Validation failed: " + p.Detail}
	}
	return map[string]string{"error": p.Detail}
}

func (s *Server) retryAfter(h http.Header, p *activitypub.Problem, seconds string) {
	if p.Status == http.StatusTooManyRequests || p.Status == http.StatusServiceUnavailable {
		h.Set("Retry-After", seconds)
	}
}

// readsDocuments reports whether a program asks: by the address, or by what it accepts.
func (s *Server) readsDocuments(c echo.Context) bool {
	a := accept(c.Request())
	return slices.Contains(documents, c.Path()) || activitypub.WantsActivity(a) ||
		strings.Contains(a, "json") && !strings.Contains(a, "text/html")
}

// accept is the Accept header, all of its lines.
func accept(r *http.Request) string { return strings.Join(r.Header.Values("Accept"), ",") }
