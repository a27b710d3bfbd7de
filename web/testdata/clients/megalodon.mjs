// megalodon against a node, which is what Whalebird and others are made of. Arguments: origin, name, password, the handle of somebody to follow. Prints OK at the end.
import { createECDH, randomBytes } from "node:crypto";
import assert from "node:assert/strict";
import { createReadStream } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import megalodon from "megalodon";
import { consent, png } from "./browser.mjs";

const generator = megalodon.default ?? megalodon;
const [origin, name, password, other] = process.argv.slice(2);
const anonymous = generator("mastodon", origin);
const app = await anonymous.registerApp("megalodon", { scopes: ["read", "write", "follow", "push"] });
const code = await consent(app.url, name, password);
const token = await anonymous.fetchAccessToken(app.client_id, app.client_secret, code);
const client = generator("mastodon", origin, token.accessToken ?? token.access_token);

const node = (await client.getInstance()).data;
assert.equal(node.uri, new URL(origin).host);
assert.equal(node.configuration.statuses.max_characters, 5000);
const me = (await client.verifyAccountCredentials()).data;
assert.equal(me.acct, name);

const stream = await client.userStreaming();
const seen = [];
stream.on("update", (s) => seen.push(s.id));
await new Promise((done, fail) => {
  stream.on("connect", done);
  setTimeout(() => fail(new Error("no connection")), 10000);
});
await new Promise((done) => setTimeout(done, 500));

const post = (await client.postStatus("Hello #megalodon", { visibility: "public" })).data;
assert.equal(post.tags[0].name, "megalodon");
const file = join(await mkdtemp(join(tmpdir(), "megalodon-")), "dots.png");
await writeFile(file, png(20, 10));
const picture = (await client.uploadMedia(createReadStream(file), { description: "dots" })).data;
await rm(dirname(file), { recursive: true });
const shown = (await client.postStatus("dots", { media_ids: [picture.id] })).data;
assert.equal(shown.media_attachments[0].description, "dots");
const asked = (await client.postStatus("which?", { poll: { options: ["this", "that"], expires_in: 3600 } })).data;
assert.equal(asked.poll.options[1].title, "that");
assert.ok((await client.favouriteStatus(post.id)).data.favourited);
assert.ok((await client.bookmarkStatus(post.id)).data.bookmarked);
assert.equal((await client.reblogStatus(post.id)).data.reblog.id, post.id);
assert.ok((await client.editStatus(post.id, { status: "Hello again" })).data.edited_at);
assert.ok((await client.getHomeTimeline({ limit: 20 })).data.length >= 4);
assert.equal((await client.getTagTimeline("megalodon")).data.length, 0); // the edit took it away
const found = (await client.search(other, { type: "accounts", resolve: true })).data.accounts[0];
assert.ok((await client.followAccount(found.id)).data.following);
assert.deepEqual((await client.getLists()).data, []);
assert.deepEqual((await client.getFilters()).data, []);
assert.deepEqual((await client.getNotifications()).data, []);
const keys = { p256dh: createECDH("prime256v1").generateKeys("base64url"), auth: randomBytes(16).toString("base64url") };
const push = (await client.subscribePushNotification({ endpoint: origin + "/push", keys }, { alerts: { mention: true } })).data;
assert.ok(push.endpoint === origin + "/push" && push.server_key && push.alerts.mention === true && push.alerts.follow === false, JSON.stringify(push));
assert.ok((await client.updatePushSubscription({ alerts: { poll: true } })).data.alerts.poll);
assert.equal(Number((await client.getPushSubscription()).data.id), Number(push.id));
await client.deletePushSubscription();
await assert.rejects(client.getPushSubscription());
await client.deleteStatus(shown.id);
for (let i = 0; i < 50 && !seen.includes(asked.id); i++) await new Promise((done) => setTimeout(done, 100));
assert.ok(seen.includes(post.id) && seen.includes(asked.id), seen.join());
stream.stop?.();
console.log("OK");
process.exit(0);
