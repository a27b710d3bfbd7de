package activitypub

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"planet/storage"
)

// maxAgreementRunes bounds an agreement: some forty pages.
const maxAgreementRunes = 100_000

// SetAgreement makes a text the next version of what the co-op by.Actor asks of its members. All of them are asked to accept it; who has not
// stays a member.
func (n *Node) SetAgreement(ctx context.Context, by By, text string) (*storage.Agreement, error) {
	if !utf8.ValidString(text) {
		return nil, invalid("agreement", "it is not plain text in UTF-8")
	}
	text = strings.TrimSpace(norm.NFC.String(typed(text)))
	switch count := utf8.RuneCountInString(text); {
	case count == 0:
		return nil, invalid("agreement", "it is empty")
	case count > maxAgreementRunes:
		return nil, invalid("agreement", "at most %d characters, this has %d", maxAgreementRunes, count)
	}
	sum := sha256.Sum256([]byte(text))
	a := &storage.Agreement{CoopID: by.Actor.ID, Source: text}
	a.Content, _ = renderText(text, nil, n.Origin)
	if by.User != nil {
		a.UserID = by.User.ID
	}
	err := n.inCoop(ctx, by, "agreement", func(tx *storage.DB, _ *storage.Coop) error {
		switch old, err := tx.Agreement(ctx, by.Actor.ID, 0); {
		case err == nil && old.Source == text:
			return problem(http.StatusConflict, "agreement", "version %d says the same", old.Version)
		case err != nil && !errors.Is(err, storage.ErrNotFound):
			return err
		}
		if err := tx.AddAgreement(ctx, a); err != nil {
			return err
		}
		err := n.audit(ctx, tx, by, by.Actor, change{act: "agreement.set", subject: by.Actor.IRI, after: map[string]any{"version": a.Version, "sha256": hex.EncodeToString(sum[:])}})
		if err != nil {
			return err
		}
		members, err := tx.Holders(ctx, by.Actor.ID, storage.Roles...)
		if err != nil {
			return err
		}
		for _, id := range members {
			u, err := tx.UserByID(ctx, id)
			if err != nil {
				return err
			}
			if err := n.askToAccept(ctx, tx, by.Actor, u); err != nil {
				return err
			}
		}
		return nil
	})
	return a, err
}

// askToAccept tells a member that there is an agreement which she has not accepted, if so. She is told anew for each version.
func (n *Node) askToAccept(ctx context.Context, tx *storage.DB, coop *storage.Actor, u *storage.User) error {
	a, err := tx.Agreement(ctx, coop.ID, 0)
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	accepted, err := tx.Accepted(ctx, coop.ID, u.ID)
	if err != nil || accepted == a.Version {
		return err
	}
	if err := tx.Untell(ctx, u.ActorID, "agreement", coop.ID); err != nil {
		return err
	}
	return n.tell(ctx, tx, []storage.ID{u.ActorID}, "agreement", coop, 0)
}

// AcceptAgreement keeps that the person by.Actor, a member of the co-op, accepts the version of its agreement that she has read. An older one than
// the newest is refused.
func (n *Node) AcceptAgreement(ctx context.Context, by By, coop *storage.Actor, version int) error {
	if version < 1 {
		return invalid("agreement", "say which version you have read")
	}
	return n.DB.Transaction(ctx, func(tx *storage.DB) error {
		if _, err := lockCoop(ctx, tx, coop); err != nil {
			return err
		}
		u, err := n.self(ctx, tx, by)
		if err != nil {
			return err
		}
		roles, err := tx.RolesIn(ctx, u.ID, coop.ID)
		if err != nil {
			return err
		}
		if len(roles) == 0 {
			return problem(http.StatusForbidden, "members-only", "%s is no member of %s: ask to join, with the version that you accept", u.Username, coop.Username)
		}
		return n.accept(ctx, tx, by, coop, u, version)
	})
}

// accept keeps that somebody accepts the version that she has read, in a transaction that has locked the co-op. 0: she has read none, which is
// good where there is none.
func (n *Node) accept(ctx context.Context, tx *storage.DB, by By, coop *storage.Actor, u *storage.User, version int) error {
	a, err := tx.Agreement(ctx, coop.ID, 0)
	switch {
	case errors.Is(err, storage.ErrNotFound) && version == 0:
		return nil
	case errors.Is(err, storage.ErrNotFound):
		return invalid("agreement", "%s has no agreement", coop.Username)
	case err != nil:
		return err
	case version == 0:
		return invalid("agreement", "%s asks its members to accept its agreement: read version %d, and say that you accept it", coop.Username, a.Version)
	case version > a.Version || version < 0:
		return invalid("agreement", "%s has no version %d of its agreement: the newest is %d", coop.Username, version, a.Version)
	case version < a.Version:
		return problem(http.StatusConflict, "agreement", "the agreement of %s has changed since version %d: read version %d, and accept that one", coop.Username, version, a.Version)
	}
	fresh, err := tx.AcceptAgreement(ctx, &storage.Acceptance{CoopID: coop.ID, Version: version, UserID: u.ID})
	if err != nil || !fresh {
		return err
	}
	if err := tx.Untell(ctx, u.ActorID, "agreement", coop.ID); err != nil {
		return err
	}
	return record(ctx, tx, by.as(coop), "agreement.accept", by.Actor.IRI)
}
