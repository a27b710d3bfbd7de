package activitypub

import (
	"context"
	"errors"
	"slices"
	"strings"

	"planet/storage"
)

// Flaw is what is wrong with one field of who wants to sign up, in the codes of Mastodon's API and in words.
type Flaw struct{ Field, Code, Words string }

// FlawsOf lists everything that is wrong with who wants to sign up; CreatePerson and AcceptInvite would say the first of it alone.
func (n *Node) FlawsOf(ctx context.Context, in NewUser) (fs []Flaw, err error) {
	add := func(field, code, words string) { fs = append(fs, Flaw{field, code, words}) }
	name := strings.ToLower(strings.TrimSpace(in.Username))
	switch {
	case name == "":
		add("username", "ERR_BLANK", "can't be blank")
	case slices.Contains(reserved, name):
		add("username", "ERR_RESERVED", "is reserved for the node")
	case checkName(name) != nil:
		add("username", "ERR_INVALID", "must have 1 to 30 of the letters a-z, digits and _")
	default:
		if err := n.freeName(ctx, n.DB, name); errors.Is(err, storage.ErrConflict) {
			add("username", "ERR_TAKEN", "has already been taken")
		} else if err != nil {
			return nil, err
		}
	}
	switch {
	case in.Email == "": // this node needs none
	case !plausibleEmail(in.Email):
		add("email", "ERR_INVALID", "is no e-mail address")
	default:
		if _, err := n.DB.UserByEmail(ctx, in.Email); err == nil {
			add("email", "ERR_TAKEN", "has already been taken")
		} else if !errors.Is(err, storage.ErrNotFound) {
			return nil, err
		}
	}
	if in.Password == "" {
		add("password", "ERR_BLANK", "can't be blank")
	} else if err := storage.WeakPassword(in.Password); err != nil {
		code := "ERR_TOO_SHORT"
		if len(in.Password) > 100 {
			code = "ERR_TOO_LONG"
		}
		add("password", code, "cannot be used: "+err.Error())
	}
	return fs, nil
}
