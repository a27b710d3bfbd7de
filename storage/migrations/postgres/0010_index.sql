-- +goose Up
-- What is asked for often and had no index. Codes and the tokens that came of them: they end with a role, and when a code comes twice.
CREATE INDEX grants_user ON grants (user_id);
CREATE INDEX tokens_grant ON tokens (grant_id);
-- A post that goes takes the notifications about it along.
CREATE INDEX notifications_post ON notifications (post_id);
-- A payment that another one corrects is named by its event.
CREATE INDEX payments_event ON payments (event) WHERE event <> '';

-- +goose Down
DROP INDEX payments_event;
DROP INDEX notifications_post;
DROP INDEX tokens_grant;
DROP INDEX grants_user;
