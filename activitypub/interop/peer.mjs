// A small social server on Fedify: the other side of PLANET's interoperability tests.
//
// It has two doors, both on loopback and both plain http: one for the fediverse, which the test puts behind TLS under the name
// in PEER_ORIGIN, and one for the test itself (POST and GET /control/…, JSON in and out). When both are open it prints one line,
// {"web": PORT, "control": PORT}; when its standard input ends, so does it.
//
// It says what Fedify understood, and nothing else: what PLANET sent is described by Fedify's own classes, field by field.
//
//   PEER_ORIGIN       https://name.localhost:PORT, the public address
//   PEER_FIRST_KNOCK  cavage or rfc9421: how it signs for a host that it does not know yet
//   PEER_SECURE       on: actors and notes are shown only to signed requests
//   PEER_IMPLEMENTS   the address of something that ana's actor says that it implements (FEP-844e)
import { createServer } from "node:http";
import { randomUUID } from "node:crypto";
import {
  createExponentialBackoffPolicy,
  createFederation,
  exportJwk,
  generateCryptoKeyPair,
  InProcessMessageQueue,
  MemoryKvStore,
} from "@fedify/fedify";
import { signRequest, verifyProof } from "@fedify/fedify/sig";
import * as as from "@fedify/vocab";
import { encodeMultibase } from "@fedify/vocab-runtime";
import { Temporal } from "@js-temporal/polyfill";
import { configure } from "@logtape/logtape";
import canonical from "json-canon";
import "./localhost.mjs";

const origin = new URL(process.env.PEER_ORIGIN).origin;
const firstKnock = { cavage: "draft-cavage-http-signatures-12", rfc9421: "rfc9421" }[process.env.PEER_FIRST_KNOCK];
if (firstKnock === undefined) throw new Error("PEER_FIRST_KNOCK must be cavage or rfc9421");
const secure = process.env.PEER_SECURE === "on";
const implemented = process.env.PEER_IMPLEMENTS;

// What has happened, as the test reads it.
const state = {
  followers: [], // {local, actor, follow}
  following: [], // {local, actor, follow, state: sent | accepted | rejected}
  activities: [], // every activity that Fedify verified: {type, id, actor, object}
  notes: {}, // by id: what Fedify read, with deleted: true after a Delete
  actors: {}, // by id: what an Update said of an actor, with deleted: true after a Delete
  likes: [], // {id, actor, object}, and so are:
  boosts: [],
  blocks: [],
  pins: [], // Add and not Remove; {actor, object, target}
  votes: [], // in polls of ours: {id, actor, object: the poll, name}
  reports: [], // {id, actor, objects, content}
  moves: [], // {actor, object, target}
  refused: [], // {id, actor, reason}: deliveries that did not verify
  errors: [], // what went wrong in here, in words
  shown: [], // {path, by}: documents given to a signed request
  answers: [], // what was said of an order: {type, id, actor, object, summary, content, ends, agreement, receipt}
  payments: [], // what was said of a payment: {type, id, actor, object, summary, content, to, ends, event, proven}
};
const fail = (where, error) => state.errors.push(`${where}: ${error?.stack ?? error}`);

// Fedify reports on a delivery that it cannot parse or does not like in its log alone.
await configure({
  sinks: {
    test: (r) => {
      const text = r.message.map((m) => typeof m === "string" ? m : m?.stack ?? JSON.stringify(m)).join("");
      console.error(`${r.level} ${r.category.join(".")}: ${text}`);
      if (r.level === "error" || r.level === "fatal") fail(r.category.join("."), text);
    },
  },
  loggers: [
    { category: "fedify", sinks: ["test"], lowestLevel: process.env.PEER_LOG ?? "warning" },
    { category: ["logtape", "meta"], sinks: ["test"], lowestLevel: "error" },
  ],
});

const federation = createFederation({
  kv: new MemoryKvStore(),
  queue: new InProcessMessageQueue({ pollInterval: { milliseconds: 50 } }),
  origin,
  firstKnock,
  allowPrivateAddress: true, // loopback is all there is
  circuitBreaker: false,
  outboxRetryPolicy: createExponentialBackoffPolicy({ initialDelay: { milliseconds: 200 }, maxAttempts: 5 }),
  inboxRetryPolicy: createExponentialBackoffPolicy({ initialDelay: { milliseconds: 200 }, maxAttempts: 3 }),
  onOutboxError: (error, activity) => fail(`delivery of ${activity?.id?.href}`, error),
});

const people = {
  ana: { name: "Ana Puig", summary: "<p>Mills grain with <b>water</b>.</p>", keys: [] },
  bruno: { name: "Bruno Mas", summary: "<p>Drives the cart.</p>", keys: [] },
  carla: { name: "Carla Roig", summary: "<p>Sweeps the floor.</p>", keys: [] },
};
for (const person of Object.values(people)) {
  Object.assign(person, { pins: [], aliases: [], movedTo: null, left: null });
  person.keys = [await generateCryptoKeyPair("RSASSA-PKCS1-v1_5"), await generateCryptoKeyPair("Ed25519")];
}
const published = Temporal.Now.instant();
const outbox = []; // {local, activity}, the oldest first
const ownNotes = new Map(); // uuid -> as.Note or as.Question, until it is deleted

const signedBy = async (ctx) => {
  const key = await ctx.getSignedKeyOwner();
  if (key?.id != null) state.shown.push({ path: ctx.url.pathname, by: key.id.href });
  return !secure || key != null;
};

federation
  .setActorDispatcher("/people/{identifier}", async (ctx, identifier) => {
    const person = people[identifier];
    if (person === undefined) return null;
    if (person.left !== null) return new as.Tombstone({ id: ctx.getActorUri(identifier), deleted: person.left });
    return await actorOf(ctx, identifier);
  })
  .mapHandle((_, username) => username in people ? username : null)
  .mapAlias((_, resource) => resource.origin === origin && resource.pathname.startsWith("/@") ? { username: resource.pathname.slice(2) } : null)
  .setKeyPairsDispatcher((_, identifier) => people[identifier]?.keys ?? [])
  .authorize(signedBy);

async function actorOf(ctx, identifier) {
  const person = people[identifier];
  const keys = await ctx.getActorKeyPairs(identifier);
  return new as.Person({
    id: ctx.getActorUri(identifier),
    preferredUsername: identifier,
    name: person.name,
    summary: person.summary,
    icon: person.icon ?? null,
    published,
    url: new URL(`/@${identifier}`, origin),
    manuallyApprovesFollowers: false,
    discoverable: true,
    aliases: person.aliases,
    successor: person.movedTo,
    inbox: ctx.getInboxUri(identifier),
    outbox: ctx.getOutboxUri(identifier),
    followers: ctx.getFollowersUri(identifier),
    following: ctx.getFollowingUri(identifier),
    featured: ctx.getFeaturedUri(identifier),
    endpoints: new as.Endpoints({ sharedInbox: ctx.getInboxUri() }),
    publicKey: keys[0].cryptographicKey,
    assertionMethods: keys.map((k) => k.multikey),
  });
}

for (const [kind, path] of [[as.Note, "/notes/{id}"], [as.Question, "/questions/{id}"]]) {
  federation
    .setObjectDispatcher(kind, path, (_, { id }) => ownNotes.get(id) instanceof kind ? ownNotes.get(id) : null)
    .authorize(signedBy);
}

const page = (items) => ({ items, nextCursor: null });
federation
  .setFollowersDispatcher("/people/{identifier}/followers", (_, identifier) => page(state.followers
    .filter((f) => f.local === identifier).map((f) => f.recipient)))
  .setCounter((_, identifier) => state.followers.filter((f) => f.local === identifier).length);
federation
  .setFollowingDispatcher("/people/{identifier}/following", (_, identifier) => page(state.following
    .filter((f) => f.local === identifier && f.state === "accepted").map((f) => new URL(f.actor))))
  .setCounter((_, identifier) => state.following.filter((f) => f.local === identifier && f.state === "accepted").length);
federation
  .setOutboxDispatcher("/people/{identifier}/outbox", (_, identifier) => page(outbox
    .filter((o) => o.local === identifier).map((o) => o.activity).reverse()))
  .setCounter((_, identifier) => outbox.filter((o) => o.local === identifier).length);

federation.setFeaturedDispatcher("/people/{identifier}/featured", (_, identifier) => page(people[identifier].pins
  .map((id) => ownNotes.get(keyOf(id)))));

federation.setNodeInfoDispatcher("/nodeinfo/2.1", () => ({
  software: { name: "fedify-peer", version: "1.0.0" },
  protocols: ["activitypub"],
  usage: { users: { total: 3, activeMonth: 3, activeHalfyear: 3 }, localPosts: ownNotes.size, localComments: 0 },
}));

// What Fedify understood of an object, with everything fetched as one of our people. The activity is the one that it came in.
async function describe(object, ctx, as_, activity) {
  const options = { documentLoader: await ctx.getDocumentLoader({ identifier: as_ }), contextLoader: ctx.contextLoader };
  const hrefs = (urls) => urls.map((u) => u.href);
  const tags = [];
  for await (const tag of object.getTags(options)) {
    tags.push({ type: tag.constructor.name, name: tag.name?.toString() ?? null, href: tag.href?.href ?? null });
  }
  const attachments = [];
  const document = (await activity?.toJsonLd(options))?.object ?? await object.toJsonLd(options);
  for await (const a of object.getAttachments(options)) attachments.push(describeMedium(a, document));
  return {
    type: object.constructor.name,
    id: object.id?.href ?? null,
    attributed_to: object.attributionId?.href ?? null,
    content: object.content?.toString() ?? null,
    language: object.contents?.find((c) => c.locale !== undefined)?.locale?.toString() ?? null,
    summary: object.summary?.toString() ?? null,
    sensitive: object.sensitive ?? null,
    published: object.published?.toString() ?? null,
    updated: object.updated?.toString() ?? null,
    url: object.url?.href?.toString() ?? null,
    to: hrefs(object.toIds),
    cc: hrefs(object.ccIds),
    in_reply_to: object.replyTargetId?.href ?? null,
    tags,
    attachments,
    poll: object instanceof as.Question ? await describePoll(object, options) : null,
  };
}

// Fedify's vocabulary has no word for a blurhash: that is read from the document as it came.
function describeMedium(medium, document) {
  if (medium instanceof as.Link) {
    return { type: "Link", url: medium.href?.href ?? null, media_type: medium.mediaType ?? null, name: medium.name?.toString() ?? null, rels: medium.rels };
  }
  const url = medium.url?.href?.toString() ?? null;
  return {
    type: medium.constructor.name,
    url,
    media_type: medium.mediaType ?? null,
    name: medium.name?.toString() ?? null,
    width: medium.width ?? null,
    height: medium.height ?? null,
    blurhash: [document.attachment].flat().find((a) => a?.url === url)?.blurhash ?? null,
  };
}

async function describePoll(question, options) {
  const read = async (items) => {
    const names = [];
    for await (const o of items) names.push({ name: o.name?.toString() ?? null, votes: (await o.getReplies(options))?.totalItems ?? null });
    return names;
  };
  const one = await read(question.getExclusiveOptions(options));
  const several = await read(question.getInclusiveOptions(options));
  return {
    multiple: several.length > 0,
    options: [...one, ...several],
    voters: question.voters,
    ends: question.endTime?.toString() ?? null,
    closed: question.closed?.toString() ?? null,
  };
}

// An offer or request, and what was agreed upon it (FEP-0837), as Fedify's classes read them.
const describeMeasure = (m) => m == null ? null : { unit: m.unit ?? null, value: m.numericalValue?.toString() ?? null };

const describeIntent = (intent) => intent == null ? null : {
  id: intent.id?.href ?? null,
  action: intent.action ?? null,
  resource: intent.resourceConformsTo?.href ?? null,
  quantity: describeMeasure(intent.resourceQuantity),
  available: describeMeasure(intent.availableQuantity),
  minimum: describeMeasure(intent.minimumQuantity),
};

async function describeProposal(proposal, options) {
  const place = await proposal.getLocation(options);
  return {
    type: proposal.constructor.name,
    id: proposal.id?.href ?? null,
    attributed_to: proposal.attributionId?.href ?? null,
    name: proposal.name?.toString() ?? null,
    content: proposal.content?.toString() ?? null,
    purpose: proposal.purpose ?? null,
    unit_based: proposal.unitBased ?? null,
    publishes: describeIntent(proposal.publishes),
    reciprocal: describeIntent(proposal.reciprocal),
    ends: proposal.endTime?.toString() ?? null,
    place: place?.name?.toString() ?? null,
    latitude: place?.latitude ?? null,
    longitude: place?.longitude ?? null,
    url: proposal.url?.href?.toString() ?? null,
    preview: proposal.previewId?.href ?? null,
    to: proposal.toIds.map((u) => u.href),
  };
}

const describeCommitment = (c) => c == null ? null
  : { id: c.id?.href ?? null, satisfies: c.satisfies?.href ?? null, quantity: describeMeasure(c.resourceQuantity) };

async function describeAgreement(agreement, options) {
  return {
    type: agreement.constructor.name,
    id: agreement.id?.href ?? null,
    attributed_to: agreement.attributionId?.href ?? null,
    stipulates: describeCommitment(agreement.stipulates),
    stipulates_reciprocal: describeCommitment(agreement.stipulatesReciprocal),
    link: agreement.url?.href?.href ?? null,
    rels: agreement.url?.rels ?? null,
    state: (await agreement.getPreview(options))?.name?.toString() ?? null,
    context: agreement.contextIds.map((u) => u.href),
    ends: agreement.endTime?.toString() ?? null,
  };
}

async function describeActor(actor, options) {
  const icon = await actor.getIcon(options);
  return {
    type: actor.constructor.name,
    id: actor.id?.href ?? null,
    username: actor.preferredUsername?.toString() ?? null,
    name: actor.name?.toString() ?? null,
    summary: actor.summary?.toString() ?? null,
    url: actor.url?.href?.toString() ?? null,
    inbox: actor.inboxId?.href ?? null,
    outbox: actor.outboxId?.href ?? null,
    followers: actor.followersId?.href ?? null,
    following: actor.followingId?.href ?? null,
    shared_inbox: actor.endpoints?.sharedInbox?.href ?? null,
    public_keys: actor.publicKeyIds.map((k) => k.href),
    assertion_methods: actor.assertionMethodIds.map((k) => k.href),
    manually_approves_followers: actor.manuallyApprovesFollowers ?? null,
    discoverable: actor.discoverable ?? null,
    featured: actor.featuredId?.href ?? null,
    icon: icon?.url?.href?.toString() ?? null,
    icon_name: icon?.name?.toString() ?? null,
    moved_to: actor.successorId?.href ?? null,
    also_known_as: actor.aliasIds.map((u) => u.href),
  };
}

const keyOf = (id) => id === null ? null : new URL(id).pathname.split("/").pop();
const nextId = (kind) => new URL(`/activities/${kind}/${randomUUID()}`, origin);
const reader = "ana"; // fetches on behalf of the whole server

async function loaders(ctx, identifier) {
  return { documentLoader: await ctx.getDocumentLoader({ identifier }), contextLoader: ctx.contextLoader };
}

function record(ctx, activity) {
  const seen = {
    type: activity.constructor.name,
    id: activity.id?.href ?? null,
    actor: activity.actorId?.href ?? null,
    object: activity.objectId?.href ?? null,
    to: activity.toIds.map((u) => u.href),
    cc: activity.ccIds.map((u) => u.href),
    inbox: ctx.recipient ?? null,
  };
  state.activities.push(seen);
  return seen;
}

federation
  .setInboxListeners("/people/{identifier}/inbox", "/inbox")
  .setSharedKeyDispatcher(() => ({ identifier: reader }))
  .on(as.Follow, async (ctx, follow) => {
    record(ctx, follow);
    const target = ctx.parseUri(follow.objectId);
    if (target?.type !== "actor" || !(target.identifier in people)) return;
    const actor = await follow.getActor(await loaders(ctx, target.identifier));
    if (actor?.id == null || actor.inboxId == null) throw new Error(`no actor behind ${follow.id}`);
    state.followers = state.followers.filter((f) => f.local !== target.identifier || f.actor !== actor.id.href);
    state.followers.push({ local: target.identifier, actor: actor.id.href, follow: follow.id?.href, recipient: actor });
    await ctx.sendActivity(
      { identifier: target.identifier },
      actor,
      new as.Accept({ id: nextId("accept"), actor: follow.objectId, to: actor.id, object: follow }),
    );
  })
  .on(as.Undo, async (ctx, undo) => {
    record(ctx, undo);
    const undone = await undo.getObject(await loaders(ctx, reader));
    if (undone?.actorId?.href !== undo.actorId?.href) return;
    const others = (all) => all.filter((x) => x.id !== undone.id.href || x.actor !== undo.actorId.href);
    if (undone instanceof as.Follow) {
      const target = ctx.parseUri(undone.objectId);
      state.followers = state.followers.filter((f) => f.local !== target?.identifier || f.actor !== undo.actorId.href);
    }
    if (undone instanceof as.Like) state.likes = others(state.likes);
    if (undone instanceof as.Announce) state.boosts = others(state.boosts);
    if (undone instanceof as.Block) state.blocks = others(state.blocks);
  })
  .on(as.Offer, async (ctx, offer) => {
    record(ctx, offer);
    const raw = await offer.toJsonLd(await loaders(ctx, reader));
    if (!isEvent(raw.object)) return;
    await hearPayment(ctx, offer, null);
  })
  .on(as.Like, (ctx, like) => state.likes.push(record(ctx, like)))
  .on(as.Announce, (ctx, announce) => state.boosts.push(record(ctx, announce)))
  .on(as.Block, (ctx, block) => {
    state.blocks.push(record(ctx, block));
    const target = ctx.parseUri(block.objectId);
    const others = (all) => all.filter((f) => f.local !== target?.identifier || f.actor !== block.actorId.href);
    state.followers = others(state.followers);
    state.following = others(state.following);
  })
  .on(as.Add, (ctx, add) => {
    record(ctx, add);
    state.pins.push({ actor: add.actorId?.href, object: add.objectId?.href, target: add.targetId?.href });
  })
  .on(as.Remove, (ctx, remove) => {
    record(ctx, remove);
    state.pins = state.pins.filter((p) =>
      p.actor !== remove.actorId?.href || p.object !== remove.objectId?.href || p.target !== remove.targetId?.href);
  })
  .on(as.Flag, (ctx, flag) => {
    record(ctx, flag);
    const objects = flag.objectIds.map((u) => u.href);
    state.reports.push({ id: flag.id?.href, actor: flag.actorId?.href, objects, content: flag.content?.toString() ?? null });
  })
  .on(as.Move, (ctx, move) => {
    record(ctx, move);
    state.moves.push({ actor: move.actorId?.href, object: move.objectId?.href, target: move.targetId?.href });
  })
  .on(as.Accept, (ctx, accept) => answered(ctx, accept, "accepted"))
  .on(as.Reject, (ctx, reject) => answered(ctx, reject, "rejected"))
  .on(as.Create, async (ctx, create) => {
    record(ctx, create);
    const note = await create.getObject(await loaders(ctx, reader));
    if (note?.id == null || note.attributionId?.href !== create.actorId?.href) return;
    if (note instanceof as.Document) {
      return await hear(ctx, create, { receipt: { id: note.id.href, name: note.name?.toString() ?? null, context: note.contextIds[0]?.href ?? null } });
    }
    if (note.name != null && note.content == null && ownNotes.get(keyOf(note.replyTargetId)) instanceof as.Question) {
      state.votes.push({ id: note.id.href, actor: create.actorId.href, object: note.replyTargetId.href, name: note.name.toString() });
      return;
    }
    state.notes[note.id.href] ??= await describe(note, ctx, reader, create);
  })
  .on(as.Update, async (ctx, update) => {
    record(ctx, update);
    const object = await update.getObject(await loaders(ctx, reader));
    if (object instanceof as.Agreement && object.attributionId?.href === update.actorId?.href) {
      return await hear(ctx, update, { agreement: await describeAgreement(object, await loaders(ctx, reader)) });
    }
    if (as.isActor(object) && object.id.href === update.actorId?.href) {
      state.actors[object.id.href] = await describeActor(object, await loaders(ctx, reader));
      return;
    }
    const known = state.notes[object?.id?.href];
    if (known === undefined || known.attributed_to !== update.actorId?.href) return;
    state.notes[object.id.href] = await describe(object, ctx, reader, update);
  })
  .on(as.Delete, async (ctx, deletion) => {
    record(ctx, deletion);
    const known = state.notes[deletion.objectId?.href];
    if (known !== undefined && known.attributed_to === deletion.actorId?.href) known.deleted = true;
    if (deletion.objectId?.href !== deletion.actorId?.href) return;
    (state.actors[deletion.actorId.href] ??= {}).deleted = true;
    const others = (all) => all.filter((f) => f.actor !== deletion.actorId.href);
    state.followers = others(state.followers);
    state.following = others(state.following);
  })
  .on(as.Activity, record)
  .onError((_, error) => fail("inbox", error))
  .onUnverifiedActivity((_, activity, reason) => {
    state.refused.push({ id: activity.id?.href ?? null, actor: activity.actorId?.href ?? null, reason: reason.type });
  });

// Payments (docs/payments.md). Fedify has no class for an EconomicEvent: what is said of one is read from the JSON as it came, and what ours say is written as JSON,
// signed with Fedify's keys, and sent with Fedify's signature of requests.
const paid = new Set(); // the ids of Offers of an EconomicEvent that were heard of

const isEvent = (object) => [object?.type].flat().includes("EconomicEvent");

async function hearPayment(ctx, activity, about) {
  const options = await loaders(ctx, reader);
  const raw = await activity.toJsonLd(options);
  const event = raw.type === "Offer" ? raw.object : raw.result;
  paid.add(about ?? raw.id);
  let proven = false;
  for await (const proof of activity.getProofs(options)) {
    proven = await verifyProof(raw, proof, { ...options }) !== null;
  }
  state.payments.push({
    type: raw.type,
    id: raw.id,
    actor: raw.actor,
    object: about,
    summary: activity.summary?.toString() ?? null,
    content: activity.content?.toString() ?? null,
    to: activity.toIds.map((u) => u.href),
    ends: activity.endTime?.toString() ?? null,
    event: event ?? null,
    proven,
  });
}

// proven adds an integrity proof (FEP-8b32) to an activity that is JSON.
async function proven(ctx, identifier, activity) {
  const key = (await ctx.getActorKeyPairs(identifier)).find((k) => k.privateKey.algorithm.name === "Ed25519");
  const config = {
    "@context": activity["@context"],
    type: "DataIntegrityProof",
    cryptosuite: "eddsa-jcs-2022",
    created: Temporal.Now.instant().round("second").toString(),
    verificationMethod: key.multikey.id.href,
    proofPurpose: "assertionMethod",
  };
  const hash = async (value) => Buffer.from(await crypto.subtle.digest("SHA-256", Buffer.from(canonical(value))));
  const signed = await crypto.subtle.sign("Ed25519", key.privateKey, Buffer.concat([await hash(config), await hash(activity)]));
  const value = Buffer.from(encodeMultibase("base58btc", new Uint8Array(signed))).toString();
  return { ...activity, proof: { ...config, proofValue: value } };
}

// post sends JSON to somebody's own inbox, as Fedify signs requests, where it has to be answered with this status.
async function post(ctx, identifier, activity, to, status = 202) {
  const key = (await ctx.getActorKeyPairs(identifier)).find((k) => k.privateKey.algorithm.name !== "Ed25519");
  const request = new Request(to.inboxId, {
    method: "POST",
    headers: { "Content-Type": "application/activity+json" },
    body: JSON.stringify(activity),
  });
  const response = await fetch(await signRequest(request, key.privateKey, key.keyId, { spec: firstKnock }));
  if (response.status !== status) throw new Error(`${to.inboxId.href} answered ${response.status}: ${await response.text()}`);
}

// says sends an activity of ours about money to a ledger.
async function says(ctx, identifier, ledger, activity, status) {
  const to = await resolve(ctx, ledger, identifier);
  const complete = await proven(ctx, identifier, {
    "@context": ["https://www.w3.org/ns/activitystreams", "https://w3id.org/security/data-integrity/v1", valueflows],
    id: nextId(activity.type.toLowerCase()).href,
    actor: ctx.getActorUri(identifier).href,
    to: [to.id.href],
    published: Temporal.Now.instant().round("second").toString(),
    ...activity,
  });
  if (activity.type === "Offer") paid.add(complete.id);
  sent.set(complete.id, { activity: complete, to });
  await post(ctx, identifier, complete, to, status);
  return { id: complete.id };
}

const sent = new Map(); // what was said to a ledger, by id

const valueflows = {
  vf: "https://w3id.org/valueflows/ont/vf#",
  om2: "http://www.ontology-of-units-of-measure.org/resource/om-2/",
  EconomicEvent: "vf:EconomicEvent",
  action: "vf:action",
  provider: { "@id": "vf:provider", "@type": "@id" },
  receiver: { "@id": "vf:receiver", "@type": "@id" },
  resourceConformsTo: { "@id": "vf:resourceConformsTo", "@type": "@id" },
  resourceQuantity: "vf:resourceQuantity",
  fulfills: { "@id": "vf:fulfills", "@type": "@id" },
  corrects: { "@id": "vf:corrects", "@type": "@id" },
  due: "vf:due",
  hasUnit: "om2:hasUnit",
  hasNumericalValue: "om2:hasNumericalValue",
};

const transfer = (provider, receiver, currency, amount, more) => ({
  type: "EconomicEvent",
  action: "transfer",
  provider,
  receiver,
  resourceConformsTo: currency,
  resourceQuantity: { hasUnit: "one", hasNumericalValue: amount },
  ...more,
});

// documents are what the test has us serve, by path.
const documents = new Map();

// orders are the Offers of an Agreement that ours have sent, by id: the JSON as it went out.
const orders = new Map();

// hear takes down what was said of an order.
async function hear(ctx, activity, more = {}) {
  state.answers.push({
    type: activity.constructor.name,
    id: activity.id?.href ?? null,
    actor: activity.actorId?.href ?? null,
    object: activity.objectId?.href ?? null,
    summary: activity.summary?.toString() ?? null,
    content: activity.content?.toString() ?? null,
    ends: activity.endTime?.toString() ?? null,
    agreement: null,
    receipt: null,
    ...more,
  });
}

async function answered(ctx, answer, outcome) {
  record(ctx, answer);
  const raw = await answer.toJsonLd(await loaders(ctx, reader));
  if (paid.has(answer.objectId?.href) || isEvent(raw.result)) return await hearPayment(ctx, answer, answer.objectId.href);
  if (orders.has(answer.objectId?.href)) {
    const options = await loaders(ctx, reader);
    const result = await answer.getResult(options);
    await hear(ctx, answer, { agreement: result instanceof as.Agreement ? await describeAgreement(result, options) : null });
    return;
  }
  for (const f of state.following) {
    if (f.follow === answer.objectId?.href && f.actor === answer.actorId?.href) f.state = outcome;
  }
}

// resolve finds an actor by handle or id, through WebFinger when it is a handle.
async function resolve(ctx, handle, identifier) {
  const actor = await ctx.lookupObject(handle, await loaders(ctx, identifier));
  if (!as.isActor(actor)) throw new Error(`${handle} is no actor: ${actor}`);
  return actor;
}

// send delivers an activity of one of our people to her followers and to the actors named.
async function send(ctx, identifier, activity, actors = [], followers = true) {
  outbox.push({ local: identifier, activity });
  const recipients = [...actors];
  for (const f of followers ? state.followers : []) {
    if (f.local === identifier && !recipients.some((r) => r.id.href === f.actor)) recipients.push(f.recipient);
  }
  await ctx.sendActivity({ identifier }, recipients, activity, { preferSharedInbox: true, orderingKey: activity.objectId?.href });
}

// medium is an attachment as the caller describes it: kind is Document or Image.
const medium = ({ kind, url, type, alt, width, height }) => new as[kind]({ url: new URL(url), mediaType: type, name: alt, width, height });

// answers are the options of a poll, with what was counted so far.
const answers = (names, votes = []) => names.map((name, i) =>
  new as.Note({ name, replies: new as.Collection({ totalItems: votes[i] ?? 0 }) }));

// The post's content is the caller's HTML; mention and hashtag become tags. With options it is a poll.
async function write(ctx, { as: identifier, content, mention, hashtag, in_reply_to, language, only, media, options, multiple, lasts }) {
  const id = randomUUID();
  const mentioned = mention ? [await resolve(ctx, mention, identifier)] : [];
  const tags = mentioned.map((a) => new as.Mention({ href: a.id, name: mention }));
  if (hashtag) tags.push(new as.Hashtag({ href: new URL(`/tags/${hashtag}`, origin), name: `#${hashtag}` }));
  const named = mentioned.map((a) => a.id);
  const kind = options ? as.Question : as.Note;
  const published = Temporal.Now.instant();
  const poll = options
    ? { [multiple ? "inclusiveOptions" : "exclusiveOptions"]: answers(options), voters: 0, endTime: published.add({ seconds: lasts }) }
    : {};
  const note = new kind({
    id: ctx.getObjectUri(kind, { id }),
    attribution: ctx.getActorUri(identifier),
    content: language ? new as.LanguageString(content, language) : content,
    published,
    url: new URL(`/@${identifier}/${id}`, origin),
    replyTarget: in_reply_to ? new URL(in_reply_to) : null,
    tos: only ? named : [as.PUBLIC_COLLECTION],
    ccs: only ? [] : [ctx.getFollowersUri(identifier), ...named],
    tags,
    attachments: (media ?? []).map(medium),
    ...poll,
  });
  ownNotes.set(id, note);
  await send(ctx, identifier, new as.Create({
    id: nextId("create"),
    actor: ctx.getActorUri(identifier),
    tos: note.toIds,
    ccs: note.ccIds,
    published: note.published,
    object: note,
  }), mentioned, !only);
  return { id: note.id.href, published: note.published.toString() };
}

// change replaces a post of ours and tells its readers.
async function change(ctx, identifier, id, values, mention) {
  const note = ownNotes.get(keyOf(id)).clone(values);
  ownNotes.set(keyOf(id), note);
  const mentioned = mention ? [await resolve(ctx, mention, identifier)] : [];
  await send(ctx, identifier, new as.Update({
    id: nextId("update"),
    actor: ctx.getActorUri(identifier),
    tos: note.toIds,
    ccs: note.ccIds,
    object: note,
  }), mentioned);
  return { id, updated: note.updated?.toString() ?? null };
}

// done are the activities of ours that can be taken back, by id.
const done = new Map();

// does sends an activity about something of somebody elsewhere, to her and, if it is for everyone, to followers too.
async function does(ctx, identifier, kind, object, to, open = false) {
  const others = to === null ? [] : [to];
  const activity = new kind({
    id: nextId(kind.name.toLowerCase()),
    actor: ctx.getActorUri(identifier),
    object,
    tos: open ? [as.PUBLIC_COLLECTION] : others.map((a) => a.id),
    ccs: open ? [ctx.getFollowersUri(identifier), ...others.map((a) => a.id)] : [],
  });
  done.set(activity.id.href, { activity, to, open });
  await send(ctx, identifier, activity, others, open);
  return { id: activity.id.href };
}

// authorOf finds who has written something, to tell her; null when she is one of ours.
async function authorOf(ctx, id, identifier) {
  if (ownNotes.has(keyOf(id))) return null;
  const options = await loaders(ctx, identifier);
  const author = await (await ctx.lookupObject(id, options))?.getAttribution(options);
  if (!as.isActor(author)) throw new Error(`nobody has written ${id}: ${author}`);
  return author;
}

async function tellOfChange(ctx, identifier) {
  const actor = await actorOf(ctx, identifier);
  await send(ctx, identifier, new as.Update({ id: nextId("update"), actor: actor.id, object: actor, to: as.PUBLIC_COLLECTION }));
}

// What the test may ask for: one line of JSON in, one out.
const control = {
  "GET state": () => ({ ...state, followers: state.followers.map(({ recipient, ...f }) => f) }),
  "POST lookup": async (ctx, { handle }) => await describeActor(await resolve(ctx, handle, reader), await loaders(ctx, reader)),
  "POST fetch": async (ctx, { id }) => {
    const object = await ctx.lookupObject(id, await loaders(ctx, reader));
    return object === null ? null : await describe(object, ctx, reader);
  },
  "POST proposal": async (ctx, { id }) => {
    const options = await loaders(ctx, reader);
    const proposal = await ctx.lookupObject(id, options);
    return proposal instanceof as.Proposal ? await describeProposal(proposal, options) : { type: proposal?.constructor.name ?? null };
  },
  // An order of what a proposal offers, as Fedify writes it; without an amount it is a gift.
  "POST order": async (ctx, { as: identifier, id, quantity, unit, amount, content }) => {
    const options = await loaders(ctx, identifier);
    const proposal = await ctx.lookupObject(id, options);
    const seller = await proposal.getAttribution(options);
    const commit = (intent, unit, value) => new as.Commitment({ satisfies: intent.id, resourceQuantity: new as.Measure({ unit, numericalValue: value }) });
    const agreement = new as.Agreement({
      stipulates: commit(proposal.publishes, unit ?? proposal.publishes.resourceQuantity.unit, quantity),
      ...(amount ? { stipulatesReciprocal: commit(proposal.reciprocal, "one", amount) } : {}),
    });
    const offer = new as.Offer({
      id: nextId("offer"),
      actor: ctx.getActorUri(identifier),
      to: seller.id,
      object: agreement,
      content,
      published: Temporal.Now.instant(),
    });
    orders.set(offer.id.href, await offer.toJsonLd({ contextLoader: ctx.contextLoader }));
    done.set(offer.id.href, { activity: offer, to: seller, open: false });
    await ctx.sendActivity({ identifier }, seller, offer);
    return { id: offer.id.href, json: orders.get(offer.id.href) };
  },
  // The confirmation of one side: a Document that refers to the Agreement.
  "POST receipt": async (ctx, { as: identifier, agreement, handle, content }) => {
    const to = await resolve(ctx, handle, identifier);
    const receipt = new as.Document({
      id: new URL(`/receipts/${randomUUID()}`, origin),
      name: "Received",
      content,
      attribution: ctx.getActorUri(identifier),
      contexts: [new URL(agreement)],
      published: Temporal.Now.instant(),
      to: to.id,
    });
    return await does(ctx, identifier, as.Create, receipt, to);
  },
  // A payment of ours: at once, or held until due; of what is fulfilled, or to give back what is corrected.
  "POST pay": async (ctx, { as: identifier, ledger, currency, to, amount, content, due, fulfills, corrects, lasts }) =>
    await says(ctx, identifier, ledger, {
      type: "Offer",
      target: ledger,
      endTime: Temporal.Now.instant().add({ seconds: lasts ?? 900 }).round("second").toString(),
      object: transfer(ctx.getActorUri(identifier).href, to, currency, amount, { content, due, fulfills, corrects }),
    }),
  "POST pay-again": async (ctx, { as: identifier, id }) => {
    const { activity, to } = sent.get(id);
    await post(ctx, identifier, activity, to);
    return {};
  },
  // What is held for one of ours is taken, so much of it, or let go.
  "POST take": async (ctx, { as: identifier, ledger, currency, from, id, amount, status }) =>
    await says(ctx, identifier, ledger, amount
      ? { type: "Accept", object: id, result: transfer(from, ctx.getActorUri(identifier).href, currency, amount) }
      : { type: "Reject", object: id }, status),
  // A payment is taken back.
  "POST unpay": async (ctx, { as: identifier, ledger, id }) => await says(ctx, identifier, ledger, { type: "Undo", object: id }),
  // What Fedify gets at an address, signed as one of ours.
  "POST read": async (ctx, { as: identifier, id }) =>
    (await (await ctx.getDocumentLoader({ identifier }))(id)).document,
  "POST serve": async (_, { path, document }) => {
    documents.set(path, document);
    return {};
  },
  "POST agreement": async (ctx, { as: identifier, id }) => {
    const options = await loaders(ctx, identifier);
    const agreement = await ctx.lookupObject(id, options);
    return agreement instanceof as.Agreement ? await describeAgreement(agreement, options) : { type: agreement?.constructor.name ?? null };
  },
  "POST follow": async (ctx, { as: identifier, handle }) => {
    const target = await resolve(ctx, handle, identifier);
    const follow = new as.Follow({ id: nextId("follow"), actor: ctx.getActorUri(identifier), object: target.id, to: target.id });
    state.following = state.following.filter((f) => f.local !== identifier || f.actor !== target.id.href);
    state.following.push({ local: identifier, actor: target.id.href, follow: follow.id.href, state: "sent" });
    await ctx.sendActivity({ identifier }, target, follow);
    return { id: follow.id.href };
  },
  "POST unfollow": async (ctx, { as: identifier, handle }) => {
    const target = await resolve(ctx, handle, identifier);
    const known = state.following.find((f) => f.local === identifier && f.actor === target.id.href);
    if (known === undefined) throw new Error(`${identifier} does not follow ${handle}`);
    const actor = ctx.getActorUri(identifier);
    const undo = new as.Undo({
      id: nextId("undo"),
      actor,
      to: target.id,
      object: new as.Follow({ id: new URL(known.follow), actor, object: target.id }),
    });
    await ctx.sendActivity({ identifier }, target, undo);
    state.following = state.following.filter((f) => f !== known);
    return { id: undo.id.href };
  },
  "POST post": write,
  "POST reply": write,
  "POST edit": (ctx, { as: identifier, id, content, mention, media }) =>
    change(ctx, identifier, id, {
      ...(content === undefined ? {} : { content }),
      ...(media === undefined ? {} : { attachments: media.map(medium) }),
      updated: Temporal.Now.instant(),
    }, mention),
  // New numbers of a poll, without `updated` as Mastodon sends them; with close the poll is over.
  "POST tally": (ctx, { as: identifier, id, options, votes, multiple, voters, close }) =>
    change(ctx, identifier, id, {
      [multiple ? "inclusiveOptions" : "exclusiveOptions"]: answers(options, votes),
      voters,
      ...(close ? { closed: Temporal.Now.instant() } : {}),
    }),
  "POST vote": async (ctx, { as: identifier, id, name }) => {
    const author = await authorOf(ctx, id, identifier);
    const note = new as.Note({
      id: new URL(`#votes/${randomUUID()}`, ctx.getActorUri(identifier)),
      attribution: ctx.getActorUri(identifier),
      name,
      replyTarget: new URL(id),
      to: author.id,
    });
    return await does(ctx, identifier, as.Create, note, author);
  },
  "POST like": async (ctx, { as: identifier, id, of }) =>
    await does(ctx, identifier, as.Like, new URL(id), of ? await resolve(ctx, of, identifier) : await authorOf(ctx, id, identifier)),
  "POST boost": async (ctx, { as: identifier, id }) =>
    await does(ctx, identifier, as.Announce, new URL(id), await authorOf(ctx, id, identifier), true),
  "POST block": async (ctx, { as: identifier, handle }) => {
    const target = await resolve(ctx, handle, identifier);
    const others = (all) => all.filter((f) => f.local !== identifier || f.actor !== target.id.href);
    state.followers = others(state.followers);
    state.following = others(state.following);
    return await does(ctx, identifier, as.Block, target.id, target);
  },
  "POST undo": async (ctx, { as: identifier, id }) => {
    const { activity, to, open } = done.get(id);
    return await does(ctx, identifier, as.Undo, activity, to, open);
  },
  "POST report": async (ctx, { as: identifier, handle, ids, content }) => {
    const target = await resolve(ctx, handle, identifier);
    const flag = new as.Flag({
      id: nextId("flag"),
      actor: ctx.getActorUri(identifier),
      objects: [target.id, ...ids.map((i) => new URL(i))],
      content,
      to: target.id,
    });
    await ctx.sendActivity({ identifier }, target, flag);
    return { id: flag.id.href };
  },
  "POST pin": async (ctx, { as: identifier, id, off }) => {
    const person = people[identifier];
    person.pins = person.pins.filter((p) => p !== id);
    if (!off) person.pins.push(id);
    await send(ctx, identifier, new (off ? as.Remove : as.Add)({
      id: nextId("pin"),
      actor: ctx.getActorUri(identifier),
      object: new URL(id),
      target: ctx.getFeaturedUri(identifier),
      to: as.PUBLIC_COLLECTION,
    }));
    return { id };
  },
  // The ids of what an actor elsewhere has on top of her profile.
  "POST pinned": async (ctx, { handle }) => {
    const options = await loaders(ctx, reader);
    const featured = await (await resolve(ctx, handle, reader)).getFeatured(options);
    const ids = [];
    for await (const item of ctx.traverseCollection(featured, options)) ids.push(item.id.href);
    return ids;
  },
  "POST profile": async (ctx, { as: identifier, name, summary, icon, also_known_as }) => {
    const person = people[identifier];
    if (name !== undefined) person.name = name;
    if (summary !== undefined) person.summary = summary;
    if (icon !== undefined) person.icon = medium({ kind: "Image", ...icon });
    if (also_known_as !== undefined) person.aliases = also_known_as.map((i) => new URL(i));
    await tellOfChange(ctx, identifier);
    return {};
  },
  "POST move": async (ctx, { as: identifier, to }) => {
    const actor = ctx.getActorUri(identifier);
    people[identifier].movedTo = new URL(to);
    await tellOfChange(ctx, identifier);
    await send(ctx, identifier, new as.Move({
      id: nextId("move"),
      actor,
      object: actor,
      target: new URL(to),
      to: ctx.getFollowersUri(identifier),
    }));
    return {};
  },
  // A person leaves for ever; others than her followers who are to know are named.
  "POST leave": async (ctx, { as: identifier, handles }) => {
    const others = await Promise.all(handles.map((h) => resolve(ctx, h, identifier)));
    const actor = ctx.getActorUri(identifier);
    people[identifier].left = Temporal.Now.instant();
    await send(ctx, identifier, new as.Delete({ id: nextId("delete"), actor, object: actor, to: as.PUBLIC_COLLECTION }), others);
    return {};
  },
  // What a browser or another server gets at an address.
  "POST get": async (_, { url }) => {
    const response = await fetch(url);
    return { status: response.status, type: response.headers.get("Content-Type"), size: (await response.arrayBuffer()).byteLength };
  },
  "POST delete": async (ctx, { as: identifier, id, mention }) => {
    const grave = new as.Tombstone({ id: new URL(id), deleted: Temporal.Now.instant() });
    ownNotes.delete(keyOf(id));
    const mentioned = mention ? [await resolve(ctx, mention, identifier)] : [];
    await send(ctx, identifier, new as.Delete({
      id: nextId("delete"),
      actor: ctx.getActorUri(identifier),
      to: as.PUBLIC_COLLECTION,
      object: grave,
    }), mentioned);
    return { id };
  },
  // The private key of one of our people: what a thief would have.
  "POST key": async (ctx, { as: identifier }) => {
    const keys = await ctx.getActorKeyPairs(identifier);
    return { id: keys[0].keyId.href, jwk: await exportJwk(keys[0].privateKey) };
  },
};

async function bodyOf(req) {
  const chunks = [];
  for await (const chunk of req) chunks.push(chunk);
  return Buffer.concat(chunks);
}

// The request as its sender saw it: the test ends TLS and passes path, headers and body on as they were.
async function serveWeb(req, res) {
  const headers = new Headers();
  for (let i = 0; i < req.rawHeaders.length; i += 2) headers.append(req.rawHeaders[i], req.rawHeaders[i + 1]);
  const body = req.method === "GET" || req.method === "HEAD" ? undefined : await bodyOf(req);
  if (documents.has(req.url)) {
    res.writeHead(200, { "Content-Type": "application/activity+json" });
    res.end(JSON.stringify(documents.get(req.url)));
    return;
  }
  const request = new Request(new URL(req.url, origin), { method: req.method, headers, body });
  const response = await federation.fetch(request, { contextData: undefined });
  if (implemented && req.url === "/people/ana" && response.ok) { // Fedify's classes have no word for it
    const actor = await response.json();
    actor.generator = { type: "Application", implements: [{ href: implemented, name: "payments" }] };
    res.writeHead(200, { "Content-Type": response.headers.get("Content-Type") });
    res.end(JSON.stringify(actor));
    return;
  }
  res.writeHead(response.status, Object.fromEntries(response.headers));
  res.end(Buffer.from(await response.arrayBuffer()));
}

async function serveControl(req, res) {
  const verb = `${req.method} ${req.url.replace("/control/", "")}`;
  const body = (await bodyOf(req)).toString();
  const action = control[verb];
  let status = 200, answer;
  try {
    if (action === undefined) throw new Error(`no such control: ${verb}`);
    answer = await action(federation.createContext(new URL(origin), undefined), body === "" ? {} : JSON.parse(body));
  } catch (error) {
    status = 500;
    answer = { error: `${verb}: ${error?.stack ?? error}` };
  }
  res.writeHead(status, { "Content-Type": "application/json" });
  res.end(JSON.stringify(answer));
}

function listen(serve) {
  const server = createServer((req, res) => {
    serve(req, res).catch((error) => {
      fail(`${req.method} ${req.url}`, error);
      res.writeHead(500).end();
    });
  });
  return new Promise((done) => server.listen(0, "127.0.0.1", () => done(server.address().port)));
}

process.on("unhandledRejection", (error) => fail("unhandled", error));
process.stdin.resume().on("end", () => process.exit(0)).on("error", () => process.exit(0));

console.log(JSON.stringify({ web: await listen(serveWeb), control: await listen(serveControl) }));
