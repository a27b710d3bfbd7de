package mastodon

import (
	"errors"
	"net/http"
	"strings"

	"planet/activitypub"
	"planet/storage"
	"planet/web/oauth"
)

// signUp makes a person by an app, where the node lets people sign up: anybody, or those who bring the code or the link of an invitation. The app gets a token of hers.
func (a *API) signUp(c *call) error {
	if a.Signup != "open" && a.Signup != "invite" {
		return &oauth.Error{Status: http.StatusForbidden, Code: "This action is not allowed", Description: "this node takes no new people at the moment"}
	}
	f := c.form
	in := activitypub.NewUser{Username: strings.TrimSpace(f.Text("username")), Email: strings.TrimSpace(f.Text("email")), Password: f.Text("password"), Role: storage.NodeUser}
	a.joining.Lock() // a password takes memory to hash
	defer a.joining.Unlock()
	flaws, err := a.Node.FlawsOf(c.ctx, in)
	if err != nil {
		return err
	}
	if !f.Bool("agreement", false) {
		flaws = append(flaws, activitypub.Flaw{Field: "agreement", Code: "ERR_ACCEPTED", Words: "must be accepted"})
	}
	code := f.Text("invite_code")
	code = code[strings.LastIndexByte(code, '/')+1:] // of a link
	if code == "" && a.Signup == "invite" {
		flaws = append(flaws, activitypub.Flaw{Field: "invite_code", Code: "ERR_BLANK", Words: "can't be blank: this node takes people who were invited"})
	}
	if len(flaws) > 0 {
		return flawed(c, flaws)
	}
	var actor *storage.Actor
	if code == "" {
		_, actor, err = a.Node.CreatePerson(c.ctx, in)
	} else {
		actor, err = a.Node.AcceptInvite(c.ctx, in, oauth.Hash(code), 0)
	}
	var wrong *activitypub.InvalidError
	switch {
	case errors.Is(err, storage.ErrConflict): // somebody was faster
		return flawed(c, []activitypub.Flaw{{Field: "username", Code: "ERR_TAKEN", Words: "has already been taken"}})
	case isNotFound(err) && code != "":
		return flawed(c, []activitypub.Flaw{{Field: "invite_code", Code: "ERR_INVALID", Words: "is no invitation, or it is used up or over"}})
	case errors.As(err, &wrong) && wrong.Field == "agreement": // of the co-op that invites, which she has not seen here
		return flawed(c, []activitypub.Flaw{{Field: "invite_code", Code: "ERR_INVALID", Words: "leads to a co-op with an agreement to read: open the invitation in a browser"}})
	case err != nil:
		return err
	}
	user, err := a.DB.UserByActor(c.ctx, actor.ID)
	if err != nil {
		return err
	}
	token, err := a.OAuth.Issue(c.ctx, c.app.App, user, actor, c.app.Scopes)
	if err != nil {
		return err
	}
	return c.ok(token)
}

// flawed answers with everything that is wrong with a form, by field.
func flawed(c *call, flaws []activitypub.Flaw) error {
	type detail struct {
		Error       string `json:"error"`
		Description string `json:"description"`
	}
	details := map[string][]detail{}
	var words []string
	for _, f := range flaws {
		details[f.Field] = append(details[f.Field], detail{f.Code, f.Words})
		name := strings.ReplaceAll(f.Field, "_", " ")
		words = append(words, strings.ToUpper(name[:1])+name[1:]+" "+f.Words)
	}
	return c.JSON(http.StatusUnprocessableEntity, map[string]any{"error": "Validation failed: " + strings.Join(words, ", "), "details": details})
}
