package activitypub_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"planet/activitypub"
	"planet/activitypub/aptest"
	"planet/storage"
	"planet/storage/storagetest"
)

// A simulated week: five nodes with two people and a co-op each say, follow, like, edit and delete at random, while requests
// are lost, doubled, late or answered with 503, nodes are killed and clocks jump, and one host is off the network for eight
// days. What holds every day, and what all nodes agree on in the end, is said in wantEveryDay and wantAgreement.
//
// PLANET_WEEK_SEEDS=1-50 runs more weeks; a failure names its seed.

func TestREL316AWeekOfFaults(t *testing.T) {
	from, to := 1, 1
	if s := os.Getenv("PLANET_WEEK_SEEDS"); s != "" {
		a, b, ok := strings.Cut(s, "-")
		if !ok {
			b = a
		}
		var err error
		if from, err = strconv.Atoi(a); err != nil {
			t.Fatal(err)
		}
		if to, err = strconv.Atoi(b); err != nil {
			t.Fatal(err)
		}
	}
	for seed := from; seed <= to; seed++ {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) { newWeek(t, uint64(seed)).run() })
	}
}

const (
	absentHost = "far.example"
	absentFrom = 12 * time.Hour
	absentTo   = absentFrom + 8*24*time.Hour
	actsUntil  = absentTo + 24*time.Hour
	allQuiet   = 4 * 24 * time.Hour // for what waits after a sixteenth try
	actsOfWeek = 180
)

type week struct {
	t     *testing.T
	net   *aptest.Network
	dice  *rand.Rand
	start time.Time
	nodes []*aptest.Node
	cast  []someone
	said  map[storage.IRI]*saying
	did   map[string]int
}

type someone struct {
	node   *aptest.Node
	by     activitypub.By
	handle string
}

// saying is a post as its author knows it.
type saying struct {
	who  someone
	id   storage.ID
	word string // of its latest edit; no other post has it
	gone bool
}

func newWeek(t *testing.T, seed uint64) *week {
	w := &week{t: t, dice: rand.New(rand.NewPCG(seed, 0)), said: map[storage.IRI]*saying{}, did: map[string]int{}}
	w.net = aptest.New(t, "rye.example", "oak.example", "elm.example", "ash.example", absentHost)
	w.start = w.net.Now()
	for _, host := range []string{"rye.example", "oak.example", "elm.example", "ash.example", absentHost} {
		n := w.net.Node(host)
		w.nodes = append(w.nodes, n)
		ana, bo := n.Person("ana"), n.Person("bo")
		for _, by := range []activitypub.By{ana, bo, n.Coop(ana, "coop")} {
			w.cast = append(w.cast, someone{n, by, "@" + by.Actor.Username + "@" + host})
		}
	}
	for range 40 {
		w.follow(w.anyone())
	}
	w.net.Deliver()
	w.net.Disturb(seed, aptest.Faults{Lost: 60, Unanswered: 40, Twice: 40, Late: 40, Busy: 40})
	return w
}

func (w *week) anyone() someone { return w.cast[w.dice.IntN(len(w.cast))] }

// must lets pass what may go wrong in such a week: somebody is not found, does not answer or forbids it.
func (w *week) must(err error) bool {
	w.t.Helper()
	var p *activitypub.Problem
	var i *activitypub.InvalidError
	var f *activitypub.FetchError
	if err != nil && !errors.Is(err, storage.ErrNotFound) && !errors.As(err, &p) && !errors.As(err, &i) && !errors.As(err, &f) {
		w.t.Fatal(err)
	}
	return err == nil
}

func (w *week) run() {
	next, day, away, wrong := time.Duration(0), 1, false, 0
	for {
		at := w.net.Now().Sub(w.start)
		if want := at >= absentFrom && at < absentTo; want != away {
			away = want
			w.net.Away(absentHost, away)
		}
		if at >= actsUntil {
			break
		}
		for at >= next {
			w.act()
			next += time.Duration(w.dice.Int64N(int64(2 * actsUntil / actsOfWeek)))
		}
		if w.dice.IntN(40) == 0 { // one clock at a time is an hour off
			w.nodes[wrong].SetClock(0)
			wrong = w.dice.IntN(len(w.nodes))
			w.nodes[wrong].SetClock(time.Duration(w.dice.IntN(111)-55) * time.Minute)
		}
		w.pass(time.Duration(5+w.dice.IntN(20)) * time.Minute)
		if w.net.Now().Sub(w.start) > time.Duration(day)*24*time.Hour {
			day++
			w.wantEveryDay()
		}
	}
	w.net.Disturb(0, aptest.Faults{})
	w.nodes[wrong].SetClock(0)
	for range int(allQuiet / time.Hour) {
		w.pass(time.Hour)
	}
	w.wantEveryDay()
	w.wantAgreement()
	w.t.Logf("%d requests, did %v", len(w.net.Trips()), w.did)
}

// pass lets time pass, and then do the nodes what is due.
func (w *week) pass(d time.Duration) {
	w.net.Sleep(d)
	for _, n := range w.nodes {
		n.ForgetRefusals() // these minutes are counted by the real clock
	}
	w.net.Deliver()
}

var acts = []struct {
	name   string
	weight int
	do     func(*week, someone) bool
}{
	{"say", 22, (*week).say}, {"reply", 12, (*week).reply}, {"edit", 9, (*week).edit}, {"delete", 9, (*week).delete},
	{"follow", 14, (*week).follow}, {"unfollow", 7, (*week).unfollow}, {"like", 12, (*week).like}, {"unlike", 5, (*week).unlike},
	{"boost", 8, (*week).boost}, {"unboost", 4, (*week).unboost}, {"block", 2, (*week).block}, {"unblock", 2, (*week).unblock},
	{"ask", 3, (*week).ask}, {"vote", 6, (*week).vote}, {"profile", 2, (*week).profile}, {"restart", 2, (*week).restart}, {"crash", 2, (*week).crash},
}

func (w *week) act() {
	total := 0
	for _, a := range acts {
		total += a.weight
	}
	roll := w.dice.IntN(total)
	for _, a := range acts {
		if roll -= a.weight; roll < 0 {
			if a.do(w, w.anyone()) {
				w.did[a.name]++
			}
			return
		}
	}
}

func (w *week) words() string { return fmt.Sprintf("word%d", w.dice.Int64()) }

func (w *week) publish(who someone, d activitypub.Draft) bool {
	word := w.words()
	d.Text += " " + word
	if w.dice.IntN(4) == 0 {
		d.Text += " " + w.anyone().handle
	}
	p, err := who.node.Publish(w.t.Context(), who.by, d)
	if !w.must(err) {
		return false
	}
	w.said[p.IRI] = &saying{who: who, id: p.ID, word: word}
	return true
}

func (w *week) say(who someone) bool {
	visibility := []string{storage.Public, storage.Public, storage.Unlisted, storage.Private}[w.dice.IntN(4)]
	return w.publish(who, activitypub.Draft{Text: "news", Visibility: visibility})
}

func (w *week) ask(who someone) bool {
	return w.publish(who, activitypub.Draft{Text: "which?", Poll: &activitypub.PollDraft{Options: []string{"rye", "oak"}, Lasts: 12 * time.Hour}})
}

// seen is one of the posts that somebody sees, if there is one that suits.
func (w *week) seen(who someone, suits func(storage.Post) bool) (storage.Post, bool) {
	home := slices.DeleteFunc(who.node.Home(who.by), func(p storage.Post) bool { return !suits(p) })
	if len(home) == 0 {
		return storage.Post{}, false
	}
	return home[w.dice.IntN(len(home))], true
}

func anyPost(p storage.Post) bool { return p.BoostOfID == nil }

func (w *week) reply(who someone) bool {
	p, ok := w.seen(who, anyPost)
	return ok && w.publish(who, activitypub.Draft{Text: "answer", InReplyTo: p.IRI, Visibility: p.Visibility})
}

// own is one of somebody's posts.
func (w *week) own(who someone) *saying {
	var mine []storage.IRI
	for iri, s := range w.said {
		if s.who == who && !s.gone {
			mine = append(mine, iri)
		}
	}
	if len(mine) == 0 {
		return nil
	}
	slices.Sort(mine)
	return w.said[mine[w.dice.IntN(len(mine))]]
}

func (w *week) edit(who someone) bool {
	s := w.own(who)
	if s == nil {
		return false
	}
	word := w.words()
	_, err := who.node.Edit(w.t.Context(), who.by, s.id, activitypub.Draft{Text: "edited " + word})
	if !w.must(err) {
		return false
	}
	s.word = word
	return true
}

func (w *week) delete(who someone) bool {
	s := w.own(who)
	if s == nil {
		return false
	}
	s.gone = w.must(who.node.Delete(w.t.Context(), who.by, s.id))
	return s.gone
}

func (w *week) follow(who someone) bool {
	_, err := who.node.Follow(w.t.Context(), who.by, w.anyone().handle)
	return w.must(err)
}

// related is somebody whom another one follows or blocks.
func (w *week) related(who someone, table string) string {
	s := snapshotOf(w.t, who.node)
	var ids []string
	for _, row := range s.rows[table] {
		if id(row["actor_id"]) == int64(who.by.Actor.ID) {
			ids = append(ids, s.handle[id(row["target_id"])])
		}
	}
	if len(ids) == 0 {
		return ""
	}
	slices.Sort(ids)
	return ids[w.dice.IntN(len(ids))]
}

func (w *week) unfollow(who someone) bool {
	whom := w.related(who, "follows")
	return whom != "" && w.must(who.node.Unfollow(w.t.Context(), who.by, whom))
}

func (w *week) block(who someone) bool {
	_, err := who.node.Block(w.t.Context(), who.by, w.anyone().handle)
	return w.must(err)
}

func (w *week) unblock(who someone) bool {
	whom := w.related(who, "blocks")
	if whom == "" {
		return false
	}
	_, err := who.node.Unblock(w.t.Context(), who.by, whom)
	return w.must(err)
}

func (w *week) like(who someone) bool {
	p, ok := w.seen(who, anyPost)
	if !ok {
		return false
	}
	_, err := who.node.Like(w.t.Context(), who.by, p.ID)
	return w.must(err)
}

func (w *week) boost(who someone) bool {
	p, ok := w.seen(who, anyPost)
	if !ok {
		return false
	}
	_, err := who.node.Boost(w.t.Context(), who.by, p.ID, "")
	return w.must(err)
}

// deed is a post that somebody likes or shares.
func (w *week) deed(who someone, table, column string) storage.ID {
	var posts []int64
	for _, row := range snapshotOf(w.t, who.node).rows[table] {
		if id(row["actor_id"]) == int64(who.by.Actor.ID) && row[column] != nil {
			posts = append(posts, id(row[column]))
		}
	}
	if len(posts) == 0 {
		return 0
	}
	slices.Sort(posts)
	return storage.ID(posts[w.dice.IntN(len(posts))])
}

func (w *week) unlike(who someone) bool {
	p := w.deed(who, "likes", "post_id")
	if p == 0 {
		return false
	}
	_, err := who.node.Unlike(w.t.Context(), who.by, p)
	return w.must(err)
}

func (w *week) unboost(who someone) bool {
	p := w.deed(who, "posts", "boost_of_id")
	if p == 0 {
		return false
	}
	_, err := who.node.Unboost(w.t.Context(), who.by, p)
	return w.must(err)
}

func (w *week) vote(who someone) bool {
	p, ok := w.seen(who, func(p storage.Post) bool { return p.Type == storage.Question })
	if !ok {
		return false
	}
	_, err := who.node.Vote(w.t.Context(), who.by, p.ID, []int{w.dice.IntN(2)})
	return w.must(err)
}

func (w *week) profile(who someone) bool {
	a, err := who.node.DB.ActorByID(w.t.Context(), who.by.Actor.ID)
	if !w.must(err) {
		return false
	}
	a.Name = w.words()
	return w.must(who.node.UpdateProfile(w.t.Context(), who.by, a))
}

func (w *week) restart(who someone) bool {
	who.node.Restart()
	return true
}

func (w *week) crash(who someone) bool {
	who.node.Abandon(3)
	who.node.Restart()
	return true
}

// snapshot is all that a node holds, with names for its numbers.
type snapshot struct {
	node   *aptest.Node
	rows   map[string][]storagetest.Row
	iri    map[int64]string // of actors
	handle map[int64]string // of actors
	post   map[int64]string
	ours   map[int64]bool             // actors
	byIRI  map[string]storagetest.Row // posts
	kind   map[int64]string           // of activities
	about  map[int64]string           // objects of activities
}

func snapshotOf(t testing.TB, n *aptest.Node) *snapshot {
	t.Helper()
	s := &snapshot{node: n, rows: storagetest.Rows(t, n.DB, "keys", "settings", "goose_db_version", "acts"), iri: map[int64]string{}, handle: map[int64]string{},
		post: map[int64]string{}, ours: map[int64]bool{}, byIRI: map[string]storagetest.Row{}, kind: map[int64]string{}, about: map[int64]string{}}
	for _, a := range s.rows["actors"] {
		domain := text(a["domain"])
		if s.ours[id(a["id"])] = domain == ""; domain == "" {
			domain = n.Host
		}
		s.iri[id(a["id"])] = text(a["iri"])
		s.handle[id(a["id"])] = "@" + text(a["username"]) + "@" + domain
	}
	for _, p := range s.rows["posts"] {
		s.post[id(p["id"])] = text(p["iri"])
		s.byIRI[text(p["iri"])] = p
	}
	for _, a := range s.rows["activities"] {
		s.kind[id(a["id"])], s.about[id(a["id"])] = text(a["type"]), text(a["object"])
	}
	return s
}

func text(v any) string {
	if b, ok := v.([]byte); ok {
		return string(b)
	}
	return fmt.Sprint(v)
}

func id(v any) int64 {
	n, _ := v.(int64)
	return n
}

func moment(t testing.TB, v any) time.Time {
	t.Helper()
	if at, ok := v.(time.Time); ok {
		return at
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05.999999999-07:00", "2006-01-02 15:04:05.999999999 -0700 MST"} {
		if at, err := time.Parse(layout, text(v)); err == nil {
			return at
		}
	}
	t.Fatalf("%v is no time", v)
	return time.Time{}
}

// node finds the node that an id belongs to.
func hostOf(iri string) string {
	host, _, _ := strings.Cut(strings.TrimPrefix(iri, "https://"), "/")
	return host
}

func (w *week) snapshots() map[string]*snapshot {
	all := map[string]*snapshot{}
	for _, n := range w.nodes {
		all[n.Host] = snapshotOf(w.t, n)
	}
	return all
}

// wantEveryDay holds whatever is lost: nothing is there that its author has not said, what was told to be gone is gone, nothing
// counts twice, and no work is held for ever.
func (w *week) wantEveryDay() {
	w.t.Helper()
	all := w.snapshots()
	for host, s := range all {
		now := s.node.Clock()
		for iri, p := range s.byIRI {
			author := s.iri[id(p["actor_id"])]
			if p["boost_of_id"] != nil {
				continue
			}
			if said := w.said[storage.IRI(iri)]; said == nil || string(said.who.by.Actor.IRI) != author {
				w.t.Errorf("%s has %s by %s, who has not said it", host, iri, author)
			}
		}
		told := map[string]bool{}
		for _, row := range s.rows["notifications"] {
			if kind := text(row["kind"]); kind == "mention" || kind == "favourite" || kind == "reblog" {
				key := fmt.Sprint(row["actor_id"], kind, row["from_id"], row["post_id"])
				if told[key] {
					w.t.Errorf("at %s %s was told twice of a %s", host, s.handle[id(row["actor_id"])], kind)
				}
				told[key] = true
			}
		}
		for _, d := range s.rows["deliveries"] {
			to := all[text(d["host"])]
			if to == nil {
				w.t.Errorf("%s delivers to %s", host, text(d["host"]))
				continue
			}
			kind, object := s.kind[id(d["activity_id"])], text(d["object"])
			if text(d["state"]) == storage.DeliveryDone && id(d["last_status"]) == 202 && kind == "Delete" {
				if p := to.byIRI[object]; p != nil && p["deleted_at"] == nil {
					w.t.Errorf("%s was told that %s is gone, and shows it", to.node.Host, object)
				}
			}
			if text(d["state"]) != storage.DeliveryQueued {
				continue
			}
			if lease := moment(w.t, d["lease_until"]).Sub(now); lease > 3*time.Hour {
				w.t.Errorf("a delivery of %s is held for %s", host, lease)
			}
			if age := now.Sub(moment(w.t, d["created_at"])); age > 5*24*time.Hour && (momentary(kind) || host != absentHost && to.node.Host != absentHost) {
				w.t.Errorf("a %s of %s to %s waits for %s, after %d tries", kind, host, to.node.Host, age, id(d["attempts"]))
			}
		}
		for _, j := range s.rows["jobs"] {
			if j["dead_at"] != nil {
				continue
			}
			late := now.Sub(moment(w.t, j["run_at"]))
			if lease := moment(w.t, j["lease_until"]).Sub(now); lease > 3*time.Hour || late > 3*time.Hour {
				w.t.Errorf("a job %s of %s is %s late, held for %s: %s", text(j["kind"]), host, late, lease, text(j["last_error"]))
			}
		}
		for _, row := range s.rows["polls"] {
			if hostOf(s.post[id(row["post_id"])]) != host {
				continue
			}
			poll, err := s.node.DB.PollOf(w.t.Context(), storage.ID(id(row["post_id"])))
			if err != nil {
				w.t.Fatal(err)
			}
			for i, option := range poll.Options {
				count := 0
				for _, v := range s.rows["votes"] {
					if id(v["post_id"]) == id(row["post_id"]) && id(v["choice"]) == int64(i) {
						count++
					}
				}
				if int64(count) != option.Votes {
					w.t.Errorf("%s counts %d votes, has %d", host, option.Votes, count)
				}
			}
		}
	}
	if w.t.Failed() {
		w.t.Fatalf("after %s", w.net.Now().Sub(w.start))
	}
}

// wantAgreement is how it ends, once everybody is back and all is quiet:
//   - Nothing waits.
//   - Who follows and blocks whom is the same at both ends.
//   - A post that is shown where it was sent says what its author said last, and is shown nowhere when she took it back. A
//     server that has asked for a post by itself, as somebody shares or answers it there, may not hear of its end: nobody
//     knows who has asked.
//   - A like or a boost that is shown where the post is was made, and not taken back.
//   - What was made and is not shown there was given up on the way: it was for the host that was away for longer than
//     deliveries are tried.
func (w *week) wantAgreement() {
	w.t.Helper()
	all := w.snapshots()
	givenUp := map[string]int{}
	lost := map[string]bool{} // object and host
	for host, s := range all {
		for _, d := range s.rows["deliveries"] {
			switch text(d["state"]) {
			case storage.DeliveryQueued:
				w.t.Errorf("a %s of %s still waits for %s: %v tries, %s", s.kind[id(d["activity_id"])], host, text(d["host"]), d["attempts"], text(d["last_error"]))
			case storage.DeliveryDead:
				givenUp[s.kind[id(d["activity_id"])]]++
				lost[s.about[id(d["activity_id"])]+" "+text(d["host"])] = true
				kind := s.kind[id(d["activity_id"])]
				if host != absentHost && text(d["host"]) != absentHost || !momentary(kind) {
					w.t.Errorf("a %s of %s to %s was given up: after %d tries since %s, %d %s", kind, host, text(d["host"]), id(d["attempts"]),
						moment(w.t, d["created_at"]).Sub(w.start), id(d["last_status"]), text(d["last_error"]))
				}
			}
		}
		for _, j := range s.rows["jobs"] {
			if j["dead_at"] != nil {
				givenUp["job "+text(j["kind"])]++
				continue
			}
			w.t.Errorf("a job %s of %s is left: %s", text(j["kind"]), host, text(j["last_error"]))
		}
	}
	for _, table := range []string{"follows", "blocks"} {
		said := map[string][]string{}
		for host, s := range all {
			for _, row := range s.rows[table] {
				a, b := s.iri[id(row["actor_id"])], s.iri[id(row["target_id"])]
				if state, ok := row["state"]; ok && text(state) != storage.FollowAccepted {
					continue
				}
				if hostOf(a) != hostOf(b) {
					said[a+" "+b] = append(said[a+" "+b], host)
				}
			}
		}
		for pair, hosts := range said {
			if len(hosts) != 2 {
				a, b, _ := strings.Cut(pair, " ")
				w.t.Errorf("%s: %s, says %v alone: %s%s", table, pair, hosts, w.history(all, `"`+a+`"`, hostOf(b), `"`+b+`"`), w.history(all, `"`+a+`"`, hostOf(a), `"`+b+`"`))
			}
		}
	}
	fetched := 0
	for host, s := range all {
		for iri, p := range s.byIRI {
			said := w.said[storage.IRI(iri)]
			if said == nil || p["deleted_at"] != nil || hostOf(iri) == host {
				continue
			}
			told := slices.ContainsFunc(all[hostOf(iri)].rows["deliveries"], func(d storagetest.Row) bool { return text(d["object"]) == iri && text(d["host"]) == host })
			switch {
			case !told: // asked for where it is: its author's server does not know
				fetched++
			case said.gone:
				w.t.Errorf("%s shows %s, which is gone: %s", host, iri, w.history(all, iri, host))
			case text(p["visibility"]) == storage.Private && !toldOfEdit(all[hostOf(iri)], iri, host):
			case !strings.Contains(text(p["content"]), said.word):
				w.t.Errorf("%s shows %s as it was before an edit: %s", host, iri, w.history(all, iri, host))
			}
		}
	}
	deeds := func(table, column string) {
		for host, s := range all {
			for _, row := range s.rows[table] {
				if row[column] == nil {
					continue
				}
				actor, post, iri := s.iri[id(row["actor_id"])], s.post[id(row[column])], text(row["iri"])
				if w.said[storage.IRI(post)].gone { // and with it all that was done to it, wherever that is known
					continue
				}
				at := hostOf(post)
				if hostOf(actor) != host { // others say that she did
					if !has(all[hostOf(actor)], table, iri) {
						w.t.Errorf("%s: at %s %s is said to have done %s", table, host, actor, iri)
					}
				} else if at != host && !has(all[at], table, iri) && !lost[iri+" "+at] && !w.apart(all[at], actor, post) {
					w.t.Errorf("%s: at %s %s does %s to %s, which %s does not know", table, host, actor, iri, post, at)
				}
			}
		}
	}
	deeds("likes", "post_id")
	deeds("posts", "boost_of_id")
	w.t.Logf("given up: %v; %d posts were fetched and are out of reach", givenUp, fetched)
	if w.t.Failed() {
		w.t.FailNow()
	}
}

// history is how a host came to know of a post, or of what is between two actors, and what it was told.
func (w *week) history(all map[string]*snapshot, post, host string, also ...string) string {
	var out []string
	for from, s := range all {
		for _, d := range s.rows["deliveries"] {
			if text(d["host"]) != host {
				continue
			}
			a := s.rows["activities"][slices.IndexFunc(s.rows["activities"], func(a storagetest.Row) bool { return id(a["id"]) == id(d["activity_id"]) })]
			raw := text(a["raw"])
			if strings.Contains(raw, post) && !slices.ContainsFunc(also, func(s string) bool {
				return !strings.Contains(raw, s) || !strings.Contains(raw, "Follow") && !strings.Contains(raw, "Block")
			}) {
				out = append(out, fmt.Sprintf("%09.3fh %s of %s from %s, %s after %v tries: %v %s", moment(w.t, d["created_at"]).Sub(w.start).Hours(), text(a["type"]), text(d["object"]), from,
					text(d["state"]), d["attempts"], d["last_status"], text(d["last_error"])))
			}
		}
	}
	slices.Sort(out)
	for _, trip := range w.net.Trips() {
		if trip == "GET "+post {
			out = append(out, "fetched")
		}
	}
	return "\n\t" + strings.Join(out, "\n\t")
}

// toldOfEdit reports whether a host was sent the last edit of a post: of one that is not for everyone, who reads it no more is not.
func toldOfEdit(s *snapshot, post, host string) bool {
	last := int64(0)
	for _, a := range s.rows["activities"] {
		if text(a["type"]) == "Update" && text(a["object"]) == post {
			last = max(last, id(a["id"]))
		}
	}
	return slices.ContainsFunc(s.rows["deliveries"], func(d storagetest.Row) bool { return id(d["activity_id"]) == last && text(d["host"]) == host })
}

// momentary are what is not told after some days; see storage.Claim.Momentary.
func momentary(kind string) bool {
	return slices.Contains([]string{"Create", "Announce", "Like"}, kind)
}

func has(s *snapshot, table, iri string) bool {
	return slices.ContainsFunc(s.rows[table], func(r storagetest.Row) bool { return text(r["iri"]) == iri })
}

// apart reports whether the author of a post blocks somebody, so that what she does to it does not count.
func (w *week) apart(s *snapshot, actor, post string) bool {
	author := s.iri[id(s.byIRI[post]["actor_id"])]
	return slices.ContainsFunc(s.rows["blocks"], func(r storagetest.Row) bool {
		a, b := s.iri[id(r["actor_id"])], s.iri[id(r["target_id"])]
		return a == author && b == actor || a == actor && b == author
	})
}
