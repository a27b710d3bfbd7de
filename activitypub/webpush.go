package activitypub

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"planet/storage"
)

// This file is how a push is written: encrypted for an app alone, by RFC 8291 or by the draft before it, and with a word of this node's that the push service
// can check (RFC 8292).

const (
	maxPushBody = 4096 // what every push service takes (RFC 8030 §7.2)
	pointSize   = 65   // of an uncompressed point of P-256
	saltSize    = 16
	authSize    = 16
	// maxPushMessage is what fits, whichever way it is written: RFC 8291 adds the salt, the size of a record, the key with its length, a delimiter and a tag.
	maxPushMessage = maxPushBody - saltSize - 4 - 1 - pointSize - 1 - 16
	vapidLife      = 12 * time.Hour // half of what push services take (RFC 8292 §2)
)

// newVapidKey makes the key by which push services know a node, as PKCS#8 PEM.
func newVapidKey() (string, error) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", err
	}
	return privatePEM(k)
}

func parseVapidKey(text string) (*ecdsa.PrivateKey, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("the key of pushes is no PEM block")
	}
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("the key of pushes: %w", err)
	}
	own, ok := k.(*ecdsa.PrivateKey)
	if !ok || own.Curve != elliptic.P256() {
		return nil, fmt.Errorf("the key of pushes is a %T, not one of P-256", k)
	}
	return own, nil
}

// VapidKey is the public half of the key by which push services know this node: an uncompressed point in base64url. An app hands it to its push service when it subscribes.
func (n *Node) VapidKey() string {
	point, err := n.vapid.PublicKey.Bytes()
	if err != nil {
		return "" // a key of P-256 has a point
	}
	return base64.RawURLEncoding.EncodeToString(point)
}

// vapid is a token by which a push service knows who sends (RFC 8292 §2): aud is its origin, sub where those who look after this node are found.
func vapid(key *ecdsa.PrivateKey, aud, sub string, exp time.Time) (string, error) {
	claims, err := json.Marshal(map[string]any{"aud": aud, "exp": exp.Unix(), "sub": sub})
	if err != nil {
		return "", err
	}
	b64 := base64.RawURLEncoding
	text := b64.EncodeToString([]byte(`{"typ":"JWT","alg":"ES256"}`)) + "." + b64.EncodeToString(claims)
	sum := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
	if err != nil {
		return "", err
	}
	var signature [64]byte // JWS wants both numbers at full length (RFC 7518 §3.4)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return text + "." + b64.EncodeToString(signature[:]), nil
}

// parsePushKeys reads what an app has subscribed with: p256dh is a point of P-256, auth 16 bytes; both base64, of whichever alphabet.
func parsePushKeys(p256dh, auth string) (point, secret []byte, err error) {
	if point, err = anyBase64(p256dh); err != nil {
		return nil, nil, invalid("p256dh", "p256dh is not base64url")
	}
	if _, err := ecdh.P256().NewPublicKey(point); err != nil || len(point) != pointSize {
		return nil, nil, invalid("p256dh", "p256dh is no uncompressed point of P-256")
	}
	if secret, err = anyBase64(auth); err != nil || len(secret) != authSize {
		return nil, nil, invalid("auth", "auth is not 16 bytes in base64url")
	}
	return point, secret, nil
}

// anyBase64 reads base64 with - and _ or + and /, padded or not.
func anyBase64(text string) ([]byte, error) {
	text = strings.NewReplacer("+", "-", "/", "_").Replace(strings.TrimRight(text, "="))
	return base64.RawURLEncoding.DecodeString(text)
}

// writePush encrypts a message for an app with a fresh key and salt, and sets the headers that say how.
func (n *Node) writePush(s *storage.PushSubscription, message []byte, h http.Header) (body []byte, err error) {
	own, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	salt := make([]byte, saltSize)
	_, _ = rand.Read(salt) // never fails
	token, err := vapid(n.vapid, originOf(s.Endpoint), n.Origin, n.Now().Add(vapidLife))
	if err != nil {
		return nil, err
	}
	if s.Standard {
		h.Set("Content-Encoding", "aes128gcm")
		h.Set("Authorization", "vapid t="+token+", k="+n.VapidKey())
		return sealPush(s.P256dh, s.Auth, own, salt, message)
	}
	b64 := base64.RawURLEncoding
	h.Set("Content-Encoding", "aesgcm")
	h.Set("Authorization", "WebPush "+token)
	h.Set("Encryption", "salt="+b64.EncodeToString(salt))
	h.Set("Crypto-Key", "dh="+b64.EncodeToString(own.PublicKey().Bytes())+";p256ecdsa="+n.VapidKey())
	return sealDraftPush(s.P256dh, s.Auth, own, salt, message)
}

// sealPush encrypts by RFC 8291, as one record of RFC 8188.
func sealPush(point, auth []byte, own *ecdh.PrivateKey, salt, message []byte) ([]byte, error) {
	shared, err := agree(point, own, message)
	if err != nil {
		return nil, err
	}
	mine := own.PublicKey().Bytes()
	ikm, err := hkdf.Key(sha256.New, shared, auth, "WebPush: info\x00"+string(point)+string(mine), 32)
	if err != nil {
		return nil, err
	}
	body := binary.BigEndian.AppendUint32(append([]byte(nil), salt...), maxPushBody)
	body = append(append(body, pointSize), mine...)
	return sealRecord(body, ikm, salt, "Content-Encoding: aes128gcm\x00", "Content-Encoding: nonce\x00", append(message[:len(message):len(message)], 2)) // 2: the last record
}

// sealDraftPush encrypts by draft-ietf-webpush-encryption-04, which apps knew before there was an RFC.
func sealDraftPush(point, auth []byte, own *ecdh.PrivateKey, salt, message []byte) ([]byte, error) {
	shared, err := agree(point, own, message)
	if err != nil {
		return nil, err
	}
	ikm, err := hkdf.Key(sha256.New, shared, auth, "Content-Encoding: auth\x00", 32)
	if err != nil {
		return nil, err
	}
	const length = "\x00\x41" // of a point
	both := "P-256\x00" + length + string(point) + length + string(own.PublicKey().Bytes())
	return sealRecord(nil, ikm, salt, "Content-Encoding: aesgcm\x00"+both, "Content-Encoding: nonce\x00"+both, append([]byte{0, 0}, message...)) // no padding
}

// agree is the secret that an app and the sender of one message have in common.
func agree(point []byte, own *ecdh.PrivateKey, message []byte) ([]byte, error) {
	if len(message) > maxPushMessage {
		return nil, fmt.Errorf("a push of %d bytes is too long: %d fit", len(message), maxPushMessage)
	}
	theirs, err := ecdh.P256().NewPublicKey(point)
	if err != nil {
		return nil, err
	}
	return own.ECDH(theirs)
}

// sealRecord adds the one record of a message to out.
func sealRecord(out, ikm, salt []byte, keyInfo, nonceInfo string, record []byte) ([]byte, error) {
	key, err := hkdf.Key(sha256.New, ikm, salt, keyInfo, 16)
	if err != nil {
		return nil, err
	}
	nonce, err := hkdf.Key(sha256.New, ikm, salt, nonceInfo, 12)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	return gcm.Seal(out, nonce, record, nil), nil
}
