package activitypub

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"
)

func b64(t *testing.T, text string) []byte {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestPushVectors holds both ways to write a push to their published examples: RFC 8291 §5 with appendix A, and draft-ietf-webpush-encryption-04 §5.
func TestPushVectors(t *testing.T) {
	for _, v := range []struct {
		name                                           string
		seal                                           func(point, auth []byte, own *ecdh.PrivateKey, salt, message []byte) ([]byte, error)
		message, own, point, salt, auth, want, wantKey string
	}{
		{"RFC 8291", sealPush, "When I grow up, I want to be a watermelon",
			"yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw", "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
			"DGv6ra1nlYgDCS1FRnbzlw", "BTBZMqHH6r4Tts7J_aSIgg",
			"DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN",
			"BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8"},
		{"the draft", sealDraftPush, "I am the walrus",
			"nCScek-QpEjmOOlT-rQ38nZzvdPlqa00Zy0i6m2OJvY", "BCEkBjzL8Z3C-oi2Q7oE5t2Np-p7osjGLg93qUP0wvqRT21EEWyf0cQDQcakQMqz4hQKYOQ3il2nNZct4HgAUQU",
			"lngarbyKfMoi9Z75xYXmkg", "R29vIGdvbyBnJyBqb29iIQ",
			"6nqAQUME8hNqw5J3kl8cpVVJylXKYqZOeseZG8UueKpA",
			"BNoRDbb84JGm8g5Z5CFxurSqsXWJ11ItfXEWYVLE85Y7CYkDjXsIEc4aqxYaQ1G8BqkXCJ6DPpDrWtdWj_mugHU"},
	} {
		t.Run(v.name, func(t *testing.T) {
			own, err := ecdh.P256().NewPrivateKey(b64(t, v.own))
			if err != nil {
				t.Fatal(err)
			}
			if got := own.PublicKey().Bytes(); !bytes.Equal(got, b64(t, v.wantKey)) {
				t.Errorf("the sender's key is %x", got)
			}
			got, err := v.seal(b64(t, v.point), b64(t, v.auth), own, b64(t, v.salt), []byte(v.message))
			if err != nil || !bytes.Equal(got, b64(t, v.want)) {
				t.Errorf("got %s, %v, want %s", base64.RawURLEncoding.EncodeToString(got), err, v.want)
			}
		})
	}
}

// TestALongPushFits: what is as long as it may be has 4096 bytes, and what is longer is refused.
func TestALongPushFits(t *testing.T) {
	app, err := ecdh.P256().NewPrivateKey(b64(t, "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"))
	if err != nil {
		t.Fatal(err)
	}
	for _, seal := range []func(point, auth []byte, own *ecdh.PrivateKey, salt, message []byte) ([]byte, error){sealPush, sealDraftPush} {
		body, err := seal(app.PublicKey().Bytes(), make([]byte, authSize), app, make([]byte, saltSize), make([]byte, maxPushMessage))
		if err != nil || len(body) > maxPushBody {
			t.Errorf("the longest has %d bytes, %v", len(body), err)
		}
		if _, err := seal(app.PublicKey().Bytes(), make([]byte, authSize), app, make([]byte, saltSize), make([]byte, maxPushMessage+1)); err == nil {
			t.Error("one byte more was sealed")
		}
	}
	if body, _ := sealPush(app.PublicKey().Bytes(), make([]byte, authSize), app, make([]byte, saltSize), make([]byte, maxPushMessage)); len(body) != maxPushBody {
		t.Errorf("the longest by the RFC has %d bytes, want %d", len(body), maxPushBody)
	}
}

// verifyVapid reads a token of RFC 8292 as a push service does.
func verifyVapid(t *testing.T, token, point string) (claims map[string]any) {
	t.Helper()
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), b64(t, point))
	if err != nil {
		t.Fatal(err)
	}
	text, signature, _ := strings.Cut(token[strings.IndexByte(token, '.')+1:], ".")
	head, _, _ := strings.Cut(token, ".")
	raw, sum := b64(t, signature), sha256.Sum256([]byte(head+"."+text))
	if len(raw) != 64 || !ecdsa.Verify(key, sum[:], new(big.Int).SetBytes(raw[:32]), new(big.Int).SetBytes(raw[32:])) {
		t.Fatalf("the signature of %s does not fit", token)
	}
	if string(b64(t, head)) != `{"typ":"JWT","alg":"ES256"}` {
		t.Errorf("the head is %s", b64(t, head))
	}
	if err := json.Unmarshal(b64(t, text), &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

// TestVapid: the example of RFC 8292 §2.4 shows that the check is right, and our tokens pass it.
func TestVapid(t *testing.T) {
	claims := verifyVapid(t, "eyJ0eXAiOiJKV1QiLCJhbGciOiJFUzI1NiJ9.eyJhdWQiOiJodHRwczovL3B1c2guZXhhbXBsZS5uZXQiLCJleHAiOjE0NTM1MjM3NjgsInN1YiI6Im1haWx0bzpwdXNoQGV4YW1wbGUuY29tIn0.i3CYb7t4xfxCDquptFOepC9GAu_HLGkMlMuCGSK2rpiUfnK9ojFwDXb1JrErtmysazNjjvW2L9OkSSHzvoD1oA",
		"BA1Hxzyi1RUM1b5wjxsn7nGxAszw2u61m164i3MrAIxHF6YK5h4SDYic-dRuU_RCPCfA5aq9ojSwk5Y2EmClBPs")
	if claims["aud"] != "https://push.example.net" {
		t.Errorf("the example says %v", claims)
	}
	text, err := newVapidKey()
	if err != nil {
		t.Fatal(err)
	}
	key, err := parseVapidKey(text)
	if err != nil {
		t.Fatal(err)
	}
	n := &Node{vapid: key}
	for range 50 { // short numbers come up once in 128 signatures
		token, err := vapid(key, "https://push.example.net", "https://rye.example", time.Unix(1453523768, 0))
		if err != nil {
			t.Fatal(err)
		}
		claims := verifyVapid(t, token, n.VapidKey())
		if claims["aud"] != "https://push.example.net" || claims["sub"] != "https://rye.example" || claims["exp"] != 1453523768.0 {
			t.Fatalf("the claims are %v", claims)
		}
	}
	for name, bad := range map[string]string{"nothing": "", "another kind": rsaPEM(t)} {
		if _, err := parseVapidKey(bad); err == nil {
			t.Errorf("%s was taken for a key", name)
		}
	}
}

func rsaPEM(t *testing.T) string {
	t.Helper()
	private, _, _, _, err := generateKeys()
	if err != nil {
		t.Fatal(err)
	}
	return private
}

// TestPushKeysAreChecked: a point of P-256 and 16 bytes, in base64 of either alphabet, with or without padding.
func TestPushKeysAreChecked(t *testing.T) {
	const point, auth = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4", "BTBZMqHH6r4Tts7J_aSIgg"
	standard := strings.NewReplacer("-", "+", "_", "/")
	off := b64(t, point)
	off[64] ^= 1
	compressed := append([]byte{2}, b64(t, point)[1:33]...)
	for _, c := range []struct {
		name, point, auth, wrong string
	}{
		{"as apps write it", point, auth, ""},
		{"padded", point + "=", auth + "==", ""},
		{"in the other alphabet", standard.Replace(point) + "=", standard.Replace(auth) + "==", ""},
		{"no point", "", auth, "p256dh"},
		{"not base64", "not base64!", auth, "p256dh"},
		{"beside the curve", base64.RawURLEncoding.EncodeToString(off), auth, "p256dh"},
		{"compressed", base64.RawURLEncoding.EncodeToString(compressed), auth, "p256dh"},
		{"at infinity", "AA", auth, "p256dh"},
		{"too short a secret", point, "BTBZMqHH6r4Tts7J_aSI", "auth"},
		{"no secret", point, "", "auth"},
	} {
		_, _, err := parsePushKeys(c.point, c.auth)
		var bad *InvalidError
		if c.wrong == "" && err != nil || c.wrong != "" && (!errors.As(err, &bad) || bad.Field != c.wrong) {
			t.Errorf("%s: %v, want %q wrong", c.name, err, c.wrong)
		}
	}
}
