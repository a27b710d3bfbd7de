package activitypub

import (
	"context"
	"crypto/hmac"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/sync/singleflight"

	"planet/storage"
	"planet/storage/media"
)

// Limits of pictures.
const (
	MaxMedia       = 4        // of one post; Mastodon shows no more
	MaxUpload      = 16 << 20 // bytes
	MaxAlt         = 1500     // characters
	unattachedFor  = 24 * time.Hour
	freeMediaEvery = time.Minute
	maxRemote      = 10 << 20 // bytes of a picture elsewhere
	remoteAtOnce   = 16       // pictures that are being fetched
	remoteWait     = 10 * time.Second
	remoteFailFor  = 5 * time.Minute
	remoteFailures = 10_000 // that are remembered
)

// gallery is what a node has for pictures: its own in files, those of others behind a cache.
type gallery struct {
	store   *media.Store
	cache   *media.Cache
	n       *Node
	flights singleflight.Group
	slots   chan struct{}

	mu     sync.Mutex
	failed map[string]time.Time // addresses that are not asked again before; under mu
}

// openGallery finds the pictures of the node.
func (n *Node) openGallery() {
	n.gallery = &gallery{n: n, slots: make(chan struct{}, remoteAtOnce), failed: map[string]time.Time{}}
	n.gallery.store = media.New(n.MediaDir, n.digest("name", ""), n.Now)
	n.gallery.cache = media.NewCache(n.MediaCacheDir, n.MediaCache, n.Now)
}

// Description is what an author says of a picture.
type Description struct {
	Alt            string  // for those who do not see it
	FocusX, FocusY float64 // what must stay in sight when it is cut: -1 to 1 from the middle, to the right and up
}

func (d *Description) check() error {
	d.Alt = strings.TrimSpace(strings.ReplaceAll(d.Alt, "\r\n", "\n"))
	switch {
	case !utf8.ValidString(d.Alt) || strings.ContainsRune(d.Alt, 0):
		return invalid("alt", "the description is not valid UTF-8")
	case utf8.RuneCountInString(d.Alt) > MaxAlt:
		return invalid("alt", "a description has at most %d characters, this has %d", MaxAlt, utf8.RuneCountInString(d.Alt))
	case !(d.FocusX >= -1 && d.FocusX <= 1 && d.FocusY >= -1 && d.FocusY <= 1): // NaN too
		return invalid("focus", "the focus lies between -1 and 1")
	}
	return nil
}

// Upload stores a picture for a post or a profile of an actor; what is not used within a day goes. InvalidError when it is no
// picture that the node takes, Problem 413 when it is too large.
func (n *Node) Upload(ctx context.Context, by By, r io.Reader, d Description) (*storage.Media, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	if n.MediaDir == "" {
		return nil, problem(422, "media", "this node takes no pictures")
	}
	if err := n.allowed(ctx, n.DB, by, "post"); err != nil {
		return nil, err
	}
	im, err := n.gallery.store.Put(ctx, r, MaxUpload)
	switch {
	case errors.Is(err, media.ErrTooLarge):
		return nil, problem(413, "too-large", "a picture has at most %d MiB", MaxUpload>>20)
	case errors.Is(err, media.ErrUnsupported), errors.Is(err, media.ErrTooManyPixels), errors.Is(err, media.ErrBroken):
		return nil, invalid("file", "%v", err)
	case err != nil:
		return nil, err
	}
	m := &storage.Media{ActorID: by.Actor.ID, Name: im.Name, MediaType: im.MediaType, Alt: d.Alt, Width: im.Width, Height: im.Height,
		Size: im.Size, Blurhash: im.Blurhash, FocusX: d.FocusX, FocusY: d.FocusY}
	if by.User != nil {
		m.UserID = by.User.ID
	}
	err = n.DB.Transaction(ctx, func(tx *storage.DB) error {
		if err := n.allowed(ctx, tx, by, "post"); err != nil {
			return err
		}
		if err := tx.CreateMedia(ctx, m); err != nil {
			return err
		}
		if !n.gallery.store.Has(m.Name) { // the same picture was removed just now; from here on the row keeps it
			return problem(503, "busy", "the picture could not be kept: send it again")
		}
		return nil
	})
	return m, err
}

// Describe changes what is said of a picture of an actor. When it belongs to a post or a profile, everyone who was told of that hears
// of the change. ErrNotFound when the actor has no such picture.
func (n *Node) Describe(ctx context.Context, by By, id storage.ID, d Description) (*storage.Media, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	var m *storage.Media
	err := n.DB.Transaction(ctx, func(tx *storage.DB) (err error) {
		if m, err = n.ownMedia(ctx, tx, by, id); err != nil {
			return err
		}
		if m.Alt == d.Alt && m.FocusX == d.FocusX && m.FocusY == d.FocusY {
			return nil
		}
		if err := tx.DescribeMedia(ctx, id, d.Alt, d.FocusX, d.FocusY); err != nil {
			return err
		}
		m.Alt, m.FocusX, m.FocusY = d.Alt, d.FocusX, d.FocusY
		switch {
		case m.Profile:
			return n.describeIcon(ctx, tx, by, m)
		case m.PostID != 0:
			return n.describeAttachment(ctx, tx, by, m.PostID)
		}
		return nil
	})
	n.Wake()
	return m, err
}

// ownMedia finds a picture that by may change.
func (n *Node) ownMedia(ctx context.Context, tx *storage.DB, by By, id storage.ID) (*storage.Media, error) {
	if err := n.allowed(ctx, tx, by, "post"); err != nil {
		return nil, err
	}
	m, err := tx.MediaByID(ctx, id)
	if err == nil && m.ActorID != by.Actor.ID {
		err = storage.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("picture %s: %w", id, err)
	}
	return m, nil
}

func (n *Node) describeAttachment(ctx context.Context, tx *storage.DB, by By, post storage.ID) error {
	p, err := tx.PostByID(ctx, post)
	if err != nil {
		return err
	}
	if err := n.listMedia(ctx, tx, p); err != nil {
		return err
	}
	last := p.PublishedAt
	if p.EditedAt != nil {
		last = *p.EditedAt
	}
	at := n.Now().UTC().Truncate(time.Second)
	if !at.After(last) {
		at = last.Add(time.Second)
	}
	p.EditedAt = &at
	if err := tx.SavePost(ctx, p); err != nil {
		return err
	}
	if err := record(ctx, tx, by, "post.edit", p.IRI); err != nil {
		return err
	}
	return n.sendPost(ctx, tx, by.Actor, p, p.Mentions, "Update")
}

func (n *Node) describeIcon(ctx context.Context, tx *storage.DB, by By, m *storage.Media) error {
	a, err := tx.ActorByID(ctx, by.Actor.ID)
	if err != nil || a.IconURL != n.addressOf(m) {
		return err
	}
	a.IconAlt = m.Alt
	return n.saveProfile(ctx, tx, by, a)
}

func (n *Node) saveProfile(ctx context.Context, tx *storage.DB, by By, a *storage.Actor) error {
	if err := tx.SaveActor(ctx, a); err != nil {
		return err
	}
	if err := record(ctx, tx, by, "profile.update", a.IRI); err != nil {
		return err
	}
	return n.announceActor(ctx, tx, a)
}

// Discard takes back a picture that was uploaded and not used. ErrNotFound when the actor has no such picture.
func (n *Node) Discard(ctx context.Context, by By, id storage.ID) error {
	return n.DB.Transaction(ctx, func(tx *storage.DB) error {
		m, err := n.ownMedia(ctx, tx, by, id)
		if err != nil {
			return err
		}
		if m.PostID != 0 || m.Profile || m.ScheduledID != 0 {
			return invalid("id", "the picture is in use: edit the post or the profile that shows it")
		}
		return tx.FreeMedia(ctx, id)
	})
}

// SetIcon makes a picture that was uploaded the face of an actor, and tells its followers; 0 takes the face away.
func (n *Node) SetIcon(ctx context.Context, by By, id storage.ID) error {
	return n.setPicture(ctx, by, id, func(a *storage.Actor, address, alt string) { a.IconURL, a.IconAlt = address, alt })
}

// SetHeader does the same with the picture at the top of the profile.
func (n *Node) SetHeader(ctx context.Context, by By, id storage.ID) error {
	return n.setPicture(ctx, by, id, func(a *storage.Actor, address, _ string) { a.HeaderURL = address })
}

func (n *Node) setPicture(ctx context.Context, by By, id storage.ID, set func(a *storage.Actor, address, alt string)) error {
	err := n.DB.Transaction(ctx, func(tx *storage.DB) error {
		if err := n.allowed(ctx, tx, by, "profile"); err != nil {
			return err
		}
		a, err := tx.ActorByID(ctx, by.Actor.ID)
		if err != nil {
			return err
		}
		if id == 0 {
			set(a, "", "")
		} else {
			if err := tx.ShowMedia(ctx, id, a.ID); err != nil {
				return fmt.Errorf("picture %s: %w", id, err)
			}
			m, err := tx.MediaByID(ctx, id)
			if err != nil {
				return err
			}
			set(a, n.addressOf(m), m.Alt)
		}
		shown, err := tx.ProfileMedia(ctx, a.ID)
		if err != nil {
			return err
		}
		for _, m := range shown {
			if address := n.addressOf(&m); address != a.IconURL && address != a.HeaderURL {
				if err := tx.FreeMedia(ctx, m.ID); err != nil {
					return err
				}
			}
		}
		return n.saveProfile(ctx, tx, by, a)
	})
	n.Wake()
	return err
}

// addressOf is where a picture of this node is shown.
func (n *Node) addressOf(m *storage.Media) string { return n.Origin + "/media/" + m.Name }

// keptMedia gives a draft that says nothing of pictures those that the post has.
func (n *Node) keptMedia(ctx context.Context, p *storage.Post, d *Draft) error {
	if d.Media != nil {
		return nil
	}
	ms, err := n.DB.MediaOf(ctx, p.ID)
	for _, m := range ms {
		d.Media = append(d.Media, m.ID)
	}
	return err
}

// setMedia makes ids the pictures of a post of this node, in this order: new ones are attached, others are freed.
func (n *Node) setMedia(ctx context.Context, tx *storage.DB, p *storage.Post, ids []storage.ID) error {
	old, err := tx.MediaOf(ctx, p.ID)
	if err != nil {
		return err
	}
	var fresh []storage.ID
	for _, id := range ids {
		if !slices.ContainsFunc(old, func(m storage.Media) bool { return m.ID == id }) {
			fresh = append(fresh, id)
		}
	}
	for _, m := range old {
		if !slices.Contains(ids, m.ID) {
			if err := tx.FreeMedia(ctx, m.ID); err != nil {
				return err
			}
		}
	}
	if err := tx.AttachMedia(ctx, fresh, p.ActorID, p.ID); err != nil {
		return fmt.Errorf("a picture of the post: %w", err)
	}
	if len(old) > 0 {
		if err := tx.OrderMedia(ctx, ids, p.ID); err != nil {
			return err
		}
	}
	return n.listMedia(ctx, tx, p)
}

// listMedia writes into a post what its pictures are.
func (n *Node) listMedia(ctx context.Context, tx *storage.DB, p *storage.Post) error {
	ms, err := tx.MediaOf(ctx, p.ID)
	if err != nil {
		return err
	}
	links := slices.DeleteFunc(p.Attachments, func(a storage.Attachment) bool { return a.Rel == "" })
	p.Attachments = nil
	for _, m := range ms {
		p.Attachments = append(p.Attachments, storage.Attachment{MediaID: m.ID, URL: n.addressOf(&m), MediaType: m.MediaType, Name: m.Alt,
			Width: m.Width, Height: m.Height, Blurhash: m.Blurhash, FocusX: m.FocusX, FocusY: m.FocusY})
	}
	p.Attachments = append(p.Attachments, links...)
	return nil
}

// attachmentsToWire are the pictures of a post of this node, as Mastodon writes its own, and the link to what it offers (FEP-0ea0).
func attachmentsToWire(p *storage.Post) []any {
	out := []any{}
	for _, a := range p.Attachments {
		if a.Rel != "" {
			out = append(out, map[string]any{"type": "Link", "name": a.Name, "href": a.URL, "mediaType": a.MediaType, "rel": []any{"payment", a.Rel}})
			continue
		}
		m := map[string]any{"type": "Document", "mediaType": a.MediaType, "url": a.URL, "width": a.Width, "height": a.Height,
			"focalPoint": []any{a.FocusX, a.FocusY}}
		if a.Name != "" {
			m["name"] = a.Name
		}
		if a.Blurhash != "" {
			m["blurhash"] = a.Blurhash
		}
		out = append(out, m)
	}
	return out
}

// measuresFromWire reads how large an attachment of another server is and where its focus lies.
func measuresFromWire(o object, a *storage.Attachment) {
	for key, p := range map[string]*int{"width": &a.Width, "height": &a.Height} {
		if json.Unmarshal(o[key], p) != nil || *p < 0 || *p > 1<<20 {
			*p = 0
		}
	}
	var focus []float64
	if json.Unmarshal(o["focalPoint"], &focus) == nil && len(focus) == 2 && max(focus[0], focus[1]) <= 1 && min(focus[0], focus[1]) >= -1 {
		a.FocusX, a.FocusY = focus[0], focus[1]
	}
}

// imageToWire is the icon or header of an actor.
func imageToWire(address, alt string) map[string]any {
	m := map[string]any{"type": "Image", "url": address}
	if kind := media.MediaType(path.Base(address)); kind != "" {
		m["mediaType"] = kind
	}
	if alt != "" {
		m["name"] = alt
	}
	return m
}

// OpenMedia reads a picture of this node that is in use, by the last part of its address; ErrNotFound for every other name.
func (n *Node) OpenMedia(ctx context.Context, name string) (*os.File, *storage.Media, error) {
	if media.MediaType(name) == "" {
		return nil, nil, storage.ErrNotFound
	}
	m, err := n.DB.MediaByName(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	f, err := n.gallery.store.Open(name)
	return f, m, err
}

// MediaURL is where people of this node see a picture: its own address when it is ours, else one on this node that fetches it and
// keeps it for a while; "" when it is no address that a picture could have. Browsers thus never ask another server, and the mac lets
// nobody make this node fetch what it did not hand out itself.
func (n *Node) MediaURL(address string) string {
	if strings.HasPrefix(address, n.Origin+"/media/") {
		return address
	}
	if u, err := parseAddress(address); err != nil || !strings.HasPrefix(n.Origin, u.Scheme+"://") {
		return ""
	}
	return n.Origin + "/media/remote/" + n.gallery.mac(address) + "/" + base64.RawURLEncoding.EncodeToString([]byte(address))
}

func (g *gallery) mac(address string) string {
	return hex.EncodeToString(g.n.digest("remote", address)[:16])
}

// RemoteMedia gives a picture of another server, from the cache or from there, and says what it is. mac and encoded are the last
// parts of what MediaURL gave; Problem 400 when they are not. ErrNotFound when the other server does not give a picture.
func (n *Node) RemoteMedia(ctx context.Context, mac, encoded string) (*os.File, string, error) {
	g := n.gallery
	raw, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	address := string(raw)
	if err != nil || !hmac.Equal([]byte(mac), []byte(g.mac(address))) {
		return nil, "", problem(400, "media", "this is no address that the node gave out")
	}
	var p *Problem
	if err := n.admits(ctx, n.DB, storage.IRI(address)); errors.As(err, &p) { // blocked since the address was given out
		return nil, "", fmt.Errorf("%w: %w", storage.ErrNotFound, err)
	} else if err != nil {
		return nil, "", err
	}
	if f, kind, ok := g.cache.Open(address); ok {
		return f, kind, nil
	}
	if g.cache.Limit() > 0 {
		_, err, _ := g.flights.Do(address, func() (any, error) {
			if f, _, ok := g.cache.Open(address); ok { // another flight has just landed
				return nil, f.Close()
			}
			// Not ended by the one who asked first: others wait for the same, and the client has its own patience.
			f, _, err := n.fetchMedia(context.WithoutCancel(ctx), address)
			if err != nil {
				return nil, err
			}
			return nil, f.Close()
		})
		if err != nil {
			return nil, "", err
		}
		if f, kind, ok := g.cache.Open(address); ok {
			return f, kind, nil
		}
	}
	return n.fetchMedia(ctx, address) // it is not kept: there is no cache, or no room in it
}

// fetchMedia asks another server for a picture, unless it failed to give it a moment ago.
func (n *Node) fetchMedia(ctx context.Context, address string) (*os.File, string, error) {
	g := n.gallery
	if n.Client == nil || n.MediaCacheDir == "" || g.hasFailed(address, n.Now()) {
		return nil, "", storage.ErrNotFound
	}
	wait, cancel := context.WithTimeout(ctx, remoteWait)
	defer cancel()
	select {
	case g.slots <- struct{}{}:
		defer func() { <-g.slots }()
	case <-wait.Done():
		return nil, "", problem(503, "busy", "too many pictures are being fetched")
	}
	f, kind, err := g.cache.Keep(address, func(w io.Writer) error {
		_, err := n.Client.GetMedia(ctx, address, w, maxRemote)
		return err
	})
	var fe *FetchError
	if errors.As(err, &fe) {
		if ctx.Err() == nil {
			g.fail(address, n.Now())
		}
		n.Log.Debug("picture elsewhere", "err", err)
		err = fmt.Errorf("%w: %w", storage.ErrNotFound, err)
	}
	return f, kind, err
}

func (g *gallery) hasFailed(address string, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return now.Before(g.failed[address])
}

func (g *gallery) fail(address string, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.failed) >= remoteFailures {
		for a, until := range g.failed {
			if !now.Before(until) {
				delete(g.failed, a)
			}
		}
	}
	for a := range g.failed {
		if len(g.failed) < remoteFailures {
			break
		}
		delete(g.failed, a) // any one: the order of a map is random
	}
	g.failed[address] = now.Add(remoteFailFor)
}

// pictureTypes are the media types that another server may give a picture; what it is, its bytes say.
var pictureTypes = []string{media.JPEG, "image/jpg", media.PNG, media.GIF, media.WebP, media.AVIF}

// GetMedia copies a picture of another server to w: at most limit bytes, typed as a picture and beginning like one. It says what the
// bytes are. Redirects are guarded as for Get, nothing is signed, and the error is a *FetchError, or one of w.
func (c *Client) GetMedia(ctx context.Context, address string, w io.Writer, limit int64) (kind string, err error) {
	res, err := c.follow(ctx, address, "image/avif, image/webp, image/png, image/jpeg, image/gif", func(r *http.Request) (*Response, error) {
		answer, err := c.roundTrip(r, func() error { return nil })
		if err != nil {
			return nil, err
		}
		defer answer.Body.Close()
		res := &Response{Status: answer.StatusCode, ContentType: answer.Header.Get("Content-Type"), Header: answer.Header}
		if res.Status == http.StatusOK {
			kind, err = copyPicture(w, r.URL.String(), answer, limit)
		}
		return res, err
	})
	if err == nil {
		err = c.failure(address, res)
	}
	return kind, err
}

// copyPicture copies the body of an answer that is a picture.
func copyPicture(w io.Writer, address string, answer *http.Response, limit int64) (kind string, err error) {
	fail := func(temporary bool, format string, args ...any) (string, error) {
		return "", &FetchError{URL: address, Temporary: temporary, Err: fmt.Errorf(format, args...)}
	}
	said, _, err := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	if err != nil || !slices.Contains(pictureTypes, said) {
		return fail(false, "%q is not the type of a picture", clip(answer.Header.Get("Content-Type"), 100))
	}
	if answer.ContentLength > limit {
		return fail(false, "the picture has more than %d bytes", limit)
	}
	head := make([]byte, 512)
	n, err := io.ReadFull(answer.Body, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return fail(true, "the answer broke off: %w", err)
	}
	if kind = media.Sniff(head[:n]); kind == "" {
		return fail(false, "what is called %s does not begin like a picture", said)
	}
	if _, err := w.Write(head[:n]); err != nil {
		return "", err
	}
	body := &counted{r: io.LimitReader(answer.Body, limit-int64(n)+1)}
	_, err = io.Copy(w, body)
	switch {
	case body.err != nil:
		return fail(true, "the answer broke off: %w", body.err)
	case err != nil:
		return "", err
	case int64(n)+body.n > limit:
		return fail(false, "the picture has more than %d bytes", limit)
	}
	return kind, nil
}

// counted counts what is read, and tells trouble with reading from trouble with writing.
type counted struct {
	r   io.Reader
	n   int64
	err error
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	if err != nil && err != io.EOF {
		c.err = err
	}
	return n, err
}

// MediaUsage is what pictures take on disk.
type MediaUsage struct {
	storage.MediaUsage
	Files, CacheFiles                 int
	FileBytes, CacheBytes, CacheLimit int64
}

// MediaUsage counts files and rows.
func (n *Node) MediaUsage(ctx context.Context) (u MediaUsage, err error) {
	if u.MediaUsage, err = n.DB.MediaUsage(ctx); err != nil {
		return u, err
	}
	if u.Files, u.FileBytes, err = n.gallery.store.Usage(); err != nil {
		return u, err
	}
	u.CacheLimit = n.gallery.cache.Limit()
	u.CacheFiles, u.CacheBytes, err = n.gallery.cache.Usage()
	return u, err
}

// ClearMediaCache forgets the pictures of other servers.
func (n *Node) ClearMediaCache() (files int, bytes int64, err error) { return n.gallery.cache.Clear() }

// Tidied is what TidyMedia removed.
type Tidied struct {
	Unattached int   // uploads that nobody used within a day
	Files      int   // of these, and of deleted posts
	Bytes      int64 // of the files
}

// TidyMedia removes the files of posts that are gone, uploads that were not used within a day, and what a crash left without a row.
// The node does the same by itself.
func (n *Node) TidyMedia(ctx context.Context) (t Tidied, err error) {
	if n.MediaDir == "" {
		return t, nil
	}
	if err := n.tidyRows(ctx, &t); err != nil {
		return t, err
	}
	return t, n.tidyFiles(ctx, &t)
}

func (n *Node) tidyRows(ctx context.Context, t *Tidied) error {
	const batch = 100
	for more := true; more; {
		ms, err := n.DB.UnattachedMedia(ctx, n.Now().Add(-unattachedFor), batch)
		if err != nil {
			return err
		}
		for _, m := range ms {
			if err := n.DB.FreeMedia(ctx, m.ID); err != nil && !errors.Is(err, storage.ErrNotFound) {
				return err
			}
			t.Unattached++
		}
		more = len(ms) == batch
	}
	for more := true; more; {
		ms, err := n.DB.FreedMedia(ctx, batch)
		if err != nil {
			return err
		}
		for _, m := range ms {
			err := n.DB.Transaction(ctx, func(tx *storage.DB) error {
				last, err := tx.ForgetMedia(ctx, &m)
				if err != nil || !last {
					return err
				}
				return n.removeFile(m.Name, t)
			})
			if err != nil {
				return err
			}
		}
		more = len(ms) == batch
	}
	return nil
}

// tidyFiles removes files that no row names; an upload gets its row long before they are old.
func (n *Node) tidyFiles(ctx context.Context, t *Tidied) error {
	old, err := n.gallery.store.Older(n.Now().Add(-unattachedFor))
	if err != nil {
		return err
	}
	for _, name := range old {
		if named, err := n.DB.MediaNamed(ctx, name); err != nil || named {
			if err != nil {
				return err
			}
			continue
		}
		err := n.DB.Transaction(ctx, func(tx *storage.DB) error {
			if named, err := tx.MediaNamed(ctx, name); err != nil || named {
				return err
			}
			return n.removeFile(name, t)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (n *Node) removeFile(name string, t *Tidied) error {
	bytes, err := n.gallery.store.Remove(name)
	if bytes > 0 {
		t.Files++
		t.Bytes += bytes
	}
	return err
}

// mediaLoop tidies up until ctx ends: rows every minute, files without a row every hour.
func (n *Node) mediaLoop(ctx context.Context) error {
	for round := 0; ; round++ {
		var t Tidied
		err := n.tidyRows(ctx, &t)
		if err == nil && round%60 == 0 && n.MediaDir != "" {
			err = n.tidyFiles(ctx, &t)
		}
		if err != nil && ctx.Err() == nil {
			n.Log.Error("tidy pictures", "err", err)
		}
		if t != (Tidied{}) {
			n.Log.Info("tidied pictures", "unattached", t.Unattached, "files", t.Files, "bytes", t.Bytes)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(freeMediaEvery):
		}
	}
}
