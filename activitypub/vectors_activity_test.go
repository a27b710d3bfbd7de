package activitypub_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"planet/activitypub"
	"planet/storage"
)

// activity plays an activity: first what it supposes that happened before, then itself, then what must be so afterwards.
func (p *play) activity(kind string) {
	p.replace("{{LOCAL_ACTOR}}", p.baker.Actor.IRI)
	p.replace("{{LOCAL_POST_URL}}", p.rye.Say(p.baker, "bread").IRI)
	switch kind {
	case "Create":
		p.create()
	case "Update":
		p.update()
	case "Delete":
		p.remove()
	case "Follow":
		p.follows()
	case "Accept", "Reject":
		p.answer(kind)
	case "Undo":
		p.undo()
	case "Announce":
		p.announce()
	case "Like", "EmojiReact", "Dislike":
		p.like(kind)
	case "Block":
		p.block()
	case "Flag":
		p.flag()
	case "Move":
		p.move()
	case "Add", "Remove":
		p.feature(kind)
	case "QuoteRequest":
		p.quoteRequest()
	default:
		p.ignored()
	}
}

func (p *play) actor() string { return iri(p.doc["actor"]) }

// ignored: 202, and nothing happens.
func (p *play) ignored() {
	p.t.Helper()
	p.followed(p.actor())
	before := p.rye.State()
	p.take(p.actor(), p.doc)
	p.rye.WantUnmoved(before)
}

// row is an actor as the node has it.
func (p *play) row(id string) *storage.Actor {
	p.t.Helper()
	a, err := p.rye.DB.ActorByIRI(p.t.Context(), storage.IRI(id))
	if err != nil {
		p.t.Fatalf("%s: %v", id, err)
	}
	return a
}

// kept is a post as the node has it.
func (p *play) kept(id string) *storage.Post {
	p.t.Helper()
	post, err := p.rye.DB.PostByIRI(p.t.Context(), storage.IRI(id))
	if err != nil {
		p.t.Fatalf("%s was not kept: %v", id, err)
	}
	return post
}

func (p *play) count(what string, want int64, count func() (int64, error)) {
	p.t.Helper()
	if got, err := count(); err != nil || got != want {
		p.t.Errorf("%d %s, %v; want %d", got, what, err, want)
	}
}

func (p *play) followers(want int64) {
	p.t.Helper()
	p.count("followers", want, func() (int64, error) { return p.rye.DB.CountFollowers(p.t.Context(), p.baker.Actor.ID) })
}

// local puts one of ours in the place of what the document names at a place: the co-op, or a post of hers.
func (p *play) local(id string, post bool) *storage.Post {
	p.t.Helper()
	if strings.HasPrefix(id, "https://rye.example/") {
		if !post {
			return nil
		}
		return p.kept(id)
	}
	if !post {
		p.replace(id, p.baker.Actor.IRI)
		return nil
	}
	ours := p.rye.Say(p.baker, "bread of the day")
	p.replace(id, ours.IRI)
	return ours
}

func isVote(o dict) bool {
	return str(o, "name") != "" && o["inReplyTo"] != nil && o["content"] == nil && o["contentMap"] == nil
}

func (p *play) create() {
	var objects []dict
	for _, o := range listed(p.doc, "object") {
		if o, ok := o.(dict); ok {
			objects = append(objects, o)
		}
	}
	switch {
	case len(objects) == 0: // by name alone: it is looked at where it is
		id := iri(p.doc["object"])
		p.followed(p.actor())
		note := dict{"@context": as2, "id": id, "type": "Note", "attributedTo": p.actor(), "content": "found", "to": []any{asPublic}}
		p.world.put(note)
		p.take(p.actor(), p.doc)
		p.wantPost(p.kept(id), note)
		return
	case isVote(objects[0]):
		p.vote(objects)
		return
	}
	o := objects[0]
	addressed := slices.Concat(listed(o, "to"), listed(o, "cc"), listed(p.doc, "to"), listed(p.doc, "cc"))
	open := slices.ContainsFunc(addressed, func(v any) bool { return v == asPublic || v == "as:Public" || v == "Public" })
	forFollowers := slices.ContainsFunc(addressed, func(v any) bool { s, _ := v.(string); return strings.HasPrefix(s, p.actor()+"/") })
	author := iri(o["attributedTo"])
	concerns := strings.Contains(mustJSON(p.doc), "https://rye.example/")
	switch {
	case concerns:
	case !open && !forFollowers && len(addressed) > 0 && author == p.actor(): // it speaks to somebody: to us
		p.local(iri(addressed[0]), false)
	default: // nobody here has anything to do with it, until somebody follows its author
		before := p.rye.State()
		p.take(p.actor(), p.doc)
		p.rye.WantUnmoved(before)
		p.followed(p.actor())
	}
	o = child(p.doc, "object")
	id := str(o, "id")
	if author != p.actor() && author != "" { // in the name of a group: looked at where it is
		p.world.rekey(p.world.actor(author), dict{"@context": as2, "id": author, "type": "Group", "preferredUsername": "group", "inbox": author + "/inbox"})
		p.followed(author)
		p.world.put(o)
	}
	p.take(p.actor(), p.doc)
	post, err := p.rye.DB.PostByIRI(p.t.Context(), storage.IRI(id))
	if !slices.Contains(postKinds, kindOf(o)) || len(addressed) == 0 || author != p.actor() && !open {
		if err == nil {
			p.t.Errorf("it was kept as %+v", post)
		}
		return
	}
	if err != nil {
		p.t.Fatalf("it was not kept: %v", err)
	}
	if o["to"] == nil && o["cc"] == nil {
		o = maps.Clone(o)
		o["to"], o["cc"] = p.doc["to"], p.doc["cc"]
	}
	p.wantPost(post, o)
	if a := p.row(author); post.ActorID != a.ID {
		p.t.Errorf("it is a post of actor %s, want %s", post.ActorID, author)
	}
	if strings.HasPrefix(iri(o["inReplyTo"]), "https://rye.example/") && post.InReplyToID == nil {
		p.t.Error("it answers a post of ours, and does not hang on it")
	}
	p.take(p.actor(), p.doc) // once more: nothing new
	if told, err := p.rye.DB.Notifications(p.t.Context(), p.baker.Actor.ID, storage.Page{}); err != nil || concerns && len(told) != 1 || len(told) > 1 {
		p.t.Errorf("the co-op was told %d times, %v", len(told), err)
	}
}

// vote: names that answer a poll of ours are counted.
func (p *play) vote(objects []dict) {
	draft := &activitypub.PollDraft{Multiple: len(objects) > 1, Lasts: 24 * time.Hour}
	for _, o := range objects {
		draft.Options = append(draft.Options, str(o, "name"))
	}
	draft.Options = append(draft.Options, "none of these")
	poll, err := p.rye.Publish(p.t.Context(), p.baker, activitypub.Draft{Text: "Which?", Poll: draft})
	if err != nil {
		p.t.Fatal(err)
	}
	p.replace(iri(objects[0]["inReplyTo"]), poll.IRI)
	p.local(iri(objects[0]["to"]), false)
	for range 2 {
		p.take(p.actor(), p.doc)
	}
	got, err := p.rye.DB.PollOf(p.t.Context(), poll.ID)
	if err != nil {
		p.t.Fatal(err)
	}
	for i, o := range got.Options {
		want := int64(1)
		if i == len(objects) {
			want = 0
		}
		if o.Votes != want {
			p.t.Errorf("%q has %d votes, want %d", o.Name, o.Votes, want)
		}
	}
	if got.Voters != 1 {
		p.t.Errorf("%d voters, want 1", got.Voters)
	}
}

func (p *play) update() {
	o := child(p.doc, "object")
	id := str(o, "id")
	if slices.Contains(actorKinds, kindOf(o)) {
		p.followed(p.actor())
		if id != p.actor() { // a moderator: who changes somebody else is refused (FEP-fe34)
			p.followed(id)
			before := p.rye.State()
			if got, body := p.send(p.actor(), p.doc); got != 403 {
				p.t.Errorf("it was answered %d %s, want 403", got, body)
			}
			p.rye.WantUnmoved(before)
			return
		}
		doc := maps.Clone(o)
		doc["@context"] = p.doc["@context"]
		p.world.rekey(p.world.actor(id), doc)
		p.take(id, p.doc)
		p.wantActor(p.row(id), p.world.docs[id])
		return
	}
	p.followed(p.actor())
	old := maps.Clone(o)
	delete(old, "updated")
	old["name"], old["content"], old["contentMap"], old["published"] = "before", "<p>before</p>", nil, "2020-01-01T00:00:00Z"
	said := p.does(p.actor(), "Create", old)
	if strings.HasSuffix(str(p.doc, "id"), "/activity") { // flohmarkt's edits have the id of the Create
		said["id"] = p.doc["id"]
	}
	p.take(p.actor(), said)
	p.take(p.actor(), p.doc)
	post := p.kept(id)
	o = maps.Clone(o)
	delete(o, "published") // an edit does not change it
	p.wantPost(post, o)
	if post.EditedAt == nil {
		p.t.Error("it does not say that it was edited")
	}
	p.take(p.actor(), p.doc)
	if again := p.kept(id); again.Content != post.Content || !again.EditedAt.Equal(*post.EditedAt) {
		p.t.Errorf("the same edit again changed it to %+v", again)
	}
}

func (p *play) remove() {
	id := iri(p.doc["object"])
	p.followed(p.actor())
	if id == p.actor() {
		p.take(id, p.does(id, "Follow", string(p.baker.Actor.IRI)))
		note := id + "/last-words"
		p.take(id, p.does(id, "Create", dict{"id": note, "type": "Note", "attributedTo": id, "content": "words", "to": []any{asPublic}}))
		p.followers(1)
		p.take(id, p.doc)
		if a := p.row(id); a.DeletedAt == nil || a.Name != "" {
			p.t.Errorf("the actor is %+v, want it gone", a)
		}
		if post := p.kept(note); post.DeletedAt == nil || post.Content != "" {
			p.t.Errorf("the post is %+v, want it gone", post)
		}
		p.followers(0)
		p.count("followed", 0, func() (int64, error) { return p.rye.DB.CountFollowing(p.t.Context(), p.baker.Actor.ID) })
		return
	}
	say := p.does(p.actor(), "Create", dict{"id": id, "type": "Note", "attributedTo": p.actor(), "content": "words", "to": []any{asPublic}})
	p.take(p.actor(), say)
	p.kept(id)
	p.take(p.actor(), p.doc)
	if post := p.kept(id); post.DeletedAt == nil || post.Content != "" {
		p.t.Errorf("the post is %+v, want it gone", post)
	}
	say["id"] = str(say, "id") + "/late"
	p.take(p.actor(), say)
	if post := p.kept(id); post.DeletedAt == nil {
		p.t.Error("a late Create brought it back")
	}
}

func (p *play) follows() {
	p.local(iri(p.doc["object"]), false)
	for i := range 2 { // once more is answered once more
		p.take(p.actor(), p.doc)
		p.followers(1)
		if i > 0 {
			continue
		}
		accepts := p.world.answered("Accept")
		if len(accepts) != 1 {
			p.t.Fatalf("%d Accepts, want 1", len(accepts))
		}
		o := child(accepts[0], "object")
		if o["type"] != "Follow" || str(o, "id") != str(p.doc, "id") || iri(o["actor"]) != p.actor() || iri(o["object"]) != string(p.baker.Actor.IRI) || iri(accepts[0]["actor"]) != string(p.baker.Actor.IRI) {
			p.t.Errorf("the Accept embeds %v, want the whole Follow", o)
		}
	}
}

func (p *play) answer(kind string) {
	about, inner := iri(p.doc["object"]), child(p.doc, "object")
	switch {
	case inner["type"] == "Follow" || len(inner) == 0 && strings.Contains(about, "follow"):
		follow := p.follow(p.actor())
		if id := iri(inner["actor"]); id != "" {
			p.local(id, false)
		}
		p.replace(about, storage.IRI(str(follow, "id")))
		state := func() string {
			f, err := p.rye.DB.FollowBetween(p.t.Context(), p.baker.Actor.ID, p.row(p.actor()).ID)
			if err != nil {
				return "none"
			}
			return f.State
		}
		want := storage.FollowAccepted
		if kind == "Reject" { // also of what was accepted before
			p.take(p.actor(), p.does(p.actor(), "Accept", follow))
			want = "none"
		}
		p.take(p.actor(), p.doc)
		if got := state(); got != want {
			p.t.Errorf("the follow is %s, want %s", got, want)
		}
	case len(inner) == 0 && strings.Contains(about, "/statuses/"): // leave to answer
		p.followed(p.actor())
		asked := p.actor() + "/statuses/asked"
		p.take(p.actor(), p.does(p.actor(), "Create", dict{"id": asked, "type": "Note", "attributedTo": p.actor(), "content": "ask me first", "to": []any{asPublic},
			"interactionPolicy": dict{"canReply": dict{"automaticApproval": []any{p.actor()}, "manualApproval": []any{asPublic}}}}))
		reply, err := p.rye.Publish(p.t.Context(), p.baker, activitypub.Draft{Text: "May I?", InReplyTo: storage.IRI(asked)})
		if err != nil {
			p.t.Fatal(err)
		}
		if reply.Approval != storage.ApprovalPending {
			p.t.Fatalf("the answer waits for %q", reply.Approval)
		}
		p.replace(about, reply.IRI)
		want := iri(p.doc["result"])
		if kind == "Reject" {
			want = storage.ApprovalRejected
		}
		p.take(p.actor(), p.doc)
		if got := p.kept(string(reply.IRI)).Approval; got != want {
			p.t.Errorf("the answer is %q, want %q", got, want)
		}
	default: // of what this node never asked for
		p.ignored()
	}
}

func (p *play) undo() {
	about, inner := iri(p.doc["object"]), child(p.doc, "object")
	kind := kindOf(inner)
	if len(inner) == 0 { // a bare id: what it names is done first, and says so in its id
		for _, k := range []string{"Follow", "Like", "Announce", "Block", "EmojiReact"} {
			if strings.Contains(strings.ToLower(about), strings.ToLower(k)) {
				kind = k
			}
		}
		inner = dict{"id": about, "type": kind, "actor": p.actor(), "object": "https://elsewhere.example/thing"}
	}
	ours := p.local(iri(inner["object"]), kind != "Follow" && kind != "Block")
	if c := child(p.doc, "object"); len(c) > 0 {
		inner = maps.Clone(c)
	} else {
		inner["object"] = string(p.baker.Actor.IRI)
		if kind != "Follow" && kind != "Block" {
			ours = p.rye.Say(p.baker, "bread")
			inner["object"] = string(ours.IRI)
		}
	}
	if kind == "Delete" { // words that were deleted do not come back (an id is used once)
		p.ignored()
		return
	}
	if inner["id"] == nil {
		inner["id"] = originOf(p.actor()) + "/beside/deed"
	}
	inner["@context"] = as2
	there := func(want int64) {
		p.t.Helper()
		switch kind {
		case "Follow":
			p.followers(want)
		case "Like", "EmojiReact":
			p.count("likes", want, func() (int64, error) { return p.rye.DB.CountLikes(p.t.Context(), ours.ID) })
		case "Announce":
			p.count("boosts", want, func() (int64, error) { return p.rye.DB.CountBoosts(p.t.Context(), ours.ID) })
		case "Block":
			b, err := p.rye.DB.BlockBetween(p.t.Context(), p.row(p.actor()).ID, p.baker.Actor.ID)
			if (err == nil) != (want == 1) {
				p.t.Errorf("the block is %+v, %v; want %d", b, err, want)
			}
		default:
			p.t.Fatalf("an Undo of %q has no meaning here", kind)
		}
	}
	p.take(p.actor(), inner)
	there(1)
	p.take(p.actor(), p.doc)
	there(0)
	p.take(p.actor(), inner) // the deed again, late: it stays undone
	there(0)
}

func (p *play) announce() {
	id, inner := iri(p.doc["object"]), child(p.doc, "object")
	if strings.HasPrefix(id, "https://rye.example/") { // of ours: it counts
		ours := p.kept(id)
		p.take(p.actor(), p.doc)
		p.count("boosts", 1, func() (int64, error) { return p.rye.DB.CountBoosts(p.t.Context(), ours.ID) })
		return
	}
	p.followed(p.actor())
	said := inner
	if o := child(inner, "object"); len(o) > 0 {
		said = o
	}
	if id == iri(p.doc["object"]) && len(said) == 0 {
		if said = p.world.set[id]; said == nil {
			said = dict{"id": id, "type": "Note", "attributedTo": p.actor(), "content": "found where it is", "to": []any{asPublic}}
		}
	}
	said = maps.Clone(said)
	said["@context"] = as2
	for _, a := range listed(said, "attributedTo") {
		p.world.actor(iri(a))
	}
	p.world.put(said)
	p.take(p.actor(), p.doc)
	post := p.kept(str(said, "id"))
	p.wantPost(post, said)
	b, err := p.rye.DB.BoostBetween(p.t.Context(), p.row(p.actor()).ID, post.ID)
	if err != nil || string(b.IRI) != str(p.doc, "id") {
		p.t.Errorf("the boost is %+v, %v", b, err)
	}
	if home := p.rye.Home(p.baker); len(home) == 0 {
		p.t.Error("the co-op, who follows the actor, sees nothing")
	}
}

func (p *play) like(kind string) {
	ours := p.local(iri(p.doc["object"]), true)
	if kind == "Dislike" {
		p.ignored()
		p.count("likes", 0, func() (int64, error) { return p.rye.DB.CountLikes(p.t.Context(), ours.ID) })
		return
	}
	for range 2 {
		p.take(p.actor(), p.doc)
		p.count("likes", 1, func() (int64, error) { return p.rye.DB.CountLikes(p.t.Context(), ours.ID) })
	}
	l, err := p.rye.DB.LikeBetween(p.t.Context(), p.row(p.actor()).ID, ours.ID)
	if err != nil {
		p.t.Fatal(err)
	}
	want := str(p.doc, "content")
	if want == "" {
		want = str(p.doc, "_misskey_reaction")
	}
	if l.Content != want {
		p.t.Errorf("the reaction is %q, want %q", l.Content, want)
	}
}

func (p *play) block() {
	p.local(iri(p.doc["object"]), false)
	if p.doc["target"] != nil { // a ban from a group
		p.ignored()
		return
	}
	p.followed(p.actor())
	p.take(p.actor(), p.does(p.actor(), "Follow", string(p.baker.Actor.IRI)))
	p.followers(1)
	p.take(p.actor(), p.doc)
	p.followers(0)
	p.count("followed", 0, func() (int64, error) { return p.rye.DB.CountFollowing(p.t.Context(), p.baker.Actor.ID) })
	if _, err := p.rye.DB.BlockBetween(p.t.Context(), p.row(p.actor()).ID, p.baker.Actor.ID); err != nil {
		p.t.Errorf("the block: %v", err)
	}
}

func (p *play) flag() {
	posts := 0
	for i, o := range listed(p.doc, "object") {
		post := i > 0 || strings.Contains(iri(o), "post") || strings.Contains(iri(o), "/statuses/")
		if p.local(iri(o), post); post {
			posts++
		}
	}
	before := len(p.world.received)
	p.take(p.actor(), p.doc)
	rs, err := p.rye.DB.Reports(p.t.Context(), false, storage.Page{})
	if err != nil || len(rs) != 1 {
		p.t.Fatalf("%d reports, %v; want 1", len(rs), err)
	}
	comment := str(p.doc, "content")
	if comment == "" {
		comment = str(p.doc, "summary")
	}
	if r := rs[0]; r.Comment != comment || len(r.Posts) != posts || r.TargetID != p.baker.Actor.ID {
		p.t.Errorf("the report is %+v, want %q about %d posts of the co-op", r, comment, posts)
	}
	if len(p.world.received) != before {
		p.t.Errorf("the report left the node: %v", p.world.received[before:])
	}
}

func (p *play) move() {
	from, to := iri(p.doc["object"]), iri(p.doc["target"])
	p.followed(from)
	p.world.actor(to)
	p.take(p.actor(), p.doc) // neither side says so in its own document: nothing is believed
	if _, err := p.rye.DB.FollowBetween(p.t.Context(), p.baker.Actor.ID, p.row(from).ID); err != nil {
		p.t.Fatalf("the follow went away: %v", err)
	}
	p.world.docs[from]["movedTo"] = to
	p.world.docs[to]["alsoKnownAs"] = from // a single one, as some write it
	again := maps.Clone(p.doc)
	again["id"] = str(p.doc, "id") + "-again"
	p.take(p.actor(), again)
	if _, err := p.rye.DB.FollowBetween(p.t.Context(), p.baker.Actor.ID, p.row(to).ID); err != nil {
		p.t.Errorf("the co-op did not go along: %v", err)
	}
	if _, err := p.rye.DB.FollowBetween(p.t.Context(), p.baker.Actor.ID, p.row(from).ID); err == nil {
		p.t.Error("the co-op still follows the old actor")
	}
}

func (p *play) feature(kind string) {
	target := iri(p.doc["target"])
	if !strings.HasPrefix(target, p.actor()) || !strings.Contains(target, "featured") {
		p.ignored()
		return
	}
	p.world.actor(p.actor())
	p.world.docs[p.actor()]["featured"] = target
	p.followed(p.actor())
	id := iri(p.doc["object"])
	p.world.put(dict{"@context": as2, "id": id, "type": "Note", "attributedTo": p.actor(), "content": "pinned", "to": []any{asPublic}})
	pinned := func(want int) {
		p.t.Helper()
		got, err := p.rye.DB.Pinned(p.t.Context(), p.row(p.actor()).ID, []string{storage.Public})
		if err != nil || len(got) != want || want == 1 && string(got[0].IRI) != id {
			p.t.Errorf("%d posts are pinned, %v; want %d", len(got), err, want)
		}
	}
	if kind == "Remove" {
		add := p.does(p.actor(), "Add", p.doc["object"])
		add["target"] = p.doc["target"]
		p.take(p.actor(), add)
		pinned(1)
		p.take(p.actor(), p.doc)
		pinned(0)
		return
	}
	p.take(p.actor(), p.doc)
	pinned(1)
}

func (p *play) quoteRequest() {
	p.local(iri(p.doc["object"]), true)
	p.take(p.actor(), p.doc)
	accepts := p.world.answered("Accept")
	if len(accepts) != 1 {
		p.t.Fatalf("%d Accepts, want 1", len(accepts))
	}
	o := child(accepts[0], "object")
	if o["type"] != "QuoteRequest" || str(o, "id") != str(p.doc, "id") || iri(o["object"]) != iri(p.doc["object"]) || iri(o["instrument"]) != iri(p.doc["instrument"]) || str(accepts[0], "result") == "" {
		p.t.Errorf("the answer is %v", accepts[0])
	}
}

func mustJSON(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(raw)
}
