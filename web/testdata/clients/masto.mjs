// masto.js against a node, which is what Elk and Phanpy are made of. Arguments: origin, name, password, the handle of somebody to follow. Prints OK at the end.
import assert from "node:assert/strict";
import { createOAuthAPIClient, createRestAPIClient, createStreamingAPIClient } from "masto";
import { createECDH, randomBytes } from "node:crypto";
import { createServer } from "node:http";
import ece from "http_ece";
import { consent, png } from "./browser.mjs";

const [origin, name, password, other] = process.argv.slice(2);
const scopes = "read write follow push";
const back = "https://app.example/back";

let masto = createRestAPIClient({ url: origin });
const app = await masto.v1.apps.create({ clientName: "masto.js", redirectUris: back, scopes });
assert.deepEqual(app.scopes ?? scopes.split(" "), scopes.split(" "));
const query = new URLSearchParams({ response_type: "code", client_id: app.clientId, redirect_uri: back, scope: scopes, state: "x" });
const code = await consent(`${origin}/oauth/authorize?${query}`, name, password);
const oauth = createOAuthAPIClient({ url: origin });
const { accessToken } = await oauth.token.create({ clientId: app.clientId, clientSecret: app.clientSecret, redirectUri: back, code, grantType: "authorization_code", scope: scopes });
masto = createRestAPIClient({ url: origin, accessToken });

const node = await masto.v2.instance.fetch();
assert.equal(node.domain, new URL(origin).host);
assert.equal(node.configuration.statuses.maxCharacters, 5000);
assert.ok(node.thumbnail.url && node.registrations.enabled === false && node.contact);
const me = await masto.v1.accounts.verifyCredentials();
assert.equal(me.acct, name);
assert.deepEqual(me.roles.map((r) => r.name), ["admin of bakery"]);
assert.deepEqual(await masto.v1.markers.fetch({ timeline: ["notifications"] }).then((m) => m.notifications.lastReadId), "0");

// Live, by a WebSocket whose protocol is the token.
const streaming = createStreamingAPIClient({ streamingApiUrl: node.configuration.urls.streaming, accessToken, implementation: globalThis.WebSocket });
const seen = [];
const subscription = streaming.user.subscribe();
const listening = (async () => {
  for await (const event of subscription) {
    seen.push(event);
    if (event.event === "delete") break;
  }
})();
await new Promise((done) => setTimeout(done, 1000));

const post = await masto.v1.statuses.create({ status: "Hello #masto", visibility: "public", language: "en" });
assert.equal(post.tags[0].name, "masto");
const picture = await masto.v2.media.create({ file: new Blob([png(20, 10)], { type: "image/png" }), description: "dots" });
assert.equal(picture.meta.original.width, 20);
const shown = await masto.v1.statuses.create({ status: "with dots", mediaIds: [picture.id] });
assert.equal(shown.mediaAttachments[0].description, "dots");
const asked = await masto.v1.statuses.create({ status: "which?", poll: { options: ["this", "that"], expiresIn: 3600 } });
assert.deepEqual(asked.poll.options.map((o) => o.title), ["this", "that"]);
const edited = await masto.v1.statuses.$select(post.id).update({ status: "Hello again" });
assert.ok(edited.editedAt);
assert.equal((await masto.v1.statuses.$select(post.id).source.fetch()).text, "Hello again");
const versions = await masto.v1.statuses.$select(post.id).history.list();
assert.deepEqual(versions.map((v) => v.content.includes("again")), [false, true]);
assert.equal(versions[1].createdAt, edited.editedAt);
const reply = await masto.v1.statuses.create({ status: "and more", inReplyToId: post.id });
assert.deepEqual((await masto.v1.statuses.$select(post.id).context.fetch()).descendants.map((s) => s.id), [reply.id]);
assert.ok((await masto.v1.statuses.$select(post.id).favourite()).favourited);
assert.ok((await masto.v1.statuses.$select(post.id).bookmark()).bookmarked);
assert.equal((await masto.v1.statuses.$select(post.id).reblog()).reblog.id, post.id);

const ids = [];
for await (const page of masto.v1.timelines.home.list({ limit: 2 })) ids.push(...page.map((s) => s.id));
assert.ok(ids.length >= 5 && new Set(ids).size === ids.length, ids.join());
assert.ok(ids.includes(post.id));

const found = await masto.v2.search.list({ q: other, resolve: true });
const them = found.accounts[0];
assert.ok((await masto.v1.accounts.$select(them.id).follow({ notify: true })).notifying);
assert.ok((await masto.v1.accounts.relationships.fetch({ id: [me.id, them.id] }))[1].following);
const filter = await masto.v2.filters.create({ title: "Wheat", context: ["home"], filterAction: "hide", keywordsAttributes: [{ keyword: "wheat", wholeWord: true }] });
assert.deepEqual(filter.keywords.map((k) => k.keyword), ["wheat"]);
assert.equal((await masto.v2.filters.$select(filter.id).keywords.create({ keyword: "rye" })).keyword, "rye");
assert.equal((await masto.v2.filters.list())[0].keywords.length, 2);
await masto.v2.filters.$select(filter.id).remove();
const single = await masto.v2.filters.create({ title: "One", context: ["home"], filterAction: "warn" });
const caught = await masto.v2.filters.$select(single.id).statuses.create({ statusId: asked.id });
assert.equal(caught.statusId, asked.id);
assert.deepEqual((await masto.v2.filters.$select(single.id).statuses.list()).map((s) => s.id), [caught.id]);
assert.equal((await masto.v2.filters.statuses.$select(caught.id).fetch()).statusId, asked.id);
await masto.v2.filters.statuses.$select(caught.id).remove();
await masto.v2.filters.$select(single.id).remove();
const at = new Date(Date.now() + 3600e3).toISOString();
const later = await masto.v1.statuses.create({ status: "later", scheduledAt: at, poll: { options: ["this", "that"], expiresIn: 3600 } });
assert.deepEqual([later.params.text, later.scheduledAt, later.params.poll.options, later.params.poll.expiresIn], ["later", at, ["this", "that"], 3600]);
const tomorrow = new Date(Date.now() + 86400e3).toISOString();
assert.equal((await masto.v1.scheduledStatuses.$select(later.id).update({ scheduledAt: tomorrow })).scheduledAt, tomorrow);
assert.deepEqual((await masto.v1.scheduledStatuses.list()).map((s) => s.id), [later.id]);
await masto.v1.scheduledStatuses.$select(later.id).remove();
await assert.rejects(masto.v1.scheduledStatuses.$select(later.id).fetch(), (e) => e.statusCode === 404);
const between = await masto.v1.statuses.create({ status: `@${other} between us`, visibility: "direct" });
const [talk] = await masto.v1.conversations.list();
assert.deepEqual([talk.lastStatus.id, talk.unread, talk.accounts.map((a) => a.id)], [between.id, false, [them.id]]);
assert.equal((await masto.v1.conversations.$select(talk.id).read()).id, talk.id);
await masto.v1.conversations.$select(talk.id).remove();
assert.deepEqual(await masto.v1.conversations.list(), []);
await masto.v1.domainBlocks.create({ domain: "loud.example" });
assert.deepEqual(await masto.v1.domainBlocks.list(), ["loud.example"]);
await masto.v1.domainBlocks.remove({ domain: "loud.example" });
assert.deepEqual(await masto.v1.domainBlocks.list(), []);
assert.deepEqual(await masto.v1.accounts.familiarFollowers.fetch({ id: [them.id] }), [{ id: them.id, accounts: [] }]);
const [told] = await masto.v1.announcements.list();
assert.ok(told.content.includes("On Sunday we move") && told.read === false);
await masto.v1.announcements.$select(told.id).dismiss();
assert.ok((await masto.v1.announcements.list())[0].read);
assert.ok((await masto.v1.profile.avatar.remove()).source);
const list = await masto.v1.lists.create({ title: "Bakers" });
await masto.v1.lists.$select(list.id).accounts.create({ accountIds: [them.id] });
assert.deepEqual((await masto.v1.lists.$select(list.id).accounts.list()).map((a) => a.id), [them.id]);
await masto.v1.lists.$select(list.id).accounts.remove({ accountIds: [them.id] });
await masto.v1.lists.$select(list.id).remove();
assert.ok((await masto.v1.tags.$select("rye").follow()).following);
assert.deepEqual((await masto.v1.followedTags.list()).map((t) => t.name), ["rye"]);
await masto.v1.tags.$select("rye").unfollow();
assert.equal((await masto.v1.accounts.updateCredentials({ displayName: "Masto", fieldsAttributes: [{ name: "Shop", value: "https://shop.example/" }] })).fields[0].name, "Shop");
assert.deepEqual(await masto.v1.notifications.list(), []);
await assert.rejects(masto.v1.push.subscription.fetch(), (e) => e.statusCode === 404);

// Web Push, opened by the library of those who wrote the RFC: she is mentioned by the co-op, for which she signs in a second time.
const pushes = [];
let arrived = () => {};
const service = createServer((request, answer) => {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    pushes.push({ headers: request.headers, body: Buffer.concat(parts) });
    answer.writeHead(201).end();
    arrived();
  });
});
await new Promise((done) => service.listen(0, "127.0.0.1", done));
const key = createECDH("prime256v1");
key.generateKeys();
const auth = randomBytes(16);
const endpoint = `http://localhost:${service.address().port}/push/1`;
const keys = { p256dh: key.getPublicKey("base64url"), auth: auth.toString("base64url") };
const voiceCode = await consent(`${origin}/oauth/authorize?${query}`, name, password, 1);
const voice = await oauth.token.create({ clientId: app.clientId, clientSecret: app.clientSecret, redirectUri: back, code: voiceCode, grantType: "authorization_code", scope: scopes });
const bakery = createRestAPIClient({ url: origin, accessToken: voice.accessToken });
assert.equal(app.vapidKey, node.configuration.vapid.publicKey);
for (const standard of [false, true]) {
  const made = await masto.v1.push.subscription.create({ subscription: { endpoint, keys, standard }, data: { alerts: { mention: true, follow: false } }, policy: "all" });
  assert.ok(Number.isInteger(made.id) && made.id < 2 ** 31 && made.endpoint === endpoint && made.serverKey === app.vapidKey, JSON.stringify(made));
  assert.ok(made.alerts.mention === true && made.alerts.follow === false && made.alerts.poll === false && made.policy === "all");
  assert.deepEqual(await masto.v1.push.subscription.fetch(), made);
  const came = new Promise((done, fail) => {
    arrived = done;
    setTimeout(() => fail(new Error("no push came")), 15000).unref();
  });
  const call = await bakery.v1.statuses.create({ status: `@${name} bread is ready ${standard}` });
  await came;
  const { headers, body } = pushes.pop();
  const field = (header, field) => new RegExp(`${field}=([\\w-]+)`).exec(headers[header])[1];
  const how = standard ? { version: "aes128gcm" } : { version: "aesgcm", salt: field("encryption", "salt"), dh: field("crypto-key", "dh") };
  assert.ok(headers.authorization.startsWith(standard ? "vapid t=" : "WebPush "), headers.authorization);
  const said = JSON.parse(ece.decrypt(body, { ...how, privateKey: key, authSecret: auth }));
  assert.equal(said.access_token, accessToken);
  assert.ok(said.notification_type === "mention" && said.body === `@${name} bread is ready ${standard}` && said.icon.startsWith(origin), JSON.stringify(said));
  const news = await masto.v1.notifications.$select(said.notification_id).fetch(); // as Elk and Phanpy do: JavaScript has rounded the number
  assert.equal(news.status.id, call.id);
}
assert.ok((await masto.v1.push.subscription.update({ data: { alerts: { poll: true } } })).alerts.poll);
await masto.v1.push.subscription.remove();
await assert.rejects(masto.v1.push.subscription.fetch(), (e) => e.statusCode === 404);
service.close();

await masto.v1.statuses.$select(reply.id).remove();
await Promise.race([listening, new Promise((_, fail) => setTimeout(() => fail(new Error("no delete came")), 10000))]);
assert.deepEqual(seen.filter((e) => e.event === "update").map((e) => e.payload.id).slice(0, 2), [post.id, shown.id]);
assert.equal(seen.find((e) => e.event === "status.update").payload.id, post.id);
assert.equal(seen.find((e) => e.event === "delete").payload, reply.id);
subscription.unsubscribe();
streaming.close();

await oauth.revoke({ clientId: app.clientId, clientSecret: app.clientSecret, token: accessToken });
await assert.rejects(masto.v1.accounts.verifyCredentials(), (e) => e.statusCode === 401);
console.log("OK");
process.exit(0);
