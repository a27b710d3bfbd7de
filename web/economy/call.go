package economy

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"planet/activitypub"
	"planet/storage"
)

// maxKey bounds the key of an app.
const maxKey = 150

// readKey reads the Idempotency-Key.
func (c *call) readKey() error {
	values := c.Request().Header.Values("Idempotency-Key")
	if len(values) != 1 || strings.TrimSpace(values[0]) == "" {
		return &activitypub.Problem{Status: http.StatusBadRequest, Code: "idempotency_key",
			Detail: "Send one header Idempotency-Key with a word of your own, such as a UUID: the same request under the same key is done once, however often it is sent."}
	}
	if c.key = values[0]; len(c.key) > maxKey || !utf8.ValidString(c.key) || strings.ContainsFunc(c.key, unicode.IsControl) {
		return &activitypub.Problem{Status: http.StatusBadRequest, Code: "idempotency_key", Detail: "The Idempotency-Key has to be at most 150 bytes of plain text."}
	}
	return nil
}

// begin notes what is asked for under the key: in is the body as it was read. The same key for something else is refused, for ever.
func (a *API) begin(c *call, in any) error {
	raw, err := json.Marshal(in)
	if err != nil {
		return err
	}
	r := c.Request()
	sum := sha256.Sum256([]byte(r.Method + "\n" + strings.TrimSuffix(r.URL.Path, "/") + "\n" + string(raw)))
	c.call, err = a.DB.BeginCall(c.ctx, c.who.Actor.ID, c.key, sum[:])
	if errors.Is(err, storage.ErrConflict) {
		return &activitypub.Problem{Status: http.StatusConflict, Code: "idempotency_mismatch", Detail: "This Idempotency-Key was used for something else: take a new one."}
	}
	return err
}

// native is the key of what the node itself does once: orders and payments. The command line has keys of its own.
func (c *call) native() string { return "api:" + c.key }

// doOnce does what is asked for, unless it was done before; then again says how that stands now. In the transaction that does it the key is marked (activitypub.By.Call).
func (a *API) doOnce(c *call, in any, do func(by activitypub.By) (any, error), again func(object storage.IRI) (any, error)) (any, error) {
	if err := a.begin(c, in); err != nil {
		return nil, err
	}
	if c.call.Done {
		return again(c.call.Object)
	}
	out, err := do(c.by())
	if errors.Is(err, storage.ErrDone) {
		if err := a.begin(c, in); err != nil {
			return nil, err
		}
		return again(c.call.Object)
	}
	return out, err
}

// doNatively is for what the node itself does once under the key.
func (a *API) doNatively(c *call, in any, do func(by activitypub.By, key string) (any, error)) (any, error) {
	if err := a.begin(c, in); err != nil {
		return nil, err
	}
	by := c.by()
	by.Call = nil
	return do(by, c.native())
}
