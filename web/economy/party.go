package economy

import (
	"context"
	"errors"

	"planet/activitypub"
	"planet/storage"
)

// Party is a person or co-op, here or elsewhere.
type Party struct {
	ID     *string `json:"id" doc:"On this node, also in Mastodon's API; null for somebody of whom no more than the address is known."`
	Handle string  `json:"handle" doc:"@name@host: what people type. Letters of other scripts in the host are written as they are sent (punycode)."`
	Name   string  `json:"name"`
	Kind   string  `json:"kind" enum:"person,coop,service"`
	IRI    string  `json:"iri" doc:"Who it is, for servers."`
	URL    string  `json:"url"`
	Avatar string  `json:"avatar"`
}

func (a *API) partyOf(x *storage.Actor) Party {
	id := x.ID.String()
	p := Party{ID: &id, Handle: x.Handle(a.Node.Host), Name: x.Name, Kind: "service", IRI: string(x.IRI), URL: x.URL, Avatar: a.Node.MediaURL(x.IconURL)}
	switch x.Type {
	case storage.Person:
		p.Kind = "person"
	case storage.Organization, "Group":
		p.Kind = "coop"
	}
	if p.Name == "" {
		p.Name = x.Username
	}
	if p.URL == "" {
		p.URL = p.IRI
	}
	return p
}

// party is somebody by her id, or what there is of somebody who is forgotten.
func (a *API) party(c *call, iri storage.IRI) (Party, error) {
	if p, named := c.parties[iri]; named {
		return p, nil
	}
	p := Party{Handle: string(iri), Name: string(iri), Kind: "service", IRI: string(iri), URL: string(iri)}
	x, err := a.DB.ActorByIRI(c.ctx, iri)
	switch {
	case err == nil:
		p = a.partyOf(x)
	case !errors.Is(err, storage.ErrNotFound):
		return p, err
	}
	c.parties[iri] = p
	return p, nil
}

// resolve finds who is meant by a handle or an address.
func (a *API) resolve(ctx context.Context, field, whom string) (*storage.Actor, error) {
	if whom == "" {
		return nil, &activitypub.InvalidError{Field: field, Msg: "whom? Say a handle such as @bakery@coop.example"}
	}
	x, err := a.Node.Resolve(ctx, whom)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, &activitypub.InvalidError{Field: field, Msg: "there is nobody of that name: write a handle such as @bakery@coop.example"}
	}
	return x, err
}

// coopAt finds the co-op of this node that the address names.
func (a *API) coopAt(c *call) (*storage.Actor, error) {
	x, err := a.DB.LocalActor(c.ctx, c.Param("name"))
	if err == nil && (x.Type != storage.Organization || x.DeletedAt != nil || x.SuspendedAt != nil) {
		err = storage.ErrNotFound
	}
	return x, err
}
