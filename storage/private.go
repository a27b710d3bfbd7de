package storage

import "context"

// ForgetPrivate forgets what an actor that is gone kept for itself: nobody else ever saw it.
func (db *DB) ForgetPrivate(ctx context.Context, actor ID) error {
	return db.Transaction(ctx, func(tx *DB) error {
		for _, row := range []any{&Scheduled{}, &Conversation{}, &DomainBlock{}, &announcementReader{}, &announcementReaction{}, &Marker{}, &accountNote{}, &FollowedTag{}, &FollowWish{},
			&mutedConversation{}, &idempotencyKey{}} {
			if err := tx.q(ctx).Where("actor_id = ?", actor).Delete(row).Error; err != nil {
				return translate(err)
			}
		}
		lists, filters := tx.q(ctx).Model(&List{}).Select("id").Where("actor_id = ?", actor), tx.q(ctx).Model(&Filter{}).Select("id").Where("actor_id = ?", actor)
		if err := tx.q(ctx).Where("list_id IN (?)", lists).Delete(&listMember{}).Error; err != nil {
			return translate(err)
		}
		if err := tx.q(ctx).Where("actor_id = ?", actor).Delete(&List{}).Error; err != nil {
			return translate(err)
		}
		for _, row := range []any{&FilterKeyword{}, &FilterPost{}} {
			if err := tx.q(ctx).Where("filter_id IN (?)", filters).Delete(row).Error; err != nil {
				return translate(err)
			}
		}
		return translate(tx.q(ctx).Where("actor_id = ?", actor).Delete(&Filter{}).Error)
	})
}
