package storage

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm/clause"
)

// Question is the type of a post that has a Poll.
const Question = "Question"

// PollOption is one answer that may be chosen.
type PollOption struct {
	Name  string `json:"name"`
	Votes int64  `json:"votes"`
}

// Poll is what a post of type Question asks. Of another server's poll the numbers are what that server says.
type Poll struct {
	PostID   ID `gorm:"primaryKey;autoIncrement:false"`
	Multiple bool
	Options  []PollOption `gorm:"serializer:json"`
	Voters   int64
	EndsAt   *time.Time
	ClosedAt *time.Time
	ToldAt   *time.Time // of a poll of this node: when its numbers last went out
}

// Open reports whether votes still count.
func (p *Poll) Open(now time.Time) bool {
	return p.ClosedAt == nil && (p.EndsAt == nil || now.Before(*p.EndsAt))
}

// Vote is one choice of an actor in a poll. There is one row for each choice.
type Vote struct {
	ID        ID `gorm:"primaryKey;autoIncrement:false"`
	IRI       IRI
	PostID    ID
	ActorID   ID
	Choice    int
	CreatedAt time.Time
}

// SavePoll inserts or replaces the poll of a post.
func (db *DB) SavePoll(ctx context.Context, p *Poll) error {
	return db.Transaction(ctx, func(tx *DB) error {
		return translate(tx.q(ctx).Clauses(clause.OnConflict{UpdateAll: true}).Create(p).Error)
	})
}

// PollOf finds the poll of a post, or ErrNotFound.
func (db *DB) PollOf(ctx context.Context, post ID) (*Poll, error) {
	var p Poll
	return &p, translate(db.q(ctx).Where("post_id = ?", post).Take(&p).Error)
}

// VotesBy lists an actor's choices in a poll.
func (db *DB) VotesBy(ctx context.Context, post, actor ID) ([]Vote, error) {
	var vs []Vote
	return vs, translate(db.q(ctx).Where("post_id = ? AND actor_id = ?", post, actor).Order("choice").Find(&vs).Error)
}

// Voters lists the actors of this node who voted in a poll.
func (db *DB) Voters(ctx context.Context, post ID) ([]ID, error) {
	var ids []ID
	return ids, translate(db.q(ctx).Model(&Vote{}).Where("post_id = ? AND actor_id IN (SELECT id FROM actors WHERE domain = '')", post).
		Distinct("actor_id").Order("actor_id").Pluck("actor_id", &ids).Error)
}

// ErrVoted: the poll is closed, the choice does not exist, or the actor has used up her votes.
var ErrVoted = errors.New("this vote does not count")

// CastVote counts one choice of an actor, or says ErrVoted. In a poll with one answer the first vote is the only one.
func (db *DB) CastVote(ctx context.Context, v *Vote) error {
	return db.Transaction(ctx, func(tx *DB) error {
		p, err := tx.PollOf(ctx, v.PostID)
		if err != nil {
			return err
		}
		now := tx.Now().UTC()
		if v.Choice < 0 || v.Choice >= len(p.Options) || !p.Open(now) {
			return ErrVoted
		}
		before, err := tx.VotesBy(ctx, v.PostID, v.ActorID)
		if err != nil {
			return err
		}
		for _, b := range before {
			if !p.Multiple || b.Choice == v.Choice {
				return ErrVoted
			}
		}
		v.ID, v.CreatedAt = tx.NewID(), now
		if err := tx.q(ctx).Create(v).Error; err != nil {
			return translate(err)
		}
		p.Options[v.Choice].Votes++
		if len(before) == 0 {
			p.Voters++
		}
		return tx.SavePoll(ctx, p)
	})
}

// PollsOf reads the polls of several posts.
func (db *DB) PollsOf(ctx context.Context, posts []ID) (map[ID]*Poll, error) {
	var ps []Poll
	if len(posts) > 0 {
		if err := db.q(ctx).Where("post_id IN ?", padded(append([]ID(nil), posts...))).Find(&ps).Error; err != nil {
			return nil, translate(err)
		}
	}
	out := make(map[ID]*Poll, len(ps))
	for i := range ps {
		out[ps[i].PostID] = &ps[i]
	}
	return out, nil
}
