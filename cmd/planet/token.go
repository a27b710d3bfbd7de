package main

import (
	"crypto/rand"
	"fmt"
	"strings"

	"planet/storage"
	"planet/web/oauth"
)

type tokenCmd struct {
	Create tokenCreateCmd `cmd:"" help:"Make an access token and print it, alone."`
}

type tokenCreateCmd struct {
	User   string `arg:"" help:"The person whose token it is."`
	As     string `placeholder:"COOP" help:"Let it act as this co-op, in which she has a role; without it, as herself."`
	Scopes string `required:"" help:"What it may do, such as \"read write follow\"."`
	JSON   bool   `help:"Print JSON."`
}

func (tokenCreateCmd) Help() string {
	return "Example: TOKEN=$(planet token create ana --as bakery --scopes \"read write follow\")"
}

func (cmd tokenCreateCmd) Run(c *app) error {
	asked, known := oauth.ParseScopes(cmd.Scopes)
	if !known || len(asked) == 0 {
		return usageError{fmt.Sprintf("--scopes %q: want some of read, write, follow, push, profile and payments, or parts such as write:statuses", cmd.Scopes)}
	}
	return c.withDB(func(db *storage.DB) error {
		token := newSecret()
		t := &storage.Token{Hash: oauth.Hash(token), Scopes: asked.String()}
		err := db.Transaction(c.ctx, func(tx *storage.DB) error {
			u, err := c.user(tx, cmd.User)
			if err != nil {
				return err
			}
			t.UserID, t.ActorID = u.ID, u.ActorID
			if cmd.As != "" && !strings.EqualFold(cmd.As, u.Username) {
				a, err := c.coop(tx, cmd.As)
				if err != nil {
					return err
				}
				roles, err := tx.RolesIn(c.ctx, u.ID, a.ID)
				if err != nil {
					return err
				}
				if len(roles) == 0 {
					return fmt.Errorf("%s has no role in %s", u.Username, a.Username)
				}
				t.ActorID = a.ID
			}
			if err := tx.SaveToken(c.ctx, t); err != nil {
				return err
			}
			return tx.RecordAct(c.ctx, &storage.Act{ActorID: t.ActorID, Kind: "token.create", Detail: u.Username + ": " + t.Scopes})
		})
		if err != nil {
			return err
		}
		if cmd.JSON {
			return c.json(struct {
				ID     storage.ID `json:"id"`
				Token  string     `json:"token"`
				Scopes string     `json:"scopes"`
			}{t.ID, token, t.Scopes})
		}
		c.say("%s", token)
		return nil
	})
}

// newSecret makes a word of 130 random bits for links and tokens.
func newSecret() string { return strings.ToLower(rand.Text()) }
