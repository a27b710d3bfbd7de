package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"planet/activitypub"
	"planet/storage"
)

type agreementCmd struct {
	Set    agreementSetCmd    `cmd:"" help:"Make a text the next version of a co-op's agreement."`
	Show   agreementShowCmd   `cmd:"" help:"Print a co-op's agreement."`
	Accept agreementAcceptCmd `cmd:"" help:"Accept a co-op's agreement, as one of its members."`
}

// maxAgreementFile is more than an agreement may have.
const maxAgreementFile = 1 << 20

type agreementSetCmd struct {
	Coop string `arg:"" help:"Which co-op."`
	File string `arg:"" help:"The file with the text, in UTF-8; - for standard input."`
	By   string `placeholder:"USER" help:"Who does it: an admin (default: the operator)."`
	JSON bool   `help:"Print JSON."`
}

func (agreementSetCmd) Help() string {
	return "All members are asked to accept the new version.\n\nExample: planet coop agreement set bakery agreement.txt"
}

// agreementEntry is an agreement as --json prints one.
type agreementEntry struct {
	Coop    string    `json:"coop"`
	Version int       `json:"version"`
	Text    string    `json:"text"`
	HTML    string    `json:"html"`
	Created time.Time `json:"created"`
}

func (cmd agreementSetCmd) Run(c *app) error {
	text, err := c.readText(cmd.File)
	if err != nil {
		return err
	}
	return c.byWhom(cmd.Coop, cmd.By, func(n *activitypub.Node, by activitypub.By) error {
		a, err := n.SetAgreement(c.ctx, by, text)
		if err != nil {
			return err
		}
		if cmd.JSON {
			return c.json(agreementEntry{by.Actor.Username, a.Version, a.Source, a.Content, a.CreatedAt})
		}
		c.say("the agreement of %s is now version %d; its members are asked to accept it", by.Actor.Username, a.Version)
		return nil
	})
}

// readText reads a text of people from a file, or from standard input for "-".
func (c *app) readText(file string) (string, error) {
	from := c.stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return "", fmt.Errorf("%s cannot be read: %w", file, reason(err))
		}
		defer f.Close()
		from = f
	}
	text, err := io.ReadAll(io.LimitReader(from, maxAgreementFile+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("%s cannot be read: %w", file, reason(err))
	case len(text) > maxAgreementFile:
		return "", fmt.Errorf("%s is too long", file)
	}
	return string(text), nil
}

type agreementShowCmd struct {
	Coop    string `arg:"" help:"Which co-op."`
	Version int    `placeholder:"N" help:"This version (default: the newest)."`
	JSON    bool   `help:"Print JSON."`
}

func (agreementShowCmd) Help() string { return "Example: planet coop agreement show bakery" }

func (cmd agreementShowCmd) Run(c *app) error {
	return c.withDB(func(db *storage.DB) error {
		coop, err := c.coop(db, cmd.Coop)
		if err != nil {
			return err
		}
		a, err := db.Agreement(c.ctx, coop.ID, cmd.Version)
		switch {
		case errors.Is(err, storage.ErrNotFound) && cmd.Version != 0:
			return fmt.Errorf("%s has no version %d of its agreement", coop.Username, cmd.Version)
		case errors.Is(err, storage.ErrNotFound):
			return fmt.Errorf("%s has no agreement", coop.Username)
		case err != nil:
			return err
		}
		if cmd.JSON {
			return c.json(agreementEntry{coop.Username, a.Version, a.Source, a.Content, a.CreatedAt})
		}
		c.say("Version %d of the agreement of %s, set on %s.\n\n%s", a.Version, coop.Username, a.CreatedAt.Format(time.DateOnly), a.Source)
		return nil
	})
}

type agreementAcceptCmd struct {
	Coop    string `arg:"" help:"Which co-op."`
	As      string `required:"" placeholder:"USER" help:"Who accepts it."`
	Version int    `placeholder:"N" help:"The version that she has read; an older one than the newest is refused (default: the newest)."`
}

func (agreementAcceptCmd) Help() string {
	return "Example: planet coop agreement accept bakery --as bo --version 2"
}

func (cmd agreementAcceptCmd) Run(c *app) error {
	return c.byWhom(cmd.Coop, "", func(n *activitypub.Node, by activitypub.By) error {
		who, err := c.asHerself(n, cmd.As)
		if err != nil {
			return err
		}
		read := cmd.Version
		if read == 0 {
			s, err := c.coopSettings(n, by.Actor)
			if err != nil {
				return err
			}
			if read = s.Agreement; read == 0 {
				return fmt.Errorf("%s has no agreement", by.Actor.Username)
			}
		}
		if err := n.AcceptAgreement(c.ctx, who, by.Actor, read); err != nil {
			return err
		}
		c.say("%s accepts version %d of the agreement of %s", who.User.Username, read, by.Actor.Username)
		return nil
	})
}
