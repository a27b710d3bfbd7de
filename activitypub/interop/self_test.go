package interop

import (
	"fmt"
	"net/http"
	"testing"
	"bytes"
)

func TestPeersAmongThemselves(t *testing.T) {
	needPeer(t)
	a := newAuthority(t, "mill.localhost", "loom.localhost", "moth.localhost")
	mill := startPeer(t, a, "mill.localhost", "cavage")
	loom := startPeer(t, a, "loom.localhost", "rfc9421", "PEER_SECURE=on")
	loom.refuseCavageOnce()
	mallory := startForger(t, a, "moth.localhost")
	mill.ask(t, "follow", map[string]any{"as": "ana", "handle": "@bruno@" + loom.host()}, nil)
	eventually(t, "accepted", func() error {
		if f := mill.state(t).Following; len(f) != 1 || f[0].State != "accepted" {
			return fmt.Errorf("%+v %+v", f, mill.state(t).Errors)
		}
		return nil
	})
	var w wrote
	loom.ask(t, "post", map[string]any{"as": "bruno", "content": "<p>Hello</p>", "mention": "@ana@" + mill.host(), "hashtag": "Hi", "language": "en"}, &w)
	eventually(t, "note", func() error {
		if n, ok := mill.state(t).Notes[w.ID]; !ok {
			return fmt.Errorf("no note")
		} else {
			t.Logf("%+v", n)
		}
		return nil
	})
	loom.ask(t, "edit", map[string]any{"as": "bruno", "id": w.ID, "content": "<p>Bye</p>"}, nil)
	eventually(t, "edit", func() error {
		if n := mill.state(t).Notes[w.ID]; n.Content != "<p>Bye</p>" {
			return fmt.Errorf("%+v", n)
		}
		return nil
	})
	d := mill.deliveries("")
	e := d[len(d)-1]
	if c := mill.again(t, e, nil); c != http.StatusAccepted {
		t.Errorf("again %d", c)
	}
	for name, sp := range spoilers {
		if c := mill.again(t, e, func(h http.Header, b []byte) []byte { b = bytes.ReplaceAll(b, []byte("Bye"), []byte("Lie")); sp(h, b); return b }); c != 401 {
			t.Errorf("%s %d", name, c)
		}
	}
	for _, scheme := range []string{"cavage", "rfc9421"} {
		c := claim{to: mill.front, inbox: "/people/ana/inbox", mention: mill.origin + "/people/ana", scheme: scheme, words: "x", actor: mallory.actor, origin: mallory.origin, keyID: mallory.key}
		note, code := mallory.deliver(t, c)
		t.Log(note, code)
		eventually(t, "mallory", func() error {
			if _, ok := mill.state(t).Notes[note]; !ok {
				return fmt.Errorf("no")
			}
			return nil
		})
		c.actor, c.origin = loom.origin+"/people/bruno", loom.origin
		_, code = mallory.deliver(t, c)
		t.Log("signer not actor", code)
		c.keyID = c.actor + "#main-key"
		_, code = mallory.deliver(t, c)
		t.Log("wrong key", code)
	}
	t.Logf("mill<-%s\nloom<-%s", lines(mill.deliveries("")), lines(loom.deliveries("")))
	t.Logf("%+v\n%+v", mill.state(t).Errors, loom.state(t).Errors)
	t.Logf("%+v", loom.state(t).Shown)
	t.Logf("refused %+v", mill.state(t).Refused)
}
