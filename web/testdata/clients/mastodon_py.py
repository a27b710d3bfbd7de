"""Mastodon.py against a node: signs in by the browser flow, and asserts what it parsed.

Arguments: the node's origin, a person's name, her password, the handle of somebody to follow. Prints OK at the end.
"""
import datetime
import os
import queue
import re
import struct
import sys
import threading
import time
import zlib
from http.server import BaseHTTPRequestHandler, HTTPServer

import requests
import mastodon.compat
from mastodon import Mastodon, StreamListener, MastodonAPIError, MastodonNotFoundError, MastodonUnauthorizedError

origin, name, password, other = sys.argv[1:5]
OOB, SCOPES = "urn:ietf:wg:oauth:2.0:oob", ["read", "write", "follow", "push"]


def png(width, height):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + b"".join(bytes([x * 5 % 256, y * 7 % 256, 90]) for x in range(width)) for y in range(height))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


client_id, client_secret = Mastodon.create_app("Mastodon.py", scopes=SCOPES, redirect_uris=OOB, api_base_url=origin)
m = Mastodon(client_id=client_id, client_secret=client_secret, api_base_url=origin)
browser = requests.Session()
page = browser.get(m.auth_request_url(redirect_uris=OOB, scopes=SCOPES))
page = browser.post(page.url, data={"do": "signin", "name": name, "password": password}, headers={"Origin": origin})
ticket = re.search(r'name="ticket" value="([^"]+)"', page.text).group(1)
voice = re.search(r'name="as" id="as-(\d+)"', page.text).group(1)
page = browser.post(page.url, data={"do": "allow", "ticket": ticket, "as": voice}, headers={"Origin": origin})
code = re.search(r'id="code">([^<]+)<', page.text).group(1)
m.log_in(code=code, redirect_uri=OOB, scopes=SCOPES)

# The node and oneself.
node = m.instance()
assert node.uri == origin.split("//")[1] and node.configuration.statuses.max_characters == 5000, node
assert m.retrieve_mastodon_version() == "4.2.0", m.mastodon_major
me = m.account_verify_credentials()
assert me.acct == name and me.source.privacy == "public" and me.avatar.startswith(origin), me
assert m.account_update_credentials(display_name="Nuria B", note="treasurer", fields=[("Shop", "https://shop.example/"), ("Bakes", "rye & <wheat>")]).fields[0].name == "Shop"
lines = m.account_verify_credentials()
assert lines.fields[1].value == "rye &amp; &lt;wheat&gt;" and lines.source.fields[1].value == "rye & <wheat>", lines
assert m.app_verify_credentials().name == "Mastodon.py"
assert m.preferences()["posting:default:visibility"] == "public"

# Posts: written, read, changed, answered, taken away.
post = m.status_post("Hello #bread", visibility="unlisted", spoiler_text="food", sensitive=True, language="en")
assert post.visibility == "unlisted" and post.spoiler_text == "food" and post.sensitive and post.language == "en" and post.tags[0].name == "bread", post
assert m.status(post).uri == post.uri and m.status_source(post).text == "Hello #bread"
edited = m.status_update(post, "Hello #rye")
assert "rye" in edited.content and edited.edited_at is not None
first, second = m.status_history(post)
assert "bread" in first.content and first.spoiler_text == "food" and "rye" in second.content and second.created_at == edited.edited_at and first.account.id == me.id, (first, second)
answer = m.status_post("and an answer", in_reply_to_id=post)
assert answer.in_reply_to_id == post.id and answer.in_reply_to_account_id == me.id
context = m.status_context(post)
assert [s.id for s in context.descendants] == [answer.id] and [s.id for s in m.status_context(answer).ancestors] == [post.id]
picture = m.media_post(png(40, 30), mime_type="image/png", description="brown", focus=(0.5, -0.5))
assert picture.type == "image" and picture.meta.original.width == 40 and picture.description == "brown" and picture.blurhash, picture
assert m.media_update(picture, description="brown bread").description == "brown bread"
shown = m.status_post("with a picture", media_ids=[picture])
assert shown.media_attachments[0].description == "brown bread" and requests.get(shown.media_attachments[0].url).headers["Content-Type"] == "image/png"
asked = m.status_post("Rye or wheat?", poll=m.make_poll(["rye", "wheat"], 3600, multiple=True))
assert [o.title for o in asked.poll.options] == ["rye", "wheat"] and asked.poll.multiple and not asked.poll.expired and not asked.poll.voted
once, again = (m.status_post("only once", idempotency_key="the same") for _ in range(2))
assert once.id == again.id
gone = m.status_delete(answer)
assert gone.text == "and an answer"
try:
    m.status(answer)
    raise AssertionError("a post that was deleted is there")
except MastodonNotFoundError as error:
    assert "Record not found" in str(error), error
try:
    m.status_post("")
    raise AssertionError("an empty post was taken")
except MastodonAPIError as error:
    assert "Text can't be blank" in str(error), error

# What one does with posts.
assert m.status_favourite(post).favourited and m.status(post).favourites_count == 1 and m.favourites()[0].id == post.id
assert m.status_favourited_by(post)[0].id == me.id and not m.status_unfavourite(post).favourited
assert m.status_bookmark(post).bookmarked and m.bookmarks()[0].id == post.id and not m.status_unbookmark(post).bookmarked
boost = m.status_reblog(post)
assert boost.reblog.id == post.id and boost.reblogged and boost.reblog.reblogged and m.status_reblogged_by(post)[0].id == me.id
assert not m.status_unreblog(post).reblogged
assert m.status_pin(shown).pinned and [s.id for s in m.account_statuses(me, pinned=True)] == [shown.id] and not m.status_unpin(shown).pinned

# Lists, page by page, both ways.
ids = [s.id for s in m.timeline_home()]
assert ids == sorted(ids, reverse=True) and post.id in ids and answer.id not in ids
first = m.timeline_home(limit=2)
second = m.fetch_next(first)
assert [s.id for s in first] + [s.id for s in second] == ids[:4], (ids, first, second)
assert [s.id for s in m.fetch_previous(second)] == ids[:2]
assert [s.id for s in m.timeline_home(since_id=ids[2])] == ids[:2] and [s.id for s in m.timeline_home(min_id=ids[2], limit=1)] == [ids[1]]
assert [s.id for s in m.timeline_home(max_id=ids[0], limit=1)] == [ids[1]]
assert shown.id in [s.id for s in m.timeline_local()] and post.id not in [s.id for s in m.timeline_public()]
assert [s.id for s in m.account_statuses(me, only_media=True)] == [shown.id]
m.status_post("Bread again #bread")
assert m.timeline_hashtag("bread")[0].tags[0].name == "bread"

# Others.
them = m.search(other, resolve=True).accounts[0]
assert "@" + them.acct in ("@" + other.lstrip("@"), "@" + other.lstrip("@").split("@")[0]), them
assert m.account_lookup(them.acct).id == them.id and m.account(them).uri == them.uri
relation = m.account_follow(them)
assert relation.following and not relation.followed_by and [a.id for a in m.account_following(me)] == [them.id]
assert m.account_relationships([me.id, them.id])[1].following and m.account_note_set(them, "the baker").note == "the baker"
assert m.account_mute(them).muting and [a.id for a in m.mutes()] == [them.id] and not m.account_unmute(them).muting
assert m.account_block(them).blocking and [a.id for a in m.blocks()] == [them.id] and not m.account_unblock(them).blocking
assert not m.account_unfollow(them).following
assert m.search(shown.url, resolve=True).statuses[0].id == shown.id and m.search("rye").hashtags[0].name == "rye"
assert m.report(them, comment="loud").id

# Lists, filters, hashtags, silence.
m.account_follow(them, reblogs=False, notify=True)
assert m.account_relationships([them.id])[0].notifying and not m.account_relationships([them.id])[0].showing_reblogs
shelf = m.list_create("Bakers")
m.list_accounts_add(shelf, [them])
assert [x.title for x in m.lists()] == ["Bakers"] and [a.id for a in m.list_accounts(shelf)] == [them.id] and m.account_lists(them)[0].id == shelf.id
assert m.list_update(shelf, "Millers").title == "Millers" and m.list(shelf).title == "Millers" and m.timeline_list(shelf) == []
m.list_accounts_delete(shelf, [them])
assert m.list_accounts(shelf) == []
m.list_delete(shelf)
m.account_unfollow(them)
words = m.filter_create("Wheat", ["home", "public"], whole_word=True, expires_in=3600)
assert m.filters()[0].phrase == "Wheat" and m.filter(words).whole_word and words.expires_at is not None
assert not m.filter_update(words, whole_word=False).whole_word
m.filter_delete(words)
own = {"Authorization": "Bearer " + m.access_token}  # this version knows no hashtags that are followed
assert requests.post(origin + "/api/v1/tags/Rye/follow", headers=own).json()["following"]
assert [t["name"] for t in requests.get(origin + "/api/v1/followed_tags", headers=own).json()] == ["rye"]
assert not requests.post(origin + "/api/v1/tags/rye/unfollow", headers=own).json()["following"]
featured = m.featured_tag_create("bread")
assert [t.name for t in m.featured_tags()] == ["bread"] == [t.name for t in m.account_featured_tags(me)]
m.featured_tag_delete(featured)
assert m.status_mute(post).muted and not m.status_unmute(post).muted
voted = m.poll(asked.poll)
assert not voted.expired and len(voted.options) == 2

# News, and how far it was read.
assert m.notifications() == [] and m.follow_requests() == []
assert m.markers_get(["home"])["home"].last_read_id == 0
m.markers_set(["home"], [shown.id])
assert m.markers_get(["home"])["home"].last_read_id == shown.id

# What is empty here, and must not break anything.
for empty in (m.lists(), m.filters(), m.custom_emojis(), m.instance_peers(), m.conversations(), m.scheduled_statuses(), m.suggestions(), m.domain_blocks(), m.featured_tags()):
    assert empty == [], empty

# Posts that wait, direct posts, servers that are too loud, what the operator says.
held = m.media_post(png(20, 20), mime_type="image/png", description="later")
at = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0) + datetime.timedelta(hours=2)
later = m.status_post("Later #bread", scheduled_at=at, media_ids=[held], spoiler_text="food", visibility="unlisted")
assert later.scheduled_at == at and later.params.text == "Later #bread" and later.params.spoiler_text == "food" and later.params.visibility == "unlisted", later
assert later.media_attachments[0].description == "later" and [s.id for s in m.scheduled_statuses()] == [later.id] and m.scheduled_status(later).params.text == "Later #bread"
at += datetime.timedelta(days=1)
assert m.scheduled_status_update(later, at).scheduled_at == at
m.scheduled_status_delete(later)
assert m.scheduled_statuses() == []
try:
    m.status_post("Too soon", scheduled_at=datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=1))
    raise AssertionError("a post for in a minute was taken")
except MastodonAPIError as error:
    assert "Scheduled at" in str(error), error
between = m.status_post("@" + them.acct + " between us", visibility="direct")
talk = m.conversations()[0]
assert talk.last_status.id == between.id and [a.id for a in talk.accounts] == [them.id] and not talk.unread, talk
assert m.conversations_read(talk).id == talk.id
m.domain_block("loud.example")
assert m.domain_blocks() == ["loud.example"]
m.domain_unblock("loud.example")
assert m.domain_blocks() == []
assert m.account_familiar_followers(them)[0].accounts == []
told = m.announcements()[0]
assert "On Sunday we move" in told.content and not told.read and told.reactions == [], told
m.announcement_reaction_create(told, "🍞")
m.announcement_dismiss(told)
told = m.announcements()[0]
assert told.read and (told.reactions[0].name, told.reactions[0].count, told.reactions[0].me) == ("🍞", 1, True), told
m.announcement_reaction_delete(told, "🍞")
assert m.announcements()[0].reactions == []

# Live: what happens reaches a stream that is open.
class Listener(StreamListener):
    def __init__(self):
        self.seen, self.changed = [], threading.Condition()

    def note(self, kind, what):
        with self.changed:
            self.seen.append((kind, what))
            self.changed.notify_all()

    def on_update(self, status):
        self.note("update", status.id)

    def on_status_update(self, status):
        self.note("edit", status.id)

    def on_delete(self, status_id):
        self.note("delete", int(status_id))

    def on_conversation(self, conversation):
        self.note("conversation", conversation.last_status.id)

    def on_abort(self, err):
        self.note("abort", err)

    def wait(self, kind, what):
        with self.changed:
            assert self.changed.wait_for(lambda: (kind, what) in self.seen, timeout=10), (kind, what, self.seen)


assert m.stream_healthy()
listener = Listener()
m.stream_user(listener, run_async=True, timeout=60)
tagged = Listener()
m.stream_hashtag("live", tagged, run_async=True, timeout=60)
direct = Listener()
m.stream_direct(direct, run_async=True, timeout=60)
time.sleep(1)
between = m.status_post("@" + them.acct + " and live", visibility="direct")
direct.wait("conversation", between.id)
live = m.status_post("Now #live")
listener.wait("update", live.id)
tagged.wait("update", live.id)
m.status_update(live, "Now, edited #live")
listener.wait("edit", live.id)
m.status_delete(live)
listener.wait("delete", live.id)

# Web Push: the co-op, for which she signs in as well, mentions her.
class Service(BaseHTTPRequestHandler):
    pushes = queue.Queue()

    def do_POST(self):
        Service.pushes.put((self.headers, self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(201)
        self.end_headers()

    def log_message(self, *args):
        pass


service = HTTPServer(("127.0.0.1", 0), Service)
threading.Thread(target=service.serve_forever, daemon=True).start()
endpoint = "http://localhost:%d/push/1" % service.server_port
try:
    m.push_subscription()
    raise AssertionError("there is a subscription that nobody made")
except MastodonNotFoundError:
    pass
private, public = m.push_subscription_generate_keys()
made = m.push_subscription_set(endpoint, public, mention_events=True, follow_events=False)
assert isinstance(made.id, int) and made.endpoint == endpoint and made.server_key == m.app_verify_credentials().vapid_key, made
assert made.alerts.mention and not made.alerts.follow and not made.alerts.poll and m.push_subscription() == made, made
page = browser.get(m.auth_request_url(redirect_uris=OOB, scopes=SCOPES))
ticket = re.search(r'name="ticket" value="([^"]+)"', page.text).group(1)
voices = re.findall(r'name="as" id="as-(\d+)"', page.text)
page = browser.post(page.url, data={"do": "allow", "ticket": ticket, "as": voices[1]}, headers={"Origin": origin})
bakery = Mastodon(client_id=client_id, client_secret=client_secret, api_base_url=origin)
bakery.log_in(code=re.search(r'id="code">([^<]+)<', page.text).group(1), redirect_uri=OOB, scopes=SCOPES)
called = bakery.status_post("@" + name + " bread is ready")
headers, body = Service.pushes.get(timeout=15)
assert headers["Content-Encoding"] == "aesgcm" and headers["Authorization"].startswith("WebPush ") and headers["TTL"] == "172800", headers
if mastodon.compat.IMPL_HAS_ECE:  # Debian has no python3-http-ece; masto.mjs opens pushes of both kinds
    said = m.push_subscription_decrypt_push(body, private, headers["Encryption"], headers["Crypto-Key"])
    assert said.notification_type == "mention" and said.body == "@" + name + " bread is ready" and said.access_token == m.access_token, said
news = m.notifications()[0]
assert news.type == "mention" and news.status.id == called.id, news
assert m.push_subscription_update(poll_events=True).alerts.poll
m.push_subscription_delete()

m.revoke_access_token()
try:
    m.account_verify_credentials()
    raise AssertionError("a token that was revoked is good")
except MastodonUnauthorizedError:
    pass
print("OK", flush=True)
os._exit(0)  # or the streams, which are open, hold it up
